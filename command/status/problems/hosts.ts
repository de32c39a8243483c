/** Problems of single hosts: no answer, full disks, wrong clocks, services that do not run. */
import { isKnown, valueOf } from "../../answers";
import type { Disk } from "../facts";
import { type ClusterState, deviceOf, type NodeState, reachedNodes, readiness } from "../state";
import { onNode, type Problem } from "./problem";

/** From where kubelet begins to delete images and to evict pods. */
const almostFull = 0.85;
const full = 0.95;
/** Seconds; certificates and leases stand more, but this is no clock that NTP keeps. */
const skew = 30;

export function silentHosts(state: ClusterState): Problem[] {
  return state.nodes.flatMap((node): Problem[] => {
    if (isKnown(node.facts)) return [];
    const why = node.facts.none;
    const { ready } = readiness(state, node.name);
    const { peer } = deviceOf(state, node);
    return [
      {
        id: "host-no-answer",
        level: "error",
        node: node.name,
        what: `${node.name}: no answer by SSH at ${node.where}: ${why}`,
        evidence: [
          ...(ready === "yes" ? ["the API says that the node is Ready, so the machine runs"] : []),
          ...(ready === "no answer" ? ["its kubelet does not report to the API, or the API does not answer"] : []),
          ...(peer === undefined ? [] : [`the tailnet says that its device is ${peer.online ? "online" : "offline"}`]),
        ],
        cure: silentCure(node, why),
      },
    ];
  });
}

function silentCure({ name }: NodeState, why: string): string[] {
  if (/another machine answers/.test(why)) {
    return [
      `same machine: restore its /etc/ssh/ssh_host_* keys; reinstalled machine: change host.identity of ${name} (and host.hostKey if it is set), then pulumi up`,
    ];
  }
  if (/refuses the login|sudo fails/.test(why)) {
    return [
      "correct the user's authorized_keys or sudo on the host's console: docs/operate/troubleshooting.md, Reaching a host",
    ];
  }
  return [
    `start the machine ${name}, or check its console and network`,
    `if it no longer exists, replace or remove the node: docs/operate/nodes.md`,
  ];
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
/** Rounded down, but not below what was meant. */
export const percent = (share: number) => `${Math.floor(share * 100 + 1e-6)} %`;

export function fullDisks(state: ClusterState): Problem[] {
  return reachedNodes(state).flatMap((node) =>
    (valueOf(node.known.disks) ?? []).flatMap((disk): Problem[] => {
      const worst = Math.max(disk.used, disk.filesUsed);
      if (worst < almostFull) return [];
      return [
        {
          id: "disk-full",
          level: worst >= full ? "error" : "warning",
          node: node.name,
          what: `${node.name}: the disk of ${disk.path} is ${fullness(disk)}`,
          evidence: [],
          cure: [
            `find what fills it: ${onNode(node, `du -xh -d 3 ${disk.path} | sort -h | tail -n 20`)}`,
            `old logs go with: ${onNode(node, "journalctl --vacuum-size=200M")}; a disk that is too small has to grow`,
          ],
        },
      ];
    }),
  );
}

const fullness = ({ used, filesUsed, bytesFree }: Disk) =>
  used >= filesUsed
    ? `${percent(used)} full (${gigabytes(bytesFree)} free)`
    : `out of inodes (${percent(filesUsed)} used), with ${gigabytes(bytesFree)} free`;

export function wrongClocks(state: ClusterState): Problem[] {
  return reachedNodes(state).flatMap((node): Problem[] => {
    const time = valueOf(node.known.time);
    if (time === undefined) return [];
    const early = (state.begun.getTime() - time.getTime()) / 1000;
    const late = (time.getTime() - state.ended.getTime()) / 1000;
    const off = Math.round(Math.max(early, late));
    if (off <= skew) return [];
    return [
      {
        id: "clock-wrong",
        level: "warning",
        node: node.name,
        what: `${node.name}: its clock is ${off} s ${early > late ? "behind" : "ahead of"} this machine's`,
        evidence: [],
        cure: [`on the machine whose clock is wrong: ${onNode(node, "timedatectl set-ntp true")}`],
      },
    ];
  });
}

/** The units without which a node does not work. Others count if they are enabled. */
function required({ role }: NodeState, { nodeNetwork, endpoint }: ClusterState): string[] {
  const tailnet = ["tailscaled.service", "tailkube-network.service", "tailkube-routes.service"];
  return [
    "containerd.service",
    "kubelet.service",
    ...(nodeNetwork === "tailnet" ? tailnet : []),
    ...((nodeNetwork === "tailnet" || endpoint.kind === "vip") && role === "control-plane"
      ? ["tailkube-endpoint.service"]
      : []),
  ];
}

/** systemd's states of a unit that does its work. */
const working = ["active", "reloading", "activating"];

/** Units that should run and do not. */
export function stoppedUnits(state: ClusterState, node: NodeState): string[] {
  const units = isKnown(node.facts) ? valueOf(node.facts.value.units) : undefined;
  if (units === undefined) return [];
  const must = required(node, state);
  const all = Object.entries(units).filter(([name, { enabled }]) => enabled || must.includes(name));
  return all.filter(([, { active }]) => !working.includes(active)).map(([name]) => name);
}

export function stopped(state: ClusterState): Problem[] {
  return reachedNodes(state).flatMap((node) => {
    const units = valueOf(node.known.units)!;
    return stoppedUnits(state, node).map((unit): Problem => {
      const { loaded, active } = units[unit]!;
      const name = unit.replace(/\.service$/, "");
      return {
        id: "service-stopped",
        level: "error",
        node: node.name,
        what: `${node.name}: ${name} ${loaded ? `does not run (${active})` : "is not installed"}`,
        evidence: [],
        cure: loaded
          ? [
              `start it: ${onNode(node, `systemctl restart ${name}`)}`,
              `if it stops again: ${onNode(node, `journalctl -u ${name} -n 50 --no-pager`)}`,
            ]
          : [`run pulumi up; if it changes nothing, replace the node: docs/operate/nodes.md`],
      };
    });
  });
}
