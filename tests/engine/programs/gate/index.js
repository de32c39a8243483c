"use strict";
const { local } = require("@pulumi/command");
const pulumi = require("@pulumi/pulumi");

const { JOURNAL, VERDICT } = process.env;
const command = (name, create, opts) =>
  new local.Command(name, { create: `${create}; echo ${name} >> '${JOURNAL}'`, logging: "none" }, opts);

const asked = command("asked", `echo ${VERDICT}`);
const slow = command("slow", "sleep 0.5");
const gate = asked.stdout.apply((verdict) => {
  if (verdict !== "fit") throw new pulumi.RunError(`the host is ${verdict}`);
  return [slow];
});
command("gated", "true", { dependsOn: gate });
