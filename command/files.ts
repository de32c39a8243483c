/** Files that only their owner may read. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";

/** Writes a file for its owner alone, whole or not at all; an existing one is replaced. */
export function writeNew(file: string, content: string | Buffer): void {
  const part = `${file}.tailkube-${process.pid}`;
  const descriptor = openSync(part, "wx", 0o600);
  try {
    try {
      const bytes = Buffer.from(content);
      for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(part, file);
  } catch (error) {
    rmSync(part, { force: true });
    throw error;
  }
}
