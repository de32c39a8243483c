/** A project with the package as npm makes it, and with nothing but what its manifest asks for. */
import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";

const root = join(__dirname, "..");

/** Packs the package, and installs it and the SDK in that folder. Returns where the package is. */
export function installPackage(project: string): string {
  const dist = join(project, "dist");
  execFileSync(process.execPath, [join(root, "build/package.mjs"), dist], { stdio: "inherit" });
  const file = execFileSync("npm", ["pack", "--silent", "--pack-destination", project, dist], { encoding: "utf8" });
  const installed = join(project, "node_modules/tailkube");
  mkdirSync(installed, { recursive: true });
  execFileSync("tar", ["-xzf", join(project, file.trim()), "--strip-components=1", "-C", installed]);
  const sdk = join(project, "node_modules/@pulumi/pulumi");
  mkdirSync(dirname(sdk));
  symlinkSync(join(root, "node_modules/@pulumi/pulumi"), sdk);
  return installed;
}
