/** Which files make a stage. */

/** What works on a control plane's etcd, certificates and hardening; after reset.sh and node.sh. */
export const hardeningFiles = [
  "lib/etcd.sh",
  "lib/certificates.sh",
  "lib/node-security.sh",
  "lib/cluster-notes.sh",
  "lib/security.sh",
] as const;

/**
 * Files below host/ of each stage, after lib/base.sh and in this order; the last one defines `apply` and, if the stage leaves
 * anything, `remove`.
 */
export const stageFiles = {
  "first-boot": ["lib/sshd.sh", "stages/first-boot.sh"],
  "host-key": ["lib/sshd.sh", "stages/host-key.sh"],
  facts: ["stages/facts.sh"],
  tailnet: ["lib/network.sh", "stages/tailnet.sh"],
  lan: ["lib/network.sh", "stages/lan.sh"],
  // reset.sh for what a later stage that failed has left.
  runtime: ["lib/reset-cilium.sh", "lib/reset.sh", "lib/registries.sh", "stages/runtime.sh"],
  secrets: ["stages/secrets.sh"],
  peers: ["stages/peers.sh"],
  "control-plane": [
    "lib/reset-cilium.sh",
    "lib/reset.sh",
    "lib/node.sh",
    "lib/etcd-members.sh",
    "lib/members.sh",
    "lib/endpoint.sh",
    ...hardeningFiles,
    "lib/approver.sh",
    "lib/founding.sh",
    "lib/overlap.sh",
    "stages/control-plane.sh",
  ],
  upgrade: [
    "lib/reset-cilium.sh",
    "lib/reset.sh",
    "stages/runtime.sh",
    "stages/tailnet.sh",
    "lib/node.sh",
    "lib/etcd-members.sh",
    "lib/drain.sh",
    ...hardeningFiles,
    "lib/secure.sh",
    "lib/versions.sh",
    "lib/upgrade-parts.sh",
    "stages/upgrade.sh",
  ],
  encryption: ["lib/cluster-notes.sh", "lib/security.sh", "stages/encryption.sh"],
  join: ["lib/reset-cilium.sh", "lib/reset.sh", "lib/node.sh", "lib/node-security.sh", "stages/join.sh"],
  admit: [
    "lib/reset-cilium.sh",
    "lib/reset.sh",
    "lib/node.sh",
    "lib/etcd-members.sh",
    "lib/members.sh",
    "lib/cluster-notes.sh",
    "lib/requests.sh",
    "stages/admit.sh",
  ],
  departures: [
    "lib/reset-cilium.sh",
    "lib/reset.sh",
    "lib/node.sh",
    "lib/etcd-members.sh",
    "lib/members.sh",
    "lib/depart.sh",
    "stages/departures.sh",
  ],
  settle: [
    "lib/reset-cilium.sh",
    "lib/reset.sh",
    "lib/node.sh",
    "lib/etcd-members.sh",
    "lib/members.sh",
    "lib/depart.sh",
    "lib/cluster-notes.sh",
    "stages/settle.sh",
  ],
  checks: ["lib/reset-cilium.sh", "lib/reset.sh", "lib/node.sh", "lib/etcd-members.sh", "stages/checks.sh"],
} as const;

export type Stage = keyof typeof stageFiles;

/** Files of the stage undo, which takes away what all others have left on a node of that network. */
export function undoFiles(nodeNetwork: "tailnet" | "lan"): readonly string[] {
  return [
    "lib/reset-cilium.sh",
    "lib/reset.sh",
    "stages/runtime.sh",
    "lib/network.sh",
    `stages/${nodeNetwork}.sh`,
    "stages/undo.sh",
  ];
}
