import type { ClusterConfig } from "../../model/config";
import { appliedBy, type LastRun, lastRun } from "../../preview/last-run";
import { declaredMachine, machineName } from "../../model/machine";
import { goodFacts } from "./config/fixtures";

export const hostKeyOf = (name: string) => `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5${name}`;

/** The outputs that a complete run of a config leaves, as they come back out of the state. */
export function outputsOf(config: ClusterConfig): { versions: unknown; nodes: unknown; applied: unknown } {
  const seen = config.nodes.map((node) => {
    const { identity, hostKey } = declaredMachine(node);
    return { machine: machineName(identity, hostKey ?? hostKeyOf(node.name)), facts: goodFacts() };
  });
  return JSON.parse(
    JSON.stringify({
      versions: { kubernetes: config.kubernetesVersion, cilium: config.cilium.version },
      nodes: config.nodes.map((node) => ({ name: node.name, role: node.role, host: declaredMachine(node).reached })),
      applied: appliedBy(config, seen),
    }),
  ) as ReturnType<typeof outputsOf>;
}

export const afterRunOf = (config: ClusterConfig): LastRun => lastRun(outputsOf(config))!;
