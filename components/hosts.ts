import { Provider } from "@pulumi/aws/provider";
import type * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../config/types";
import { spread } from "../plan/zones";
import { Ec2Host } from "./ec2-host";
import { Ec2Network } from "./ec2-network";
import type { Host } from "./host";
import { SshHost } from "./ssh-host";

/** The hosts of all nodes, in the order of the config: the one place that knows of which kind each is. */
export function makeHosts(
  config: ClusterConfig,
  privateKey: pulumi.Output<string>,
  opts: pulumi.ComponentResourceOptions,
): Host[] {
  const onEc2 = config.nodes.filter(({ host }) => host.kind === "ec2");
  const ec2 = onEc2.length > 0 ? makeEc2(config, privateKey, opts) : undefined;
  const madeVpc = config.ec2?.given === undefined ? config.ec2?.vpcCidr : undefined;
  const zones = spread(onEc2, ec2?.network.subnetIds.length ?? 1, madeVpc);
  return config.nodes.map((node) => {
    const args = { node, config, privateKey };
    if (node.host.kind === "ssh") return new SshHost(node.name, node.host, args, opts);
    const subnetId = node.host.subnetId ?? ec2!.network.subnetIds[zones[onEc2.indexOf(node)]!]!;
    return new Ec2Host(node.name, node.host, { ...args, ...ec2!, subnetId }, { ...opts, providers: [ec2!.provider] });
  });
}

function makeEc2(config: ClusterConfig, privateKey: pulumi.Output<string>, opts: pulumi.ComponentResourceOptions) {
  // The schema's rules have seen to it that `ec2` is there where a host is of that kind.
  const ec2 = config.ec2!;
  const provider = new Provider("ec2-aws", { region: ec2.region }, opts);
  const network = new Ec2Network("ec2", { config, ec2, privateKey }, { ...opts, providers: [provider] });
  return { ec2, provider, network };
}
