"use strict";
const { local } = require("@pulumi/command");

let before = [];
for (const { name, ...args } of JSON.parse(process.env.STEPS)) {
  before = [new local.Command(name, { logging: "none", ...args }, { dependsOn: before })];
}
