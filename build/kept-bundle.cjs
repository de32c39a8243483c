/**
 * A part of the project as one file of JavaScript, for a checkout (program/index.js, command/tailkube.cjs). That takes half a second to
 * make, so it is kept in node_modules/.cache until a source or a package changes.
 */
"use strict";

const { createHash } = require("node:crypto");
const { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } = require("node:fs");
const Module = require("node:module");
const { join } = require("node:path");

const root = join(__dirname, "..");
const cache = join(root, "node_modules/.cache/tailkube");
/** What the file depends on beside its sources. */
const makers = ["build/bundle.cjs", "build/kept-bundle.cjs", "package-lock.json"];

// From Node.js 22.1 on, it also keeps what V8 makes of the packages' files.
Module.enableCompileCache?.(join(cache, "v8"));

/**
 * Makes the file: its text, its source map, and the list of the files that it is made of.
 *
 * @param entry the TypeScript file, relative to the project.
 * @param name where the file would lie if it were on the disk: paths in it are relative to that.
 */
function bundle(entry, name) {
  const { options } = require("./bundle.cjs");
  const { metafile, outputFiles } = require("esbuild").buildSync({
    ...options,
    absWorkingDir: root,
    entryPoints: [entry],
    outfile: name,
    write: false,
    metafile: true,
    sourcemap: "external",
    logLevel: "error",
  });
  const output = (suffix) => outputFiles.find(({ path }) => path.endsWith(suffix)).text;
  return {
    files: Object.keys(metafile.inputs),
    // Only the first line of what is compiled may be one for the shell.
    text: output(".js").replace(/^#!.*/, ""),
    map: output(".js.map"),
  };
}

/** Changes with the text, its sources, and the packages' files, of which size and time are enough. */
function signature(files, text) {
  const hash = createHash("sha256").update(text);
  for (const file of [...makers, ...files]) {
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

/** The kept text; undefined if there is none, or if it is not of today's files. */
function read(kept) {
  try {
    const [, head, text] = /^\/\/ (.*)\n([^]*)$/.exec(readFileSync(kept, "utf8"));
    const { files, signature: former } = JSON.parse(head);
    return signature(files, text) === former ? text : undefined;
  } catch {
    // No file, not one of these, or a source is gone.
    return undefined;
  }
}

/** Keeps the text, unless that cannot be: in a read-only folder, each run makes it. */
function keep(kept, { files, text }) {
  const draft = `${kept}.${process.pid}`;
  try {
    mkdirSync(cache, { recursive: true });
    writeFileSync(draft, `// ${JSON.stringify({ signature: signature(files, text), files })}\n${text}`);
    renameSync(draft, kept);
    // What another program has packed (components/hosts/packing.ts).
    rmSync(join(cache, "packed.json"), { force: true });
  } catch {
    if (existsSync(draft)) rmSync(draft);
  }
}

/**
 * A module of the project, from its TypeScript.
 *
 * @param name of the file in the cache, and of the module in the project's folder.
 */
function keptModule(entry, name) {
  const file = join(root, name);
  const kept = join(cache, name);
  return {
    file,
    sourceMap: () => bundle(entry, file).map,
    /** Runs it. Returns its exports. */
    load() {
      let text = read(kept);
      if (text === undefined) {
        const made = bundle(entry, file);
        keep(kept, made);
        text = made.text;
      }
      const loaded = new Module(file, module);
      loaded.filename = file;
      loaded.paths = Module._nodeModulePaths(root);
      loaded._compile(text, file);
      return loaded.exports;
    },
  };
}

module.exports = { keptModule, root };
