import * as pulumi from "@pulumi/pulumi";
import { packageVariables } from "../hosts/packages";
import { proxyVariables } from "../hosts/proxy";
import type { ClusterConfig, NodeConfig } from "../../model/config";
import { credentialsOf, registriesFolder, registryLines } from "./registries";
import { containerdConfig, pauseImage } from "./containerd";
import { remoteScript } from "../hosts/remote-script";
import type { ScriptTarget } from "../hosts/script-target";

export interface InstallRuntimeArgs {
  host: ScriptTarget;
  node: NodeConfig;
  config: ClusterConfig;
  /** For mirrors of registries, as the config has them; secret. */
  registryCredentials?: pulumi.Output<string>;
  /** `USER:PASSWORD` of the proxy; secret. */
  proxyCredentials?: pulumi.Output<string> | undefined;
}

export interface InstalledRuntime {
  resource: pulumi.Resource;
  /** The Kubernetes version on the host, with its `v`: after a join, the current one, not the declared one. */
  kubernetesVersion: pulumi.Output<string>;
  /** On a worker: random text that the host keeps until its clean-up; empty on a control plane. */
  nonce: pulumi.Output<string>;
}

/** Installs and configures kernel settings, containerd, kubelet, kubeadm and images on a host. */
export function installRuntime(
  name: string,
  args: InstallRuntimeArgs,
  opts: pulumi.CustomResourceOptions,
): InstalledRuntime {
  const { config } = args;
  const script = remoteScript(
    name,
    {
      host: args.host,
      stage: "runtime",
      variables: {
        TK_ROLE: args.node.role,
        TK_KUBERNETES_VERSION: config.kubernetesVersion,
        TK_BUNDLE: config.bundle ?? "",
        ...containerdVariables(config),
        ...packageVariables(config, "kubernetes", "docker"),
        TK_REGISTRIES: registryLinesOf(config, args.registryCredentials),
        ...proxyVariables({ config, node: args.node, credentials: args.proxyCredentials }),
      },
      timeoutSeconds: 1200,
    },
    opts,
  );
  return {
    resource: script,
    kubernetesVersion: script.result.apply((r) => r.kubeadm ?? ""),
    nonce: script.result.apply((r) => r.nonce ?? ""),
  };
}

/** The input of host/lib/software/registries.sh; secret if there are credentials. */
function registryLinesOf(
  { mirrors }: ClusterConfig,
  credentials: pulumi.Output<string> | undefined,
): pulumi.Input<string> {
  const lines = (text: string) => registryLines(mirrors, credentialsOf(text) ?? new Map<string, string>());
  return credentials === undefined || mirrors.registries.length === 0 ? lines("") : credentials.apply(lines);
}

/** The variables of host/stages/runtime.sh for containerd's version and configuration. */
export function containerdVariables(config: ClusterConfig): Record<string, string> {
  const containerd = {
    pauseImage: pauseImage(config.kubernetesVersion, config.mirrors.imageRepository),
    restrictOomScoreAdj: config.hostProfile.containerd.restrictOomScoreAdj,
    // Where Cilium installs its plugin. Debian's containerd has another default.
    cniBinDirs: "/opt/cni/bin",
    ...(config.mirrors.registries.length > 0 && { registries: registriesFolder }),
  };
  return {
    TK_CONTAINERD_VERSION: config.containerdVersion ?? "",
    // Only the host knows which one it needs.
    TK_CONTAINERD_V1: containerdConfig(1, containerd),
    TK_CONTAINERD_V2: containerdConfig(2, containerd),
  };
}
