/** Whether each node has a machine of its own: what copies of one disk, or one machine behind two addresses, have in common. */
import { bareHostKey } from "../../model/machine";
import type { NodeFacts } from "../hosts/facts";

/** The hosts that share a text, by groups of two and more; the empty text is none. */
function groups(all: readonly NodeFacts[], textOf: (one: NodeFacts) => string): NodeFacts[][] {
  const byText = new Map<string, NodeFacts[]>();
  for (const one of all) byText.set(textOf(one), [...(byText.get(textOf(one)) ?? []), one]);
  return [...byText].filter(([text, group]) => text !== "" && group.length > 1).map(([, group]) => group);
}

const names = (group: readonly NodeFacts[]) => group.map(({ node }) => node.name).join(", ");
const keyOf = ({ hostKey }: NodeFacts) => (hostKey === undefined ? "" : bareHostKey(hostKey));

/** Hosts with the same SSH host key and machine ID. */
const sameMachine = (all: readonly NodeFacts[]) =>
  groups(all, (one) => (keyOf(one) === "" || one.facts.machineId === "" ? "" : `${keyOf(one)} ${one.facts.machineId}`));

/** Whether the hosts are nodes of a cluster that works with them as they are. */
function areNodes(group: readonly NodeFacts[]): boolean {
  const ids = new Set(group.map(({ facts }) => facts.membership));
  return ids.size === group.length && !ids.has("");
}

/** Whether they are one machine, and not copies of one disk image: these have addresses of their own. */
const isOne = (group: readonly NodeFacts[]) =>
  new Set(group.map(({ facts }) => JSON.stringify([facts.bootId, facts.interfaces]))).size === 1;

/** On a machine that gets its own identity; the key in the state is the former one. */
const newIdentity =
  "rm /etc/ssh/ssh_host_* /etc/machine-id && ssh-keygen -A && systemd-machine-id-setup, reboot, and set host.identity of its node to any text";

/** A line for each machine behind two nodes, and for copies of one disk image. */
export function sharedMachineProblems(all: readonly NodeFacts[]): string[] {
  return sameMachine(all).flatMap((group) =>
    isOne(group)
      ? [
          `${names(group)}: one machine answers for all of them (machine ID ${group[0]!.facts.machineId}). Give each node the address of a ` +
            "machine of its own, or remove the others.",
        ]
      : areNodes(group)
        ? []
        : [
            `${names(group)}: the same SSH host key and machine ID ${group[0]!.facts.machineId}, as on copies of one disk image. On each new ` +
              `one: ${newIdentity}.`,
          ],
  );
}

/** A line for hosts with the same SSH host key: each could be taken for the other. */
export function sharedKeyWarnings(all: readonly NodeFacts[]): string[] {
  return groups(all, keyOf).map(
    (group) =>
      `${names(group)}: the same SSH host key, as on copies of one disk image, so each can be taken for the other. Create new keys on all ` +
      "but one: rm /etc/ssh/ssh_host_* && ssh-keygen -A, and set host.identity of their nodes to any text.",
  );
}

/** A line for hosts with the same machine ID, or without one. */
export function sharedMachineIdWarnings(all: readonly NodeFacts[]): string[] {
  const without = all.filter(({ facts }) => facts.machineId === "");
  return [
    ...groups(all, ({ facts }) => facts.machineId).map(
      (group) =>
        `${names(group)}: the same machine ID ${group[0]!.facts.machineId}, as on copies of one disk image. Create new ones: ` +
        "rm /etc/machine-id && systemd-machine-id-setup.",
    ),
    ...(without.length < 2 ? [] : [`${names(without)}: no machine ID. Create one on each: systemd-machine-id-setup.`]),
  ];
}
