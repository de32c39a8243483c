/** Files that a config names. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** Reads a file; a relative path is relative to the working directory, and `~/` is the user's home. */
export function readProjectFile(path: string): string {
  return readFileSync(path.startsWith("~/") ? join(homedir(), path.slice(2)) : resolve(path), "utf8");
}
