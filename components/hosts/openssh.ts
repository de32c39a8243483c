/**
 * How OpenSSH's own client reaches bare hosts: through jump hosts, with keys of several files, a passphrase, the operator's ssh-agent, or
 * a password of sudo. Pure; host/operator/ssh-config.sh uses what it returns.
 */
import type { ClusterConfig, JumpHost, SshHostConfig } from "../../model/config";
import { fingerprint } from "../../model/machine";

/** Private SSH keys, and what else only stdin may carry. */
export interface SshSecrets {
  /** The stack's key; empty if all hosts have their own, or the operator's agent has it. */
  privateKey: string;
  /** Contents of other files with keys, by their path. */
  keyFiles: Readonly<Record<string, string>>;
  passphrase?: string | undefined;
  /** sudo's password for a host's user. */
  sudoPassword?: string | undefined;
}

/** A host as the client reaches it. */
export interface Way {
  host: SshHostConfig;
  /** What the operator's machine dials, after the program has found out what becomes known during the run. */
  address: string;
  /** Its pinned key; undefined before the first contact. */
  hostKey?: string | undefined;
  agent: boolean;
}

/** Whether the client reaches the cluster's hosts, or the provider's own SSH. All hosts are reached in the same way. */
export const usesOpenSsh = ({ ssh }: Pick<ClusterConfig, "ssh">): boolean => ssh.openssh === true;

/** What the program calls a file's key in ssh's configuration. No name shows a path. */
const keyId = (file: string | undefined) => (file === undefined ? "stack" : `file-${fingerprint([file])}`);

/** OpenSSH's names of the signatures that prove a host key of a type. */
function algorithmsOf(hostKey: string): string {
  const type = hostKey.split(" ")[0]!;
  return type === "ssh-rsa" ? "rsa-sha2-512,rsa-sha2-256" : type;
}

/** Of ssh_config: of the key of one hop. */
function identity(keyFile: string | undefined, agent: boolean): string[] {
  return keyFile === undefined && agent
    ? ['IdentityAgent "@AGENT@"', "IdentityFile none"]
    : [`IdentityFile "@DIRECTORY@/key-${keyId(keyFile)}.pub"`, "IdentitiesOnly yes"];
}

/** ssh's configuration for a host, which it calls tailkube-host. ssh-config.sh replaces @DIRECTORY@, @NAME@ and @AGENT@. */
export function wayText({ host, address, hostKey, agent }: Way): string {
  const via = host.via ?? [];
  const last = { ...host, address, ...(hostKey !== undefined && { hostKey }) };
  const hops = [...via.map((jump, i) => ({ name: jumpName(i), ...jump })), { ...last, name: "tailkube-host" }];
  const known = hops
    .filter((hop) => hop.hostKey !== undefined)
    .map((hop) => `# known ${hop.name} ${hop.hostKey!.split(" ").slice(0, 2).join(" ")}`);
  const sections = hops.flatMap((hop, i) => [
    `Host ${hop.name}`,
    ...[
      `HostName ${hop.address}`,
      `Port ${hop.port}`,
      `User ${hop.user}`,
      `HostKeyAlias ${hop.name}`,
      ...(hop.hostKey === undefined ? [] : [`HostKeyAlgorithms ${algorithmsOf(hop.hostKey)}`]),
      ...identity(hop.keyFile, agent),
      ...(i === 0 ? [] : [`ProxyJump ${jumpName(i - 1)}`]),
      // Only at this level a jump host's refusal to forward is printed, and also its banner.
      `LogLevel ${i < via.length ? "INFO" : "ERROR"}`,
    ].map((line) => `    ${line}`),
  ]);
  return [...known, ...sections, ...common].join("\n");
}

const jumpName = (i: number) => `tailkube-via-${i + 1}`;

const common = [
  "Host *",
  ...[
    "BatchMode yes",
    "ConnectTimeout 20",
    "StrictHostKeyChecking yes",
    'UserKnownHostsFile "@DIRECTORY@/@NAME@.known"',
    "GlobalKnownHostsFile /dev/null",
    "UpdateHostKeys no",
    "PreferredAuthentications publickey",
    "ServerAliveInterval 10",
    "ServerAliveCountMax 6",
    "ControlPath none",
  ].map((line) => `    ${line}`),
];

/** The lines that ssh-config.sh reads from stdin before an empty one: the keys of all hops of the ways, once each. */
export function secretLines(
  ways: readonly (Pick<Way, "agent"> & { host: Pick<SshHostConfig, "via" | "keyFile"> })[],
  secrets: SshSecrets,
): string {
  const files = ways.flatMap(({ host, agent }) =>
    [host, ...(host.via ?? [])].map(({ keyFile }: Pick<JumpHost, "keyFile">) => ({ keyFile, agent })),
  );
  const keys = new Map(
    files
      .filter(({ keyFile, agent }) => keyFile !== undefined || !agent)
      .map(({ keyFile }) => [keyId(keyFile), keyFile === undefined ? secrets.privateKey : secrets.keyFiles[keyFile]]),
  );
  const { passphrase, sudoPassword } = secrets;
  return [
    ...(passphrase === undefined ? [] : [`passphrase ${base64(passphrase)}`]),
    ...(sudoPassword === undefined ? [] : [`sudo ${base64(sudoPassword)}`]),
    ...[...keys].map(([id, key]) => `key key-${id} ${base64(`${(key ?? "").replaceAll("\r", "").trim()}\n`)}`),
    "",
  ].join("\n");
}

export const base64 = (text: string) => Buffer.from(text).toString("base64");

/** sudo's password for a node's user: its own line of sudoPasswords, or the one for all; undefined for root. */
export function sudoPasswordOf(
  { name, user }: { name: string; user: string },
  forAll: string | undefined,
  lines: string | undefined,
): string | undefined {
  if (user === "root") return undefined;
  return sudoPasswordLines(lines ?? "")?.get(name) ?? forAll;
}

/** `NODE PASSWORD`, one per line; undefined if a line is not that. */
export function sudoPasswordLines(text: string): ReadonlyMap<string, string> | undefined {
  const found = new Map<string, string>();
  for (const line of text.split("\n").map((one) => one.replace(/\r$/, ""))) {
    if (line.trim() === "") continue;
    const match = /^\s*([a-z0-9-]+) (.+)$/.exec(line);
    if (match === null) return undefined;
    found.set(match[1]!, match[2]!);
  }
  return found;
}
