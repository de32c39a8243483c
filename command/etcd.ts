/** `tailkube etcd`. */
import { createHash } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { controlPlanes } from "../model/nodes";
import { isKnown } from "./answers";
import { onFirstControlPlane } from "./checks";
import { exitCodes, Failure } from "./failure";
import { snapshotScript } from "./host-script";
import { onAll, progress } from "./parallel";
import { onHost, rootCommand } from "./reach";
import type { ClusterAccess } from "./stack";
import { hostFacts } from "./status/facts";
import { askHost } from "./status/gather";
import { table } from "./table";
import { minute, stamp } from "./times";

/** For a database of 8 GB, etcd's largest, on a connection of 50 Mbit/s. */
const seconds = 1800;

/** What `host/command/snapshot.sh` prints: anything, the header, the bytes, anything. Writes the bytes to a file as they come. */
export class SnapshotReader {
  private waiting = Buffer.alloc(0);
  private header?: { sum: string; bytes: number };
  private written = 0;
  private readonly hash = createHash("sha256");

  constructor(private readonly write: (data: Buffer) => void) {}

  push(data: Buffer): void {
    if (this.header !== undefined) return this.take(data);
    this.waiting = Buffer.concat([this.waiting, data]);
    // Text before it has no limit that is known; the header is a line of its own.
    const found = /(?:^|\n)tailkube-snapshot ([0-9a-f]{64}) (\d+)\n/.exec(this.waiting.toString("latin1"));
    if (found === null) return;
    this.header = { sum: found[1]!, bytes: Number(found[2]) };
    const rest = this.waiting.subarray(found.index + found[0].length);
    this.waiting = Buffer.alloc(0);
    this.take(rest);
  }

  private take(data: Buffer): void {
    const part = data.subarray(0, this.header!.bytes - this.written);
    if (part.length === 0) return;
    this.hash.update(part);
    this.write(part);
    this.written += part.length;
  }

  /** Its size in bytes; undefined unless all of it has come as it was sent. */
  end(): number | undefined {
    const { header } = this;
    if (header === undefined || this.written !== header.bytes) return undefined;
    return this.hash.digest("hex") === header.sum ? header.bytes : undefined;
  }
}

/** A new snapshot in a file of this machine, for its owner alone. */
export async function etcdSnapshot(cluster: ClusterAccess, given: string | undefined): Promise<number> {
  const file = given ?? `${cluster.clusterName}-etcd-${stamp(new Date())}.db`;
  if (existsSync(file)) throw new Failure(`${file} is there already. Name another file`, exitCodes.usage);
  const part = `${file}.part`;
  const bytes = await download(cluster, part);
  renameSync(part, file);
  progress(
    `${file}: ${(bytes / 1e6).toFixed(1)} MB. It has every object of the cluster; Secrets in it are encrypted, and only the stack's state has their key.`,
  );
  progress(restoreHelp(file));
  return exitCodes.ok;
}

async function download(cluster: ClusterAccess, part: string): Promise<number> {
  let bytes: number | undefined;
  try {
    const { node, ran } = await onFirstControlPlane(cluster, async (on) => {
      progress(`taking a snapshot on ${on.name}`);
      rmSync(part, { force: true });
      const descriptor = openSync(part, "wx", 0o600);
      try {
        const reader = new SnapshotReader((data) => void writeSync(descriptor, data));
        const script = {
          command: rootCommand(on, `timeout --kill-after=10 ${seconds} bash -s`),
          input: snapshotScript(on),
        };
        const result = await onHost(on, { ...script, seconds: seconds + 30, onData: (data) => reader.push(data) });
        bytes = reader.end();
        fsyncSync(descriptor);
        return result;
      } finally {
        closeSync(descriptor);
      }
    });
    if (ran.status !== 0 || bytes === undefined || statSync(part).size !== bytes) {
      throw new Failure(`${node.name}: no whole snapshot arrived: ${ran.stderr.split("\n").at(-1) ?? ""}`);
    }
    return bytes;
  } catch (error) {
    rmSync(part, { force: true });
    throw error;
  }
}

/** A restore changes hosts, so it is a run of Pulumi. */
export const restoreHelp = (file: string): string =>
  [
    "To restore it after the loss of all control planes (docs/operate/disaster.md):",
    "  1. Reinstall the machines, and give each of them a new host.identity in the config.",
    `  2. Copy ${file} to the first control plane, for example to /root/now.db.`,
    "  3. pulumi config set --path tailkube:kubernetes.restoreSnapshot /root/now.db",
    "  4. pulumi up, then pulumi config rm --path tailkube:kubernetes.restoreSnapshot",
  ].join("\n");

/** The snapshots on the hosts. */
export async function etcdList(cluster: ClusterAccess, { json }: { json: boolean }): Promise<number> {
  const all = await onAll(controlPlanes(cluster.nodes), async (node) => {
    const answers = await askHost("status", cluster, node);
    if (!isKnown(answers)) return { node: node.name, snapshots: answers };
    const { controlPlane } = hostFacts(answers.value, { isControlPlane: true, isTailnet: false });
    return { node: node.name, snapshots: controlPlane!.snapshots };
  });
  if (json) {
    process.stdout.write(
      `${JSON.stringify(
        all.map(({ node, snapshots }) => ({ node, ...snapshots })),
        undefined,
        2,
      )}\n`,
    );
  } else {
    const rows = all.flatMap(({ node, snapshots }) =>
      "none" in snapshots
        ? [[node, `no answer: ${snapshots.none}`, "", ""]]
        : snapshots.value.map(({ file, made, bytes }) => [
            node,
            `/var/lib/tailkube/snapshots/${file}`,
            `${(bytes / 1e6).toFixed(1)} MB`,
            minute(made),
          ]),
    );
    const lines =
      rows.length === 0
        ? ["no control plane has a snapshot. Take one: tailkube etcd snapshot"]
        : table([["NODE", "FILE", "SIZE", "TIME (UTC)"], ...rows]);
    process.stdout.write(`${lines.join("\n")}\n`);
  }
  return all.every(({ snapshots }) => !isKnown(snapshots)) ? exitCodes.notAsked : exitCodes.ok;
}
