/** Cilium's agents, as a fault test looks at them. */
import * as lab from "../lab/lab";

interface Pods {
  items: {
    metadata: { name: string; uid: string };
    spec: { nodeName: string };
    status: { conditions?: { type: string; status: string }[] };
  }[];
}

export interface Agent {
  node: string;
  pod: string;
  uid: string;
  isReady: boolean;
}

/** Cilium's agents, by node; throws if the API does not answer. */
export function agents(): Agent[] {
  const { items } = JSON.parse(
    lab.kubectl("-n", "kube-system", "get", "pods", "-l", "k8s-app=cilium", "-o", "json"),
  ) as Pods;
  return items
    .map(({ metadata, spec, status }) => ({
      node: spec.nodeName,
      pod: metadata.name,
      uid: metadata.uid,
      isReady: status.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false,
    }))
    .sort((a, b) => (a.node < b.node ? -1 : 1));
}

/** What each node's running agent says of its L7 proxy: `NODE true` or `NODE false`. */
export const proxies = () =>
  agents().map(({ node, pod }) => {
    const words = ["exec", pod, "-c", "cilium-agent", "--", "cilium-dbg", "config", "-a"];
    const said = lab.kubectl("-n", "kube-system", ...words);
    return `${node} ${/^EnableL7Proxy\s*:\s*(\S+)/m.exec(said)?.[1] ?? "does not say"}`;
  });
