/** The components of the control plane that a user can set, and where their files are. */
import type { ClusterConfig, ExtraArgument, KubernetesSettings } from "../../../model/config";
import { merge } from "../../../model/merge";

/** Where the files are on a control plane; host/lib/security/api-server-files.sh uses the same path. `kubeadm reset` removes it. */
export const securityFolder = "/etc/kubernetes/tailkube";

export type ComponentKey = "apiServer" | "controllerManager" | "scheduler" | "etcd";

interface Component {
  key: ComponentKey;
  /** The name of its process and of its container. */
  process: string;
  /** Its folder on a control plane, below `securityFolder`. */
  folder: string;
  /** For the preview. */
  words: string;
}

/** In the order in which a control plane restarts them. etcd's manifest can mount no files. */
export const components: readonly Component[] = [
  { key: "etcd", process: "etcd", folder: "etcd", words: "its etcd member" },
  { key: "apiServer", process: "kube-apiserver", folder: "api-server", words: "its API server" },
  {
    key: "controllerManager",
    process: "kube-controller-manager",
    folder: "controller-manager",
    words: "its controller manager",
  },
  { key: "scheduler", process: "kube-scheduler", folder: "scheduler", words: "its scheduler" },
];

export const componentOf = (key: ComponentKey): Component => components.find((one) => one.key === key)!;

/** Path of a component's file on a control plane. */
export const extraFilePath = (key: ComponentKey, name: string) =>
  `${securityFolder}/${componentOf(key).folder}/${name}`;

/** The keys of the settings that have anything in them; a field of the kubelet's may be an empty list. */
export function givenKeys(settings: KubernetesSettings): (keyof KubernetesSettings)[] {
  return (Object.keys(settings) as (keyof KubernetesSettings)[]).filter((key) => {
    const component = components.find((one) => one.key === key);
    if (component === undefined) return Object.keys(settings[key]).length > 0;
    const { extraArgs, extraFiles } = settings[component.key];
    return extraArgs.length + extraFiles.length > 0;
  });
}

/** The key of its content in `Secrets.extraFiles`. */
export const extraFileKey = (key: ComponentKey, name: string) => `${componentOf(key).folder}/${name}`;

/** Arguments that add to the program's or to each other, instead of replacing them. */
const gatesArgument = "feature-gates";
const pluginsArgument = "enable-admission-plugins";

const gatesText = (gates: Record<string, boolean>) =>
  Object.entries(gates)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, isOn]) => `${name}=${isOn}`)
    .join(",");

/** A component's arguments that the settings make or change, in the order of the config. */
export function givenArguments(
  key: ComponentKey,
  settings: KubernetesSettings | undefined,
  own: readonly ExtraArgument[] = [],
): ExtraArgument[] {
  if (settings === undefined) return [];
  const { extraArgs } = settings[key];
  const values = (name: string) => extraArgs.filter((one) => one.name === name).map(({ value }) => value);
  const gates = [...(key === "etcd" ? [] : [gatesText(settings.featureGates)]), ...values(gatesArgument)];
  const plugins = [...own.filter(({ name }) => name === pluginsArgument).map(({ value }) => value)];
  const joined = (texts: readonly string[]) => [
    ...new Set(texts.flatMap((text) => text.split(",")).filter((one) => one !== "")),
  ];
  const merged = [
    { name: gatesArgument, value: joined(gates).join(",") },
    ...(values(pluginsArgument).length > 0
      ? [{ name: pluginsArgument, value: joined([...plugins, ...values(pluginsArgument)]).join(",") }]
      : []),
  ].filter(({ value }) => value !== "");
  return [
    ...extraArgs.filter(({ name }) => name !== gatesArgument && name !== pluginsArgument),
    ...merged.map(({ name, value }) => ({ name, value })),
  ];
}

/** The program's own arguments with the user's; one with the same name replaces the program's. */
export function withGiven(
  key: ComponentKey,
  own: readonly ExtraArgument[],
  settings: KubernetesSettings | undefined,
): ExtraArgument[] {
  const given = givenArguments(key, settings, own);
  return [...own.filter(({ name }) => !given.some((one) => one.name === name)), ...given];
}

/** Fields of KubeletConfiguration that the settings give a node; undefined if there are none. */
export function kubeletSettings(
  { settings }: Pick<ClusterConfig, "settings">,
  node: { kubelet?: Record<string, unknown> },
): Record<string, unknown> | undefined {
  const gates = settings?.featureGates ?? {};
  const all = [
    ...(Object.keys(gates).length > 0 ? [{ featureGates: gates }] : []),
    settings?.kubelet ?? {},
    node.kubelet ?? {},
  ].reduce<Record<string, unknown>>(merge, {});
  return Object.keys(all).length === 0 ? undefined : all;
}
