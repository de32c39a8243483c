#!/usr/bin/env node
/** The command in a checkout. The package has it compiled (build/package.mjs). */
"use strict";

require("../build/kept-bundle.cjs").keptModule("command/bin.ts", "command.js").load();
