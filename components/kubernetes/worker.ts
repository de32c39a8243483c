import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../model/config";
import { joinConfiguration } from "./kubeadm";
import { joinKubeconfig } from "../../model/kubeconfig";
import type { ClusterSecretValues } from "./authority-values";
import { HostScript } from "../hosts/remote-script";
import {
  discoveryKubeconfig,
  endpointAdvice,
  kubeadmSeconds,
  type Member,
  nodeDocument,
  nodeVariables,
  workerToken,
} from "./member";
import { nodeSecurityVariables } from "./hardening/variables";

export interface WorkerArgs {
  config: ClusterConfig;
  member: Member;
  secrets: pulumi.Output<ClusterSecretValues>;
}

export interface JoinedWorker {
  resource: pulumi.Resource;
  /** The node's own part of the pod CIDR. */
  podCidr: pulumi.Output<string>;
}

/** `kubeadm join` of a worker, through the endpoint, with a token of its own that the admission beside it makes valid. */
export function joinWorker(name: string, args: WorkerArgs, opts: pulumi.CustomResourceOptions): JoinedWorker {
  const { config, member } = args;
  const script = new HostScript(
    name,
    {
      host: member.host,
      stage: "join",
      variables: {
        ...nodeVariables(config, member),
        ...nodeSecurityVariables(config, "worker"),
        TK_ENDPOINT_ADVICE: endpointAdvice(config),
        TK_MARK: member.mark,
        // host/stages/admit.sh waits for twelve of them.
        TK_BEAT_SECONDS: "10",
        TK_DISCOVERY: pulumi
          .all([args.secrets, workerToken(member, args.secrets)])
          .apply(([{ caCrt }, token]) => joinKubeconfig(config, caCrt, token)),
        TK_KUBEADM_DOCUMENT: pulumi.all([member.address, member.resolvConf]).apply(([nodeIp, resolvConf]) =>
          joinConfiguration({
            endpoint: config.endpoint,
            node: nodeDocument(member, nodeIp, resolvConf),
            discovery: { kubeConfigPath: discoveryKubeconfig },
            profile: config.hostProfile,
          }),
        ),
      },
      timeoutSeconds: kubeadmSeconds + 740,
    },
    opts,
  );
  return {
    resource: script,
    podCidr: script.result.apply((r) => r.podCidr ?? ""),
  };
}
