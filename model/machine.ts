/** Which machine is behind a node's name. */
import { createHash } from "node:crypto";
import type { NodeConfig } from "./config";

/** A short, stable name for a list of texts: 16 hex digits of SHA-256. */
export function fingerprint(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}

/** A public host key without its comment, which says nothing of the machine. */
export function bareHostKey(hostKey: string): string {
  return hostKey.split(" ").slice(0, 2).join(" ");
}

/**
 * A machine's name: it changes with the machine, or when the user says so.
 *
 * @param identity the text in the node's config; empty if there is none.
 * @param hostKey its public SSH host key.
 */
export function machineName(identity: string, hostKey: string): string {
  return fingerprint([identity, bareHostKey(hostKey)]);
}

/** Stands for the address of a machine that is made: that, and its host key, are nobody's to declare. */
export const madeOnEc2 = "ec2";

/** Whether a machine, of the config or of the last run, is one that the program makes. */
export function isMade({ reached }: { reached?: string | undefined }): boolean {
  return reached === madeOnEc2;
}

/** What the config says of a node's machine. */
export interface DeclaredMachine {
  /** Where it is reached: `192.0.2.11:22`; `madeOnEc2` for a machine that is made. */
  reached: string;
  /** Any text of the user's; empty if there is none. */
  identity: string;
  /** Absent where the host is asked for it. */
  hostKey?: string;
}

/** The one place that reads a node's host for the planner. */
export function declaredMachine({ host }: Pick<NodeConfig, "host">): DeclaredMachine {
  const identity = host.identity ?? "";
  if (host.kind === "ec2") return { reached: madeOnEc2, identity };
  return {
    reached: `${host.address}:${host.port}`,
    identity,
    ...(host.hostKey !== undefined && { hostKey: host.hostKey }),
  };
}
