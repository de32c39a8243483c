import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, NodeConfig } from "../../../model/config";
import { kubeletCheck, kubeletPatch } from "../kubeadm";
import { type ComponentKey, components, givenArguments, kubeletSettings } from "./components";

/** The content of the control plane's extra files, as `Secrets.extraFiles` has it. Secret. */
export type ExtraFiles = pulumi.Output<Record<string, string>> | undefined;

/** The variables of host/lib/settings/kubelet-settings.sh. */
export function kubeletSettingsVariables(config: ClusterConfig, node: NodeConfig): Record<string, string> {
  const fields = kubeletSettings(config, node);
  return {
    TK_KUBELET_PATCH: fields === undefined ? "" : kubeletPatch(fields),
    TK_KUBELET_CHECK: fields === undefined ? "" : kubeletCheck({ ...config, profile: config.hostProfile }, fields),
  };
}

/** The variables of host/lib/settings/component-settings.sh; all empty on a worker. */
export function componentSettingsVariables(
  config: ClusterConfig,
  node: NodeConfig,
  files: ExtraFiles,
): Record<string, pulumi.Input<string>> {
  if (node.role === "worker") return { TK_ARGUMENTS: "", TK_ETCD_ARGUMENTS: "", TK_EXTRA_FILES: "" };
  const lines = (key: ComponentKey) =>
    givenArguments(key, config.settings).map(({ name, value }) => `--${name}=${value}`);
  return {
    TK_ARGUMENTS: components
      .flatMap(({ key, process }) => lines(key).map((argument) => `${process} ${argument}`))
      .join("\n"),
    TK_ETCD_ARGUMENTS: lines("etcd").join("\n"),
    TK_EXTRA_FILES: files === undefined ? "" : files.apply(fileLines),
  };
}

/** `PATH BASE64` of each file, one per line. */
function fileLines(files: Record<string, string>): string {
  return Object.entries(files)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([path, content]) => `${path} ${Buffer.from(content).toString("base64")}`)
    .join("\n");
}
