import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { previousOutputs } from "../../../../preview/last-run-outputs";

const last = previousOutputs();
export const run = process.env.RUN;
export const password = pulumi.secret(`swordfish-${run}`);
export const before = last.get("run");
export const passwordBefore = last.get("password");
const work = new local.Command("work", { create: process.env.WORK, logging: "none" });
/** Known only when the work is done. */
export const done = process.env.REPORT && work.stdout;
