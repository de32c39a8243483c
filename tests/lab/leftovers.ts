/** What a host looks like, and how it differs from what it was. */
import { execFileSync } from "node:child_process";
import { expect } from "chai";
import * as lab from "./lab";

export interface HostState {
  files: string;
  network: string;
  packages: string[];
}

export function stateOf(host: lab.HostName): HostState {
  const look = (what: "snapshot" | "netstate") => lab.output("lab/hosts/hosts", [what, host]);
  return { files: look("snapshot"), network: look("netstate"), packages: packagesOf(host) };
}

/** Prints the names of the packages that are installed, a line each. */
export const listPackages = "dpkg-query -W -f '${db:Status-Status} ${Package}\\n' | sed -n 's/^installed //p'";

const packagesOf = (host: lab.HostName) => lab.onHost(host, listPackages).trim().split("\n");

/**
 * Takes away what a destroy leaves: the packages that have come since, with what they keep. Those that gave way come back. When its
 * package goes, tailscaled cleans up by iptables, which makes the tables that it is asked for.
 */
export function takePackagesBack(host: lab.HostName, { packages: before }: HostState): void {
  const now = packagesOf(host);
  const [came, gone] = [now.filter((name) => !before.includes(name)), before.filter((name) => !now.includes(name))];
  const script = `set -e; export DEBIAN_FRONTEND=noninteractive
    apt-get purge -y -qq ${came.join(" ")}
    nft list tables | while read -r table; do nft list $table | grep -q chain || nft delete $table; done
    rm -rf /opt/containerd
    for folder in /var/lib/containerd /run/containerd; do [ ! -d $folder ] || find $folder -xdev -mindepth 1 -delete; done
    if [ -n "${gone.join(" ")}" ]; then apt-get update -qq; apt-get install -y -qq --no-install-recommends ${gone.join(" ")}; fi`;
  if (came.length > 0)
    execFileSync("lab/hosts/hosts", ["exec", host, "bash", "-c", script], { cwd: lab.root, timeout: 300_000 });
}

/** What a destroy may leave beside packages: logs and the like. An allowed path includes everything below it. */
export const allowed: readonly RegExp[] = [
  /^\/var\/log\//,
  /^\/var\/cache\//,
  // dpkg-db-backup.timer writes it at midnight.
  /^\/var\/backups\//,
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

/** The host's disk and network are as they were; paths that may differ are left out. */
export function expectAsBefore(host: lab.HostName, { files, network }: HostState, mayDiffer: readonly RegExp[]): void {
  const now = stateOf(host);
  expect(difference(files, now.files, mayDiffer), `the file system of ${host}`).to.deep.equal([]);
  expect(difference(network, now.network), `the network of ${host}`).to.deep.equal([]);
}
