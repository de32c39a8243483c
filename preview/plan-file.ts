/** The plan as a file, for a comment on a pull request. */
import { writeFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";

/** Environment variable that names the file; a relative path is relative to the project. If it is not set, no file is written. */
export const planFileVariable = "TAILKUBE_PLAN_FILE";

/** Writes Markdown into that file, only in a preview. A failure is only a warning. */
export function writePlanFile(markdown: string): void {
  const path = process.env[planFileVariable];
  if (path === undefined || path === "" || !pulumi.runtime.isDryRun()) {
    return;
  }
  try {
    writeFileSync(path, markdown);
  } catch (error) {
    const code = (error as { code?: string }).code ?? "it cannot be written";
    void pulumi.log.warn(`${planFileVariable}: ${JSON.stringify(path)} was not written (${code}).`);
  }
}
