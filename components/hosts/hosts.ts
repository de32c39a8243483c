import { Provider } from "@pulumi/aws/provider";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../model/config";
import { spread } from "./ec2/zones";
import { Ec2Host } from "./ec2/host";
import { Ec2Network } from "./ec2/network";
import type { Host } from "./host";
import { SshHost } from "./ssh-host";

/**
 * The hosts of all nodes, in the order of the config: the one place that knows of which kind each is.
 *
 * @param certain waited for before anything is changed on a host that was there before: from what each host has shown as its host
 * key, in the order of the config; undefined for machines that are made.
 */
export function makeHosts(
  config: ClusterConfig,
  privateKey: pulumi.Output<string>,
  certain: (hostKeys: readonly (pulumi.Output<string> | undefined)[]) => pulumi.Output<pulumi.Resource>,
  opts: pulumi.ComponentResourceOptions,
): (Host & pulumi.Resource)[] {
  const onEc2 = config.nodes.filter(({ host }) => host.kind === "ec2");
  const ec2 = onEc2.length > 0 ? makeEc2(config, privateKey, opts) : undefined;
  const madeVpc = config.ec2?.given === undefined ? config.ec2?.vpcCidr : undefined;
  const zones = spread(onEc2, ec2?.network.subnetIds.length ?? 1, madeVpc);
  // All of them have to be known before any may be replaced, and each is a part of what is waited for.
  let judge!: (judged: pulumi.Output<pulumi.Resource>) => void;
  const judged = pulumi.output(new Promise<pulumi.Output<pulumi.Resource>>((resolve) => (judge = resolve)));
  const hosts = config.nodes.map((node) => {
    const args = { node, config, privateKey, certain: judged };
    if (node.host.kind === "ssh") return new SshHost(node.name, node.host, args, opts);
    const subnetId = node.host.subnetId ?? ec2!.network.subnetIds[zones[onEc2.indexOf(node)]!]!;
    return new Ec2Host(node.name, node.host, { ...args, ...ec2!, subnetId }, { ...opts, providers: [ec2!.provider] });
  });
  judge(certain(hosts.map((host) => (host instanceof SshHost ? host.hostKey : undefined))));
  return hosts;
}

function makeEc2(config: ClusterConfig, privateKey: pulumi.Output<string>, opts: pulumi.ComponentResourceOptions) {
  // The schema's rules have seen to it that `ec2` is there where a host is of that kind.
  const ec2 = config.ec2!;
  const provider = new Provider("ec2-aws", { region: ec2.region }, opts);
  const network = new Ec2Network("ec2", { config, ec2, privateKey }, { ...opts, providers: [provider] });
  return { ec2, provider, network };
}
