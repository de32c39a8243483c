import { Eip, EipAssociation, getAmiOutput, Instance } from "@pulumi/aws/ec2";
import type { types } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Ec2Config, Ec2HostConfig } from "../../../model/config";
import { userError } from "../../../model/report";
import { userData } from "./user-data";
import { ec2Architecture, ec2Images } from "./image";
import { fingerprint } from "../../../model/machine";
import type { HostFacts } from "../facts";
import { derivedHostKey } from "../../../model/ssh-key";
import type { Ec2Network } from "./network";
import { factsScript, type Host, type HostArgs, dialOptions } from "../host";
import { type RemoteScript, remoteScript } from "../remote-script";

export interface Ec2HostArgs extends HostArgs {
  ec2: Ec2Config;
  network: Ec2Network;
  subnetId: pulumi.Input<string>;
}

/**
 * A machine on EC2. Later changes of its config do not affect it, except `identity`, which replaces it: a newer image or a new default
 * must not replace a cluster's machines. A new instance is a new identity.
 *
 * Nothing cleans it, because its data is deleted with it. No connection trusts an unknown host key: the first one is pinned to a key
 * in the machine's user data, which is only used to get the key that the machine generates itself.
 */
export class Ec2Host extends pulumi.ComponentResource implements Host {
  public readonly connection: pulumi.Output<types.input.remote.ConnectionArgs>;
  public readonly identity: pulumi.Output<string>;
  public readonly address: pulumi.Output<string>;
  public readonly facts: pulumi.Output<HostFacts>;
  public readonly name: string;
  public readonly user: string;
  public readonly factsScript: RemoteScript;
  public readonly end: Instance;
  public readonly deletedWith: Instance;

  constructor(name: string, host: Ec2HostConfig, args: Ec2HostArgs, opts: pulumi.ComponentResourceOptions) {
    super("tailkube:host:Ec2Host", name, {}, opts);
    this.name = args.node.name;
    this.user = host.user;
    const purpose = [pulumi.getProject(), pulumi.getStack(), args.config.clusterName, this.name];
    const declared = args.inputs.identity;
    const firstKey = pulumi
      .all([args.privateKey, declared])
      .apply(([key, identity]) => derivedHostKey(key, JSON.stringify([...purpose, identity])));
    const instance = this.makeInstance(name, host, args, declared, firstKey.apply(userData));
    this.end = this.deletedWith = instance;
    this.identity = instance.id.apply((id) => fingerprint([id]));
    this.address =
      args.ec2.operatorAddress === "private"
        ? instance.privateIp
        : this.publicAddress(name, args, instance, opts.dependsOn);

    const connection = (hostKey: pulumi.Input<string>) =>
      pulumi.output({
        host: this.address,
        port: host.port,
        user: host.user,
        privateKey: args.privateKey,
        hostKey,
        ...dialOptions,
      });
    const boot = remoteScript(
      `${name}-first-boot`,
      {
        host: { ...this.target(), connection: connection(pulumi.unsecret(firstKey.publicKey)) },
        stage: "first-boot",
        timeoutSeconds: 600,
      },
      // Only once per machine: the key that this connection is pinned to is temporary.
      { parent: this, ignoreChanges: ["connection", "create", "stdin", "logging", "addPreviousOutputInEnv"] },
    );
    this.connection = connection(boot.result.apply(({ hostKey = "" }) => ed25519(name, hostKey)));
    remoteScript(`${name}-host-key`, { host: this, stage: "host-key", timeoutSeconds: 120 }, { parent: this });
    this.factsScript = factsScript(name, this, args, { parent: this });
    this.facts = this.factsScript.result as unknown as pulumi.Output<HostFacts>;
    this.registerOutputs({ identity: this.identity, facts: this.facts });
  }

  private target() {
    return { name: this.name, identity: this.identity, user: this.user, deletedWith: this.deletedWith };
  }

  private makeInstance(
    name: string,
    host: Ec2HostConfig,
    args: Ec2HostArgs,
    identity: pulumi.Output<string>,
    bootData: pulumi.Input<string>,
  ): Instance {
    const image = ec2Images[host.os];
    const ami = getAmiOutput(
      {
        owners: [image.owner],
        mostRecent: true,
        filters: [
          { name: "name", values: [image.name(host.architecture)] },
          { name: "architecture", values: [ec2Architecture[host.architecture]] },
          { name: "virtualization-type", values: ["hvm"] },
          { name: "root-device-type", values: ["ebs"] },
        ],
      },
      { parent: this },
    );
    return new Instance(
      `${name}-instance`,
      {
        ami: ami.id,
        instanceType: host.instanceType,
        subnetId: args.subnetId,
        privateIp: args.node.lan?.address,
        vpcSecurityGroupIds: [args.network.securityGroupId],
        keyName: args.network.keyName,
        userData: pulumi.secret(bootData),
        rootBlockDevice: { volumeType: "gp3", volumeSize: host.rootVolumeGib, encrypted: true },
        // Session tokens are required, and no router forwards the answers, so pods cannot reach them.
        metadataOptions: { httpEndpoint: "enabled", httpTokens: "required", httpPutResponseHopLimit: 1 },
        tags: { Name: `${args.config.clusterName}-${this.name}` },
      },
      {
        parent: this,
        // Rules and routes exist before it boots and until it is terminated, and have its dependencies.
        dependsOn: args.network,
        ignoreChanges: ["ami", "instanceType", "subnetId", "privateIp", "keyName", "userData", "rootBlockDevice"],
        replacementTrigger: identity,
        // The old machine is terminated before the new one joins under its name.
        deleteBeforeReplace: true,
        additionalSecretOutputs: ["userData", "userDataBase64"],
      },
    );
  }

  // An Elastic IP stays with the node when the machine is stopped or replaced.
  private publicAddress(
    name: string,
    { config }: Ec2HostArgs,
    instance: Instance,
    dependsOn: pulumi.ResourceOptions["dependsOn"],
  ): pulumi.Output<string> {
    const tags = { Name: `${config.clusterName}-${this.name}` };
    const eip = new Eip(`${name}-address`, { domain: "vpc", tags }, { parent: this, dependsOn });
    return new EipAssociation(`${name}-address-of`, { allocationId: eip.id, instanceId: instance.id }, { parent: this })
      .publicIp;
  }
}

// Without a host key, the provider would not verify the host.
function ed25519(node: string, hostKey: string): string {
  if (/^ssh-ed25519 [A-Za-z0-9+/]+={0,2}$/.test(hostKey)) return hostKey;
  throw userError(
    `${node}: the new machine reported no ed25519 host key. See its system log in the EC2 console, then run pulumi up again`,
  );
}
