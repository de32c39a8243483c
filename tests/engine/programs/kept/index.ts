import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { makeAuthorities, type MakeAuthoritiesArgs } from "../../../../components/kubernetes/authorities";

const { HOST_PORT, HOST_KEY, USER_KEY, RUNTIME } = process.env;
const cluster = new pulumi.ComponentResource("test:index:Cluster", "cluster");
const command = (name: string, create: string, dependsOn?: pulumi.Input<pulumi.Resource>[]) =>
  new local.Command(name, { create, logging: "none" }, { parent: cluster, dependsOn });

const key = command("cp1-host-key", `echo '${HOST_KEY}'`);
const facts = [command("cp1-facts", "echo fit"), command("w1-facts", "echo fit")] as const;
const checked = pulumi.all(facts.map(({ stdout }) => stdout)).apply(() => facts[0]);
const runtime = command("cp1-runtime", RUNTIME!, [checked]);
const connection = {
  host: "127.0.0.1",
  port: Number(HOST_PORT),
  privateKey: USER_KEY!,
  hostKey: key.stdout,
  dialErrorLimit: 3,
  perDialTimeout: 5,
};
const on = { host: { name: "cp1", user: "root", identity: "", connection }, membershipId: key.stdout };
const authorities = makeAuthorities(
  "cluster-authorities",
  { config: { kubernetesVersion: "1.37.2" }, on, ready: runtime.stdout } as unknown as MakeAuthoritiesArgs,
  { parent: cluster },
);
const plane = new local.Command(
  "cp1-control-plane",
  { create: "cat", stdin: authorities.values.apply(({ seed }) => seed), logging: "none" },
  { parent: cluster, dependsOn: [runtime, authorities.resource] },
);
export const seed = plane.stdout;
