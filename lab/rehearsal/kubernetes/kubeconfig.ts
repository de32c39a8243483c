/** What a kubeconfig points to. */
import { parse } from "yaml";
import type { Value } from "../values";

interface Kubeconfig {
  "current-context"?: string;
  contexts?: { name: string; context: { cluster: string } }[];
  clusters?: { name: string; cluster: Record<string, Value> }[];
}

/** The cluster of the current context; null when there is none to be found. */
export function clusterOf(kubeconfig: Value | undefined): Value {
  if (typeof kubeconfig !== "string") return null;
  try {
    const config = parse(kubeconfig) as Kubeconfig;
    const context = config.contexts?.find(({ name }) => name === config["current-context"]);
    return config.clusters?.find(({ name }) => name === context?.context.cluster)?.cluster ?? null;
  } catch {
    return null;
  }
}
