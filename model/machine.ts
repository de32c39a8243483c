/** Identifies the machine behind a node's name. */
import { createHash } from "node:crypto";
import type { NodeConfig } from "./config";

/** A short, stable name for a list of values: 16 hex digits of SHA-256. */
export function fingerprint(parts: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}

/** A public host key without its comment. */
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

/** Replaces the address of a machine that the program creates, which cannot be declared. */
export const madeOnEc2 = "ec2";

/** Whether the program creates a machine of the config or the last run. */
export function isMade({ reached }: { reached?: string | undefined }): boolean {
  return reached === madeOnEc2;
}

export interface DeclaredMachine {
  /** Where it is reached: `192.0.2.11:22`, or `madeOnEc2`. */
  reached: string;
  /** Any text; empty if there is none. */
  identity: string;
  /** Absent if the program gets it from the host. */
  hostKey?: string;
}

/** A node's machine as the config declares it, for the preview. */
export function declaredMachine({ host }: Pick<NodeConfig, "host">): DeclaredMachine {
  const identity = host.identity ?? "";
  if (host.kind === "ec2") return { reached: madeOnEc2, identity };
  return {
    reached: `${host.address}:${host.port}`,
    identity,
    ...(host.hostKey !== undefined && { hostKey: host.hostKey }),
  };
}
