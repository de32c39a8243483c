/** One requirement of a host. Its texts are bash: they may use the variables that host/stages/facts.sh sets. */
export interface Requirement {
  /** For `skipHostChecks` of a host profile. */
  id: RequirementId;
  /** A command that succeeds on a host that meets it. */
  test: string;
  /** What was found, what is required, what to do: the content of a double-quoted string. */
  problem: string;
  /** Absent: no host may fail it. `new host`: on a host that is a node already, it is only a warning. `risk`: always only a warning. */
  kind?: "new host" | "risk";
  /** A variable that begins with a question mark if the host did not answer: then the requirement counts neither as met nor as failed. */
  answer?: string;
}

const ids = [
  "privilege",
  "os",
  "arch",
  "userland",
  "kernel",
  "kernel-features",
  "vxlan",
  "address-bits",
  "tun",
  "systemd",
  "cgroup",
  "cgroup-controllers",
  "kmsg",
  "network-manager",
  "resolv-conf",
  "firewall",
  "clock",
  "clock-sync",
  "cpus",
  "memory",
  "disk",
  "log-space",
  "swap",
  "ports",
  "tools",
  "containerd",
  "apparmor",
  "container-engines",
  "foreign-cluster",
  "kubernetes-containers",
  "etcd-data",
  "bundle",
  "proxy",
] as const;

export type RequirementId = (typeof ids)[number];

export const requirementIds: readonly string[] = ids;

/** A requirement as bash: an unmet one calls `problem`, `unless_node` or `warning` of the facts script with its text. */
export function requirementLine({ id, test, problem, kind, answer }: Requirement): string {
  const unmet = kind === "risk" ? "warning" : kind === "new host" ? "unless_node" : "problem";
  const line = `{ ${test}; } || ${unmet} "${problem}"`;
  return answer === undefined ? line : `if [[ $${answer} == \\?* ]]; then unknown ${id} "$${answer}"; else ${line}; fi`;
}
