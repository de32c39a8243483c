import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { OrderedResources } from "../../../../components/cluster/ordered-resources";
import type { ClusterConfig, NodeConfig } from "../../../../model/config";
import { orderOf } from "../../../../model/order";

const { JOURNAL, VERSION, SCRIPT = "" } = process.env;
const note = (word: string) => `echo '${word}' >> '${JOURNAL}'`;
const command = (name: string, what: string, opts: pulumi.CustomResourceOptions) =>
  new local.Command(
    name,
    {
      create: note(`${what} made`),
      update: note(`${what} changed`),
      delete: note(`${what} deleted`),
      stdin: SCRIPT,
      logging: "none",
    },
    { ...opts, deleteBeforeReplace: true },
  );
const component = (type: string, name: string, parent?: pulumi.Resource) =>
  new pulumi.ComponentResource(type, name, {}, { parent });

const cluster = component("tailkube:cluster:Cluster", "cluster");
const host = component("tailkube:host:SshHost", "cp1", cluster);
if (VERSION === "before") {
  const undo = command("cp1-undo", "cleanup", { parent: host });
  const node = component("tailkube:tailnet:Node", "cp1", cluster);
  const network = command("cp1-tailnet", "network", { parent: node, dependsOn: undo });
  const device = component("tailkube:tailnet:Device", "cp1", cluster);
  command("cp1-device", "device", { parent: device, dependsOn: network });
} else {
  const cp1 = { name: "cp1", role: "control-plane", host: { kind: "ssh" } } as NodeConfig;
  const order = orderOf({ nodes: [cp1], nodeNetwork: "tailnet", maxUnavailableWorkers: 1 } as unknown as ClusterConfig);
  const aliases = VERSION === "without aliases" ? { aliases: [] } : {};
  const resources = new OrderedResources(order, cluster, () => host);
  resources.make("cleanup", cp1, (name, { parent }) =>
    command(name, "cleanup", {
      parent,
      // As SshHost has it.
      aliases: [pulumi.createUrn("cp1-undo", "command:local:Command", host)],
      ...aliases,
    }),
  );
  for (const kind of ["facts", "policy"] as const)
    resources.make(kind, kind === "facts" ? cp1 : undefined, () => undefined);
  resources.make("fit", undefined, () => undefined);
  resources.make("auth-key", cp1, () => undefined);
  resources.make("network", cp1, (name, opts) => command(name, "network", { ...opts, ...aliases }));
  resources.make("device", cp1, (name, opts) => command(name, "device", { ...opts, ...aliases }));
}
