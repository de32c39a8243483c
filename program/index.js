/**
 * What Pulumi starts: the program beside this folder, as one file of JavaScript. That takes half a second to make, so it is kept in
 * node_modules/.cache until a source or a package changes. Types are for `npm run types` and CI.
 *
 * `main` in Pulumi.yaml names this file because Pulumi looks for packages with plugins in and below its folder, and asks for each
 * plugin, used or not. Here it finds none. It gets a provider's plugin when the first resource of that provider is registered.
 */
"use strict";

const { createHash } = require("node:crypto");
const { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } = require("node:fs");
const Module = require("node:module");
const { join } = require("node:path");

const root = join(__dirname, "..");
/** Where the file would lie if it were on the disk: paths in it are relative to that. */
const name = join(root, "index.js");
const cache = join(root, "node_modules/.cache/tailkube");
const kept = join(cache, "program.js");

// From Node.js 22.1 on, it also keeps what V8 makes of the packages' files.
Module.enableCompileCache?.(join(cache, "v8"));

/** Makes the program, its source map, and the list of the files that it is made of. */
function bundle() {
  const { options } = require("../build/bundle.cjs");
  const { metafile, outputFiles } = require("esbuild").buildSync({
    ...options,
    absWorkingDir: root,
    entryPoints: ["index.ts"],
    outfile: name,
    write: false,
    metafile: true,
    sourcemap: "external",
    logLevel: "error",
  });
  const output = (suffix) => outputFiles.find(({ path }) => path.endsWith(suffix)).text;
  return { files: Object.keys(metafile.inputs), text: output(".js"), map: output(".js.map") };
}

/** Changes with the program's text, its sources, and the packages' files, of which size and time are enough. */
function signature(files, text) {
  const hash = createHash("sha256").update(text);
  for (const file of ["build/bundle.cjs", "package-lock.json", ...files]) {
    const path = join(root, file);
    hash.update(`\0${file}\0`);
    if (!file.startsWith("node_modules/")) hash.update(readFileSync(path));
    else {
      const { size, mtimeMs } = statSync(path);
      hash.update(`${size} ${mtimeMs}`);
    }
  }
  return hash.digest("hex");
}

/** The kept program; undefined if there is none, or if it is not of today's files. */
function read() {
  try {
    const [, head, text] = /^\/\/ (.*)\n([^]*)$/.exec(readFileSync(kept, "utf8"));
    const { files, signature: former } = JSON.parse(head);
    return signature(files, text) === former ? text : undefined;
  } catch {
    // No file, not one of these, or a source is gone.
    return undefined;
  }
}

/** Keeps the program, unless that cannot be: in a read-only folder, each run makes it. */
function keep({ files, text }) {
  const draft = `${kept}.${process.pid}`;
  try {
    mkdirSync(cache, { recursive: true });
    writeFileSync(draft, `// ${JSON.stringify({ signature: signature(files, text), files })}\n${text}`);
    renameSync(draft, kept);
  } catch {
    if (existsSync(draft)) rmSync(draft);
  }
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
  const { map } = bundle();
  // It remembers that the file has no map.
  Module.createRequire(require.resolve("@pulumi/pulumi"))("source-map-support").install({
    emptyCacheBetweenOperations: true,
    retrieveSourceMap: (file) => (file === name ? { url: file, map } : null),
  });
}
process.prependListener("uncaughtException", mapLines);
process.prependListener("unhandledRejection", mapLines);

let text = read();
if (text === undefined) {
  const made = bundle();
  keep(made);
  text = made.text;
}

// Pulumi's SDK sends the engine some five messages for each resource, with all of its outputs, and waits for each in turn: half a second
// of a run, for a log that is rarely read.
if (!process.env.TAILKUBE_SDK_DEBUG) require("@pulumi/pulumi/log").debug = () => Promise.resolve();

// Files in the stack's config are relative to the project.
process.chdir(root);

const program = new Module(name, module);
program.filename = name;
program.paths = Module._nodeModulePaths(root);
try {
  program._compile(text, name);
} catch (error) {
  mapLines();
  throw error;
}
module.exports = program.exports;
