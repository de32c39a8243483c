/** Texts of host/ as gzip in base64, and the file that keeps them, so that a run packs only what has changed. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type * as Fflate from "fflate";
import { packageFolder } from "./script-text";

/**
 * The text as gzip in base64. Not by Node.js, whose zlib gives other bytes in other versions and on other processors: a stage would seem
 * changed to another operator. The lockfile pins fflate, and build/bundle.cjs makes it part of the program.
 */
export function pack(text: string): string {
  // Loaded only where something has to be packed.
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const { gzipSync } = require("fflate") as typeof Fflate;
  return Buffer.from(gzipSync(Buffer.from(text), { level: 9, mtime: 0 })).toString("base64");
}

export const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** By the SHA-256 of what was packed. */
export type Packed = Record<string, string>;

/** Made with the package (build/package.mjs). */
const shipped = join(packageFolder, "packed.json");
/** In a checkout. build/kept-bundle.cjs deletes it when the program changes. */
const kept = join(packageFolder, "node_modules/.cache/tailkube/packed.json");

/** What has been packed before; nothing unless the file is whole. */
export function readPacked(files: readonly string[] = [shipped, kept]): Packed {
  for (const file of files) {
    try {
      const [sum, text] = readFileSync(file, "utf8").split("\n", 2);
      if (sum === sha256(text!)) return JSON.parse(text!) as Packed;
    } catch {
      // There is none, or it cannot be read.
    }
  }
  return {};
}

/** The text of such a file. */
export function packedFile(packed: Packed): string {
  const text = JSON.stringify(packed);
  return `${sha256(text)}\n${text}\n`;
}

/** Keeps what has been packed, in a checkout; in a read-only folder, each run packs it. */
export function keepPacked(packed: Packed, file = kept): void {
  if (existsSync(shipped) || !existsSync(join(packageFolder, "node_modules"))) return;
  const draft = `${file}.${process.pid}`;
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(draft, packedFile(packed));
    renameSync(draft, file);
  } catch {
    if (existsSync(draft)) rmSync(draft);
  }
}
