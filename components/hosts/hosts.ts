import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, NodeConfig } from "../../model/config";
import { spread } from "./ec2/zones";
import { loadEc2 } from "./ec2/load";
import type { Host } from "./host";
import { SshHost } from "./ssh-host";
import { otherHosts } from "./cleanup";
import { type OpenSshHosts, openSshHosts, shownHost } from "./openssh-hosts";
import { unlinked } from "./remote-script";
import type { StackConfig } from "../../model/stack-config";

/**
 * The hosts of all nodes, in the order of the config.
 *
 * @param certain resolves when existing hosts may be changed. It gets the hosts' keys, in the order of the config; undefined on EC2.
 */
export function makeHosts(
  { config, secrets, hosts: inputs, prefix }: StackConfig,
  certain: (hostKeys: readonly (pulumi.Output<string> | undefined)[]) => pulumi.Output<pulumi.Resource>,
  opts: pulumi.ComponentResourceOptions,
): (Host & pulumi.Resource)[] {
  const privateKey = secrets.sshPrivateKey;
  const openssh = openSshHosts(config, secrets);
  const onEc2 = config.nodes.filter(({ host }) => host.kind === "ec2");
  const ec2 = onEc2.length > 0 ? makeEc2(prefix, config, privateKey, opts) : undefined;
  const madeVpc = config.ec2?.given === undefined ? config.ec2?.vpcCidr : undefined;
  const zones = spread(onEc2, ec2?.network.subnetIds.length ?? 1, madeVpc);
  // Each host waits for a check that needs the keys of all hosts.
  let judge!: (judged: pulumi.Output<pulumi.Resource>) => void;
  const judged = pulumi.output(new Promise<pulumi.Output<pulumi.Resource>>((resolve) => (judge = resolve)));
  let tell!: (all: pulumi.Output<string>[]) => void;
  const shown = new Promise<pulumi.Output<string>[]>((resolve) => (tell = resolve));
  const hosts = config.nodes.map((node, i) => {
    const { proxyCredentials } = secrets;
    const args = { node, config, privateKey, proxyCredentials, inputs: inputs[i]!, certain: judged };
    if (node.host.kind === "ssh") {
      const numbers = otherHosts(node, config).map((other) => config.nodes.indexOf(other));
      // Of no further ones, whose keys may not be known yet.
      const others = pulumi.output(shown.then((all) => pulumi.all(numbers.map((number) => all[number]!))));
      const access = openssh && {
        accessTo: (hostKey: pulumi.Output<string> | undefined) => openssh.access(node, inputs[i]!.address, hostKey),
        othersSecretLines: openssh.secretLines([node, ...otherHosts(node, config)], node),
      };
      return new SshHost(prefix + node.name, node.host, { ...args, others, ...access }, opts);
    }
    const subnetId = node.host.subnetId ?? ec2!.network.subnetIds[zones[onEc2.indexOf(node)]!]!;
    return new ec2!.Ec2Host(
      prefix + node.name,
      node.host,
      { ...args, ...ec2!, subnetId },
      { ...opts, providers: [ec2!.provider] },
    );
  });
  tell(hosts.map((host, i) => shownBy(config.nodes[i]!, host, openssh)));
  judge(certain(hosts.map((host) => (host instanceof SshHost ? host.hostKey : undefined))));
  return hosts;
}

/**
 * "ADDRESS:PORT,TYPE,KEY" of a bare host, with its host key; empty of another one. Without the dependency on that host: a destroy of it
 * alone must not reach others.
 */
function shownBy(node: NodeConfig, made: Host, openssh: OpenSshHosts | undefined): pulumi.Output<string> {
  if (node.host.kind !== "ssh" || !(made instanceof SshHost)) return pulumi.output("");
  return unlinked(shownHost(node, made.address, made.hostKey, openssh));
}

function makeEc2(
  prefix: string,
  config: ClusterConfig,
  privateKey: pulumi.Output<string>,
  opts: pulumi.ComponentResourceOptions,
) {
  // The rules have checked that `ec2` is set.
  const ec2 = config.ec2!;
  const { Provider, Ec2Host, Ec2Network } = loadEc2();
  const provider = new Provider(`${prefix}ec2-aws`, { region: ec2.region }, opts);
  const network = new Ec2Network(`${prefix}ec2`, { config, ec2, privateKey }, { ...opts, providers: [provider] });
  return { Ec2Host, ec2, provider, network };
}
