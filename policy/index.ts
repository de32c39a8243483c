import { PolicyPack } from "@pulumi/policy";
import { policies } from "./policies";
import { rules } from "./rules";

new PolicyPack("tailkube", { enforcementLevel: "mandatory", policies: policies(rules) });
