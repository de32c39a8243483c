/**
 * Makes the package `tailkube`: the library as JavaScript with its types, what it reads when it runs, and a manifest.
 *   node build/package.mjs [FOLDER]   default: dist/, which is emptied before
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const target = resolve(process.argv[2] ?? join(root, "dist"));

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
execFileSync(
  process.execPath,
  [join(root, "node_modules/typescript/bin/tsc"), "-p", join(root, "build"), "--outDir", target],
  {
    stdio: "inherit",
  },
);
for (const name of ["host", "README.md", "CHANGELOG.md", "LICENSE"]) {
  cpSync(join(root, name), join(target, name), { recursive: true });
}

const { name, version, description, license, engines, repository, dependencies } = JSON.parse(
  readFileSync(join(root, "package.json"), "utf8"),
);
/** One that the program loads must be the one that the library loads. */
const peers = ["@pulumi/pulumi"];
/** Loaded where a cluster uses them. */
const optional = ["@pulumi/aws", "@pulumi/tailscale"];
/** Of the program, which compiles itself. */
const notInLibrary = ["esbuild"];
const versions = (names) => Object.fromEntries(names.map((one) => [one, `^${dependencies[one]}`]));
const own = Object.keys(dependencies).filter((one) => ![...peers, ...optional, ...notInLibrary].includes(one));

const manifest = {
  name,
  version,
  description,
  license,
  repository,
  keywords: ["pulumi", "kubernetes", "kubeadm", "tailscale", "cilium"],
  engines,
  main: "library.js",
  types: "library.d.ts",
  exports: { ".": { types: "./library.d.ts", default: "./library.js" }, "./package.json": "./package.json" },
  dependencies: versions(own),
  peerDependencies: versions([...peers, ...optional]),
  peerDependenciesMeta: Object.fromEntries(optional.map((one) => [one, { optional: true }])),
};
writeFileSync(join(target, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
