/** Which files make a stage. */

/** What works on a control plane's etcd, certificates and hardening; after reset.sh and node.sh. */
export const hardeningFiles = [
  "etcd.sh",
  "certificates.sh",
  "node-security.sh",
  "cluster-notes.sh",
  "security.sh",
] as const;

/**
 * Files below scripts/ of each stage, after lib.sh and in this order; the last one defines `apply` and, if the stage leaves
 * anything, `remove`.
 */
export const stageFiles = {
  "first-boot": ["sshd.sh", "first-boot.sh"],
  "host-key": ["sshd.sh", "host-key.sh"],
  facts: ["facts.sh"],
  tailnet: ["network.sh", "tailnet.sh"],
  lan: ["network.sh", "lan.sh"],
  // reset.sh for what a later stage that failed has left.
  runtime: ["reset-cilium.sh", "reset.sh", "registries.sh", "runtime.sh"],
  secrets: ["secrets.sh"],
  peers: ["peers.sh"],
  "control-plane": [
    "reset-cilium.sh",
    "reset.sh",
    "node.sh",
    "etcd-members.sh",
    "members.sh",
    "endpoint.sh",
    ...hardeningFiles,
    "approver.sh",
    "founding.sh",
    "overlap.sh",
    "control-plane.sh",
  ],
  upgrade: [
    "reset-cilium.sh",
    "reset.sh",
    "runtime.sh",
    "tailnet.sh",
    "node.sh",
    "etcd-members.sh",
    "drain.sh",
    ...hardeningFiles,
    "secure.sh",
    "versions.sh",
    "upgrade-parts.sh",
    "upgrade.sh",
  ],
  encryption: ["cluster-notes.sh", "security.sh", "encryption.sh"],
  join: ["reset-cilium.sh", "reset.sh", "node.sh", "node-security.sh", "join.sh"],
  admit: [
    "reset-cilium.sh",
    "reset.sh",
    "node.sh",
    "etcd-members.sh",
    "members.sh",
    "cluster-notes.sh",
    "requests.sh",
    "admit.sh",
  ],
  departures: ["reset-cilium.sh", "reset.sh", "node.sh", "etcd-members.sh", "members.sh", "depart.sh", "departures.sh"],
  settle: [
    "reset-cilium.sh",
    "reset.sh",
    "node.sh",
    "etcd-members.sh",
    "members.sh",
    "depart.sh",
    "cluster-notes.sh",
    "settle.sh",
  ],
  checks: ["reset-cilium.sh", "reset.sh", "node.sh", "etcd-members.sh", "checks.sh"],
} as const;

export type Stage = keyof typeof stageFiles;

/** Files of the stage undo, which takes away what all others have left on a node of that network. */
export function undoFiles(nodeNetwork: "tailnet" | "lan"): readonly string[] {
  return ["reset-cilium.sh", "reset.sh", "runtime.sh", "network.sh", `${nodeNetwork}.sh`, "undo.sh"];
}
