/**
 * What Pulumi starts: the program beside this folder, as one file of JavaScript. Types are for `npm run types` and CI.
 *
 * `main` in Pulumi.yaml names this file because Pulumi looks for packages with plugins in and below its folder, and asks for each
 * plugin, used or not. Here it finds none. It gets a provider's plugin when the first resource of that provider is registered.
 */
"use strict";

const { createRequire } = require("node:module");
const { keptModule, root } = require("../build/kept-bundle.cjs");

const program = keptModule("index.ts", "program.js");

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
  const map = program.sourceMap();
  // It remembers that the file has no map.
  createRequire(require.resolve("@pulumi/pulumi"))("source-map-support").install({
    emptyCacheBetweenOperations: true,
    retrieveSourceMap: (file) => (file === program.file ? { url: file, map } : null),
  });
}
process.prependListener("uncaughtException", mapLines);
process.prependListener("unhandledRejection", mapLines);

// Pulumi's SDK sends the engine some five messages for each resource, with all of its outputs, and waits for each in turn: half a second
// of a run, for a log that is rarely read.
if (!process.env.TAILKUBE_SDK_DEBUG) require("@pulumi/pulumi/log").debug = () => Promise.resolve();

// Files in the stack's config are relative to the project.
process.chdir(root);

try {
  module.exports = program.load();
} catch (error) {
  mapLines();
  throw error;
}
