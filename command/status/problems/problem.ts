/** What is wrong with a cluster: data, printed once at the end. */
import { day } from "../../times";
import type { NodeState } from "../state";

export interface Problem {
  /** Stable, for scripts. */
  id: string;
  level: "error" | "warning";
  node?: string;
  /** One line. */
  what: string;
  /** What it was concluded from. */
  evidence: string[];
  /** Steps, in their order. */
  cure: string[];
}

/** A command on a node, with root's rights, as the operator types it. */
export const onNode = ({ name, user }: Pick<NodeState, "name" | "user">, command: string): string =>
  `tailkube ssh ${name} -- ${user === "root" ? "" : "sudo "}${command}`;

const daysBetween = (from: Date, to: Date) => Math.floor((to.getTime() - from.getTime()) / 86_400_000);

/** `expired on 2026-11-01 (28 days ago)`, or `expires on 2026-12-10 (in 11 days)`. */
export function expiry(expires: Date, now: Date): string {
  const isOver = expires <= now;
  const days = isOver ? daysBetween(expires, now) : daysBetween(now, expires);
  const many = days === 0 ? "less than a day" : days === 1 ? "1 day" : `${days} days`;
  return isOver ? `expired on ${day(expires)} (${many} ago)` : `expires on ${day(expires)} (in ${many})`;
}

export const inDays = (now: Date, days: number) => new Date(now.getTime() + days * 86_400_000);
