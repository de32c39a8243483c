/**
 * Makes the package `tailkube`: the library and the command, each as one file of JavaScript with what it uses of other packages in it, the
 * library's types, the hosts' scripts, and a manifest. Beside the SDK, a project then needs no other package for a cluster on bare hosts.
 *   node build/package.mjs [FOLDER]   default: dist/, which is emptied before
 */
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import bundling from "./bundle.cjs";

const { options, optional, peers } = bundling;
const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const target = resolve(process.argv[2] ?? join(root, "dist"));
const project = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** Writes library.js, and command.js made small. Returns the folders of the packages that are in them. */
function bundle() {
  const inputs = [
    build({ entryPoints: { library: "library.ts" } }),
    build({ entryPoints: { command: "command/bin.ts" }, minify: true }),
  ].flatMap(({ metafile }) => Object.keys(metafile.inputs));
  const folders = inputs.map((file) => /^(.*node_modules\/(@[^/]+\/)?[^/]+)\//.exec(file)?.[1]);
  return [...new Set(folders.filter((folder) => folder !== undefined))].sort();
}

const build = (more) =>
  buildSync({
    ...options,
    absWorkingDir: root,
    outdir: target,
    metafile: true,
    logLevel: "warning",
    ...more,
  });

/** The licenses of those packages, as they ask for. */
function licenses(folders) {
  return folders.map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
    const file = readdirSync(join(root, folder)).find((one) => /^licen[cs]e/i.test(one));
    if (file === undefined) throw new Error(`${folder} has no file with its license`);
    return `${name} ${version}${license ? ` (${license})` : ""}\n\n${readFileSync(join(root, folder, file), "utf8").trim()}\n`;
  });
}

/** Writes the types that library.d.ts needs. */
function types() {
  const all = mkdtempSync(join(tmpdir(), "tailkube-types-"));
  try {
    const tsc = [join(root, "node_modules/typescript/bin/tsc"), "-p", join(root, "build"), "--outDir", all];
    execFileSync(process.execPath, tsc, { stdio: "inherit" });
    const seen = new Set();
    const copy = (file) => {
      if (seen.has(file)) return;
      seen.add(file);
      const text = readFileSync(join(all, file), "utf8");
      mkdirSync(dirname(join(target, file)), { recursive: true });
      writeFileSync(join(target, file), text);
      for (const [, from] of text.matchAll(/\b(?:from|import\()\s*"([^"]+)"/g)) {
        if (from.startsWith(".")) copy(`${join(dirname(file), from)}.d.ts`);
        // Its types are not in the project of whoever installs the package.
        else if (!peers.includes(from)) throw new Error(`${file} has types of ${from}. Keep them out of library.d.ts`);
      }
    };
    copy("library.d.ts");
  } finally {
    rmSync(all, { recursive: true });
  }
}

/** Writes packed.json: what of the hosts' scripts would otherwise be packed in each run (components/hosts/packing.ts). */
function packScripts() {
  const file = join(target, "packing.cjs");
  build({ entryPoints: ["components/hosts/packed-stage.ts"], outdir: undefined, outfile: file });
  const { packAll, packedFile } = createRequire(import.meta.url)(file);
  writeFileSync(join(target, "packed.json"), packedFile(packAll()));
  rmSync(file);
}

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
writeFileSync(join(target, "THIRD-PARTY-LICENSES"), licenses(bundle()).join(`\n${"-".repeat(80)}\n\n`));
chmodSync(join(target, "command.js"), 0o755);
types();
for (const name of ["host", "README.md", "CHANGELOG.md", "LICENSE"]) {
  cpSync(join(root, name), join(target, name), { recursive: true });
}
packScripts();

const { name, version, description, license, engines, repository, dependencies } = project;
const manifest = {
  name,
  version,
  description,
  license,
  repository,
  keywords: ["pulumi", "kubernetes", "kubeadm", "tailscale", "cilium"],
  engines,
  main: "library.js",
  bin: { tailkube: "command.js" },
  types: "library.d.ts",
  exports: { ".": { types: "./library.d.ts", default: "./library.js" }, "./package.json": "./package.json" },
  peerDependencies: Object.fromEntries([...peers, ...optional].map((one) => [one, `^${dependencies[one]}`])),
  peerDependenciesMeta: Object.fromEntries(optional.map((one) => [one, { optional: true }])),
};
writeFileSync(join(target, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
