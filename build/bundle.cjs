/**
 * How the program becomes one file of JavaScript, with what it uses of other packages in it: for the package `tailkube`
 * (build/package.mjs), and for the program itself (program/index.js). One file loads in a third of the time of many.
 */
"use strict";

/** One that the program loads must be the one that the library loads. */
const peers = ["@pulumi/pulumi"];
/** Loaded where a cluster uses them. */
const optional = ["@pulumi/aws", "@pulumi/tailscale"];

/** Options for esbuild. The file has to lie, or to be compiled as if it lay, beside the folder `host`. */
const options = {
  bundle: true,
  format: "cjs",
  platform: "node",
  target: "node20",
  // The last two are ssh2's, which has other means where they are not there.
  external: [...[...peers, ...optional].flatMap((name) => [name, `${name}/*`]), "cpu-features", "*.node"],
  // The scripts lie as they do from their reader's own folder (components/hosts/script-text.ts).
  define: { __dirname: "readersFolder" },
  banner: { js: '"use strict";\nconst readersFolder = require("node:path").join(__dirname, "components/hosts");' },
};

module.exports = { options, optional, peers };
