/** The plan as a file, for a comment on a pull request. */
import { rmSync, writeFileSync } from "node:fs";
import { format, parse } from "node:path";
import * as pulumi from "@pulumi/pulumi";

/** Environment variable that names the file; a relative path is relative to the project. If it is not set, no file is written. */
export const planFileVariable = "TAILKUBE_PLAN_FILE";

/** What was written for that path, by the clusters' names. */
const written = new Map<string, Map<string, string>>();

/**
 * Writes a cluster's Markdown into that file, only in a preview. If a program has several clusters, each has its own file, with the
 * cluster's name after the file's. A failure is only a warning.
 */
export function writePlanFile(cluster: string, markdown: string): void {
  const path = process.env[planFileVariable];
  if (path === undefined || path === "" || !pulumi.runtime.isDryRun()) return;
  const texts = written.get(path) ?? new Map<string, string>();
  written.set(path, texts.set(cluster, markdown));
  try {
    if (texts.size === 1) return writeFileSync(path, markdown);
    // The first one may have been written as if it were alone.
    rmSync(path, { force: true });
    for (const [name, text] of texts) writeFileSync(withName(path, name), text);
  } catch (error) {
    const code = (error as { code?: string }).code ?? "it cannot be written";
    void pulumi.log.warn(`${planFileVariable}: ${JSON.stringify(path)} was not written (${code}).`);
  }
}

/** `plan.md` as `plan-home.md`. A resource may have any name, a file may not. */
function withName(path: string, cluster: string): string {
  const { dir, name, ext } = parse(path);
  return format({ dir, name: `${name}-${encodeURIComponent(cluster)}`, ext });
}
