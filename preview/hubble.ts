/** What a run changes of Hubble's relay and UI, compared with the last one. */
import { hubbleParts } from "../components/network/cilium/hubble";
import type { ClusterConfig } from "../model/config";
import { listed } from "../model/messages";
import { type LastRun, releaseOf } from "./last-run";
import type { Step } from "./plan";

type Words = Pick<Step, "does" | "disturbs">;

const names: Readonly<Record<string, string>> = { relay: "Hubble's relay", ui: "Hubble's UI" };

const partsOf = (last: LastRun) => (last.hubble ?? "").split(" ").filter((part) => part !== "");

/** The parts that start and stop, as ends of a sentence. */
function changes(config: ClusterConfig, last: LastRun): { starts: string[]; stops: string[] } {
  const [was, now] = [partsOf(last), hubbleParts(config)];
  const named = (parts: string[]) => parts.map((part) => names[part] ?? part);
  return {
    starts: named(now.filter((part) => !was.includes(part))),
    stops: named(was.filter((part) => !now.includes(part))),
  };
}

const verb = (parts: readonly string[], one: string, more: string) =>
  parts.length === 0 ? [] : [`${listed(parts)} ${parts.length === 1 ? one : more}`];

/** What becomes of them, each as a sentence. */
export function hubbleWords(config: ClusterConfig, last: LastRun | undefined): string[] {
  if (last === undefined) {
    return verb(
      hubbleParts(config).map((part) => names[part]!),
      "starts",
      "start",
    );
  }
  const { starts, stops } = changes(config, last);
  return [...verb(starts, "starts", "start"), ...verb(stops, "is removed", "are removed")];
}

/**
 * The change of Cilium's release if it is one of these alone: the chart then adds and removes objects of their own, and nothing in the
 * agents, the operator or Envoy changes, so none of them restarts. Undefined if there is none, or more changes.
 */
export function hubbleChange(config: ClusterConfig, last: LastRun): Words | undefined {
  const { starts, stops } = changes(config, last);
  if (starts.length + stops.length === 0) return undefined;
  const was = partsOf(last);
  const before = { ...config };
  delete before.hubble;
  if (was.length > 0) before.hubble = { ui: was.includes("ui") };
  if (releaseOf(before) !== last.release) return undefined;
  return {
    does: `${hubbleWords(config, last).join("; ")}; Cilium's own pods do not restart`,
    ...(stops.length > 0 && { disturbs: `users of ${listed(stops)}` }),
  };
}
