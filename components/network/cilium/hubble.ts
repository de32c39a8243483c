/** What the checks need to know about Hubble. Without the option they get nothing, and so do not change. */
import type { ClusterConfig } from "../../../model/config";

/** The parts of Hubble that the option adds to the cluster, as its deployments are called after `hubble-`. */
export function hubbleParts({ hubble }: Pick<ClusterConfig, "hubble">): string[] {
  return hubble === undefined ? [] : ["relay", ...(hubble.ui ? ["ui"] : [])];
}

/** Variables of host/lib/checks/hubble.sh. */
export function hubbleCheckVariables(config: Pick<ClusterConfig, "hubble">): Record<string, string> {
  const parts = hubbleParts(config);
  return parts.length === 0 ? {} : { TK_HUBBLE: parts.join(" ") };
}
