"use strict";
const { remote } = require("@pulumi/command");

new remote.Command("script", { connection: { host: "192.0.2.1", privateKey: "key" }, create: "true", logging: "none" });
