/** What a host looks like, and how it differs from what it was. */
import * as lab from "./lab";

export interface HostState {
  files: string;
  network: string;
}

export function stateOf(host: lab.HostName): HostState {
  const look = (what: "snapshot" | "netstate") => {
    const text = lab.output("lab/hosts/hosts", [what, host]);
    // Two times nothing would be no difference.
    if (text === "") throw new Error(`hosts ${what} ${host} failed`);
    return text;
  };
  return { files: look("snapshot"), network: look("netstate") };
}

/** What a destroy may leave: packages and logs. Of a path that is allowed, everything below it is. */
export const allowed: readonly RegExp[] = [
  /^\/var\/log\//,
  /^\/var\/cache\//,
  // What package managers, systemd and NetworkManager note down for themselves.
  /^\/var\/lib\/(apt|dpkg|systemd|dbus|NetworkManager)\//,
  /^\/var\/tmp\/systemd-private-/,
  // The books of a containerd that was there before, but no image (blobs/sha256/…) and no snapshot (snapshots/…).
  /^\/var\/lib\/containerd(\/io\.containerd\.[^/]+)*(\/(meta(data)?\.db|uuid|k8s\.io|containers|sandboxes|blobs(\/sha256)?|ingest|opt|lib|bin))?$/,
];

/** Lines in one text and not in the other, with the sign of a diff; paths (the first word) that may differ are left out. */
export function difference(before: string, after: string, mayDiffer: readonly RegExp[] = []): string[] {
  const [a, b] = [new Set(before.split("\n")), new Set(after.split("\n"))];
  const keep = (line: string) => !mayDiffer.some((pattern) => pattern.test(line.split(/\s/)[0]!));
  return [
    ...[...a].filter((line) => !b.has(line) && keep(line)).map((line) => `- ${line}`),
    ...[...b].filter((line) => !a.has(line) && keep(line)).map((line) => `+ ${line}`),
  ];
}
