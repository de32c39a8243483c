import type { NodeConfig, Role, Taint } from "./config";

/** The control planes in the order in which they join; the first runs `kubeadm init` in a new cluster. */
export function controlPlanes<T extends { role: string }>(nodes: readonly T[]): T[] {
  return nodes.filter((node) => node.role === "control-plane");
}

/** The workers, in the order of the config; they join in parallel once the control planes are up. */
export function workers(nodes: readonly NodeConfig[]): NodeConfig[] {
  return nodes.filter((node) => node.role === "worker");
}

/**
 * The nodes that take traffic for Services of type LoadBalancer: the workers, or all nodes if there are no workers. Kubernetes itself
 * excludes control planes (kubeadm labels them node.kubernetes.io/exclude-from-external-load-balancers): the traffic of users stays
 * away from the hosts of the API and etcd, and pods are more likely on the node where it arrives.
 */
export function servingNodes(nodes: readonly NodeConfig[]): NodeConfig[] {
  const all = workers(nodes);
  return all.length > 0 ? all : [...nodes];
}

/** The taint that kubeadm gives control planes by default. */
export const controlPlaneTaint: Taint = { key: "node-role.kubernetes.io/control-plane", effect: "NoSchedule" };

/**
 * The taints of a node that declares none: kubeadm's on a control plane if there is a worker, because otherwise no node would accept
 * pods.
 */
export function defaultTaints(role: Role, hasWorkers: boolean): Taint[] {
  return role === "control-plane" && hasWorkers ? [{ ...controlPlaneTaint }] : [];
}

/** The labels of all nodes, one per line: `node key=value`. */
export function labelLines(nodes: readonly NodeConfig[]): string {
  return nodes
    .flatMap(({ name, labels }) => Object.entries(labels).map(([key, value]) => `${name} ${key}=${value}`))
    .join("\n");
}

/** The taints of all nodes, one per line, as for `kubectl taint`: `node key=value:Effect` or `node key:Effect`. */
export function taintLines(nodes: readonly NodeConfig[]): string {
  return nodes
    .flatMap(({ name, taints }) =>
      taints.map(({ key, value, effect }) => `${name} ${key}${value === undefined ? "" : `=${value}`}:${effect}`),
    )
    .join("\n");
}

// k8s.io/kubelet/pkg/apis/well_known_labels.go. A kubelet started with any other kubernetes.io label exits.
const kubeletLabels = new Set([
  "kubernetes.io/hostname",
  "kubernetes.io/os",
  "kubernetes.io/arch",
  "beta.kubernetes.io/os",
  "beta.kubernetes.io/arch",
  "beta.kubernetes.io/instance-type",
  "node.kubernetes.io/instance-type",
  "topology.kubernetes.io/zone",
  "topology.kubernetes.io/region",
  "failure-domain.beta.kubernetes.io/zone",
  "failure-domain.beta.kubernetes.io/region",
]);

const prefixOf = (key: string) => (key.includes("/") ? key.slice(0, key.indexOf("/")) : "");

/** Whether a kubelet may set a label on its own node. */
export function mayKubeletSet(key: string): boolean {
  const prefix = prefixOf(key);
  const below = (domain: string) => prefix === domain || prefix.endsWith(`.${domain}`);
  if (!below("kubernetes.io") && !below("k8s.io")) return true;
  return kubeletLabels.has(key) || below("node.kubernetes.io") || below("kubelet.kubernetes.io");
}

/** Whether only an administrator may set a label: roles, and what no node may claim for itself. kubeadm sets control planes' role. */
export function isAdministrators(key: string): boolean {
  return (
    key !== controlPlaneTaint.key &&
    ["node-role.kubernetes.io", "node-restriction.kubernetes.io"].includes(prefixOf(key))
  );
}
