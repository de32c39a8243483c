"use strict";
const { local } = require("@pulumi/command");
const pulumi = require("@pulumi/pulumi");

const mistakes = {
  runError: () => {
    throw new pulumi.RunError("cp1: address 10.0.0.300 is not an IPv4 address");
  },
  unhandled: () => {
    Promise.reject(new Error("nobody caught this"));
  },
  unsupportedType: () => new pulumi.CustomResource("aws:s3:Bucket", "bucket", {}),
  unsupportedInput: () => new local.Command("collector", { create: "true", assetPaths: ["*"] }),
  unsupportedOption: () => new local.Command("slow", { create: "true" }, { customTimeouts: { create: "5m" } }),
  invoke: () => local.run({ command: "true" }),
  read: () => local.Command.get("found", "some-id"),
  transform: () => pulumi.runtime.registerResourceTransform(() => undefined),
};
mistakes[process.env.MISTAKE]();
