/** Hosts by their names in ssh's own configuration (ssh.configFile). */
import type { JumpHost } from "../model/config";
import { type Operator, unsetMark, unsetPort } from "./operator";

/** What the file says of a host; undefined for what it does not say. */
export interface ResolvedHost {
  address: string;
  user?: string;
  port?: number;
  /** Files with its private keys, in ssh's order. */
  keyFiles: string[];
  via: ResolvedJump[];
}

export type ResolvedJump = JumpHost & { keyFiles: string[] };

/** An error for the user: what is wrong with the entry, and what to do. */
export class SshConfigError extends Error {
  constructor(
    readonly wrong: string,
    readonly fix: string,
  ) {
    super(wrong);
  }
}

/** @throws SshConfigError */
export function resolveHost(operator: Operator, file: string, name: string): ResolvedHost {
  const settings = settingsOf(operator, file, name);
  return {
    address: settings.address,
    ...(settings.user !== undefined && { user: settings.user }),
    ...(settings.port !== undefined && { port: settings.port }),
    keyFiles: settings.keyFiles,
    via: resolveJumps(operator, file, settings.proxyJump, 8),
  };
}

/** As ssh does: of several jump hosts, the first one may have jump hosts of its own in the file. */
function resolveJumps(operator: Operator, file: string, jumps: string | undefined, depth: number): ResolvedJump[] {
  if (jumps === undefined) return [];
  if (depth === 0)
    throw new SshConfigError("has jump hosts in ssh.configFile that lead to each other", "Correct their ProxyJump.");
  return jumps.split(",").flatMap((jump, i) => {
    const { own, ...resolved } = resolveJump(operator, file, jump);
    return [...(i === 0 ? resolveJumps(operator, file, own, depth - 1) : []), resolved];
  });
}

interface Settings {
  address: string;
  user?: string | undefined;
  port?: number | undefined;
  keyFiles: string[];
  proxyJump?: string | undefined;
  hostKeyAlias?: string | undefined;
  knownHosts: string[];
}

function settingsOf(operator: Operator, file: string, name: string): Settings {
  let text: string;
  try {
    text = operator.sshSettings(file, name);
  } catch (error) {
    throw new SshConfigError(
      `has an entry in ssh.configFile that ssh cannot read (${(error as Error).message})`,
      "Correct the file.",
    );
  }
  const all = (key: string) =>
    text
      .split("\n")
      .flatMap((line) => (line.toLowerCase().startsWith(`${key} `) ? [line.slice(key.length + 1).trim()] : []));
  const one = (key: string) => all(key).find((value) => value !== "none" && value !== unsetMark);
  if (one("proxycommand") !== undefined) {
    throw new SshConfigError(
      "has a ProxyCommand in ssh.configFile, which the program does not run",
      "Use ProxyJump there.",
    );
  }
  const port = Number(one("port"));
  return {
    address: one("hostname") ?? name,
    user: one("user"),
    port: port === unsetPort ? undefined : port,
    keyFiles: all("identityfile").filter((path) => path !== unsetMark && path !== "none"),
    proxyJump: one("proxyjump"),
    hostKeyAlias: one("hostkeyalias"),
    knownHosts: [...all("userknownhostsfile"), ...all("globalknownhostsfile")].flatMap((paths) => paths.split(" ")),
  };
}

/** `[USER@]HOST[:PORT]`, or a name in the file. Its key is the one that the user's known_hosts has. */
function resolveJump(operator: Operator, file: string, jump: string): ResolvedJump & { own: string | undefined } {
  // ssh writes an IPv4 address in brackets.
  const match = /^(?:ssh:\/\/)?(?:(.+)@)?\[?(.+?)\]?(?::(\d+))?$/.exec(jump)!;
  const [, user, name, port] = match as unknown as [string, string | undefined, string, string | undefined];
  const settings = settingsOf(operator, file, name);
  const at = { address: settings.address, port: Number(port ?? settings.port ?? 22) };
  const login = user ?? settings.user;
  if (login === undefined) {
    throw new SshConfigError(`has the jump host ${name} in ssh.configFile, which has no User there`, "Add it there.");
  }
  const hostKey = knownKey(operator, name, at, settings);
  return { ...at, user: login, hostKey, keyFiles: settings.keyFiles, own: settings.proxyJump };
}

const preferred = [/^ssh-ed25519$/, /^ecdsa-sha2-/, /^ssh-rsa$/];

function knownKey(operator: Operator, name: string, at: { address: string; port: number }, settings: Settings): string {
  const host = settings.hostKeyAlias ?? at.address;
  const entry = at.port === 22 || settings.hostKeyAlias !== undefined ? host : `[${host}]:${at.port}`;
  const keys = operator
    .knownHost(settings.knownHosts, entry)
    .filter((line) => !line.startsWith("@"))
    .map((line) => line.split(" ").slice(1, 3));
  const key = preferred.flatMap((type) => keys.filter((one) => type.test(one[0] ?? "")))[0];
  if (key !== undefined) return key.join(" ");
  throw new SshConfigError(
    `has the jump host ${name} in ssh.configFile, whose key is not in ${settings.knownHosts[0] ?? "known_hosts"}`,
    `Connect to it once and compare its key (ssh ${name}), or set host.via with its hostKey.`,
  );
}
