/** `tailkube status`. */
import { isKnown } from "../answers";
import { exitCodes } from "../failure";
import { progress } from "../parallel";
import type { ClusterAccess } from "../stack";
import { gather } from "./gather";
import { statusJson } from "./json";
import { problemsOf } from "./problems/all";
import type { ClusterState } from "./state";
import { statusText } from "./text";

export interface Status {
  state: ClusterState;
  text: string;
  json: string;
  code: number;
}

/** The status of a cluster as it is now. */
export async function statusOf(cluster: ClusterAccess): Promise<Status> {
  return statusFrom(await gather(cluster));
}

export function statusFrom(state: ClusterState): Status {
  const problems = problemsOf(state);
  const isAsked = state.nodes.some(({ facts }) => isKnown(facts)) || isKnown(state.here.nodes);
  return {
    state,
    text: statusText(state, problems),
    json: `${JSON.stringify(statusJson(state, problems), undefined, 2)}\n`,
    code: !isAsked ? exitCodes.notAsked : problems.length > 0 ? exitCodes.wrong : exitCodes.ok,
  };
}

export async function status(cluster: ClusterAccess, { json }: { json: boolean }): Promise<number> {
  progress(`asking ${cluster.nodes.length} hosts of ${cluster.clusterName}`);
  const found = await statusOf(cluster);
  process.stdout.write(json ? found.json : found.text);
  return found.code;
}
