#!/usr/bin/env node
/** The command in a checkout: its TypeScript becomes JavaScript in memory. The package has it compiled (build/package.mjs). */
"use strict";

const Module = require("node:module");
const { join } = require("node:path");
const { buildSync } = require("esbuild");

// In the place of a script's reader, whose folder is where the package's scripts are found from (components/hosts/script-text.ts).
const file = join(__dirname, "../components/hosts/command.js");
const { outputFiles } = buildSync({
  absWorkingDir: join(__dirname, ".."),
  entryPoints: ["command/bin.ts"],
  bundle: true,
  write: false,
  format: "cjs",
  platform: "node",
  target: "node20",
  packages: "external",
  logLevel: "error",
});
const module_ = new Module(file, module);
module_.filename = file;
module_.paths = Module._nodeModulePaths(__dirname);
module_._compile(outputFiles[0].text.replace(/^#!.*/, ""), file);
