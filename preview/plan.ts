/** What a run does to the nodes, as data: steps.ts computes it, text.ts and markdown.ts render it. */
import type { ClusterConfig, Role } from "../model/config";
import type { LastRun } from "./last-run";
import { type MachineChange, removedNodes } from "./members";

export type StepKind =
  | "make"
  | "check"
  | "clean"
  | "prepare"
  | "init"
  | "join"
  | "upgrade"
  | "restart"
  | "dead-members"
  | "network"
  | "removal"
  | "finalize"
  | "test";

export interface Step {
  kind: StepKind;
  /** The nodes that it changes; empty for the whole cluster. */
  nodes: readonly string[];
  /** Name of the resource that does it; for several nodes, that of the first. */
  resource: string;
  /** The steps that end before it begins. */
  after: readonly Step[];
  /** What it does, after the nodes' names. */
  does: string;
  /** What it disturbs; absent if running workloads notice nothing. */
  disturbs?: string;
}

export type Change =
  "created" | "joined" | "replaced" | "drained" | "restarted" | "relabelled" | "rerouted" | "removed" | "untouched";

export interface NodePlan {
  name: string;
  role: Role;
  changes: readonly Change[];
  /** What the preview cannot know. */
  note?: string;
}

export interface Plan {
  /** Whether this is a new cluster. */
  isNew: boolean;
  /** The declared nodes in their order, then the removed ones. */
  nodes: readonly NodePlan[];
  /** In a possible order; those that do not wait for each other run in parallel. Empty: nothing changes. */
  steps: readonly Step[];
}

/** What the steps do to each node. */
export function nodePlans(
  config: ClusterConfig,
  last: LastRun | undefined,
  machines: ReadonlyMap<string, MachineChange>,
  steps: readonly Step[],
): NodePlan[] {
  const changesOf = (name: string): Change[] => {
    const own = steps.filter(({ nodes }) => nodes.includes(name));
    const has = (kind: StepKind) => own.some((step) => step.kind === kind);
    const drained = own.some(({ does }) => does.startsWith("is drained"));
    const all: [Change, boolean][] = [
      ["created", has("init") && machines.get(name) !== "replaced"],
      ["replaced", machines.get(name) === "replaced"],
      ["joined", has("join")],
      ["drained", drained],
      ["restarted", has("upgrade") || has("restart")],
      ["relabelled", has("finalize")],
      // The step of Cilium's release names no node.
      ["rerouted", has("network")],
      ["removed", has("removal")],
    ];
    const changes = all.filter(([, is]) => is).map(([change]) => change);
    return changes.length > 0 ? changes : ["untouched"];
  };
  return [
    ...config.nodes.map(({ name, role }): NodePlan => ({
      name,
      role,
      changes: changesOf(name),
      ...(machines.get(name) === "unsure" && {
        note: "its address or host key setting changed: if another machine answers, the node is replaced",
      }),
    })),
    ...removedNodes(config.nodes, last).map(({ name, role }): NodePlan => ({
      name,
      role: role === "control-plane" ? role : "worker",
      changes: changesOf(name),
    })),
  ];
}

/** The steps by their earliest start: those in one list do not wait for each other. */
export function waves(steps: readonly Step[]): Step[][] {
  const depth = new Map<Step, number>();
  const found: Step[][] = [];
  for (const step of steps) {
    const at = Math.max(-1, ...step.after.map((other) => depth.get(other)!)) + 1;
    depth.set(step, at);
    (found[at] ??= []).push(step);
  }
  return found;
}
