/**
 * What Pulumi starts: the program beside this folder. Its TypeScript becomes JavaScript in memory, all of it in some 0.1 s, and
 * node_modules is left as it is. Types are for `npm run types` and CI.
 *
 * `main` in Pulumi.yaml names this file because Pulumi looks for packages with plugins in and below its folder, and asks for each
 * plugin, used or not. Here it finds none. It gets a provider's plugin when the first resource of that provider is registered.
 */
"use strict";

const { readdirSync } = require("node:fs");
const Module = require("node:module");
const { join } = require("node:path");
const { buildSync } = require("esbuild");

const root = join(__dirname, "..");
/** Folders without a part of the program. */
const others = new Set(["bench", "build", "dist", "docs", "examples", "lab", "node_modules", "policy", "tests"]);

/** The program's files with the JavaScript that comes of them, or with the source map of that. */
function compile(what = ".js") {
  const folders = readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith(".") && !others.has(entry.name))
    .map(({ name }) => name);
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => join(folder, file)),
  );
  const { outputFiles } = buildSync({
    absWorkingDir: root,
    entryPoints: ["index.ts", ...files],
    outbase: root,
    outdir: root,
    write: false,
    format: "cjs",
    platform: "node",
    target: "node20",
    sourcemap: what === ".js" ? false : "external",
    logLevel: "error",
  });
  return new Map(
    outputFiles
      .filter(({ path }) => path.endsWith(what))
      .map(({ path, text }) => [`${path.slice(0, -what.length)}.ts`, text]),
  );
}

// Pulumi's SDK has stack traces formatted by source-map-support, and makes one for each of its promises: a tenth of a run, for nothing
// as long as there is no error. Until then Node.js formats them.
const { prepareStackTrace } = Error;
Error.prepareStackTrace = undefined;

let mapsLines = false;
/** Makes the lines in stack traces those of the TypeScript from now on. */
function mapLines() {
  if (mapsLines) return;
  mapsLines = true;
  Error.prepareStackTrace = prepareStackTrace;
  const maps = compile(".js.map");
  // It remembers that the files have no map.
  Module.createRequire(require.resolve("@pulumi/pulumi"))("source-map-support").install({
    emptyCacheBetweenOperations: true,
    retrieveSourceMap: (file) => (maps.has(file) ? { url: file, map: maps.get(file) } : null),
  });
}
process.prependListener("uncaughtException", mapLines);
process.prependListener("unhandledRejection", mapLines);

const texts = compile();
// Node.js tries suffixes in the order of this object, and `./releases` is the TypeScript, not the JSON beside it.
const { ".json": readJson } = Module._extensions;
delete Module._extensions[".json"];
Module._extensions[".ts"] = (module, file) => module._compile(texts.get(file), file);
Module._extensions[".json"] = readJson;

// Files in the stack's config are relative to the project.
process.chdir(root);

try {
  module.exports = require(join(root, "index.ts"));
} catch (error) {
  mapLines();
  throw error;
}
