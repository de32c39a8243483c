import { local, type types } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { SshHostConfig } from "../../model/config";
import { machineName } from "../../model/machine";
import type { HostInputs } from "../../model/stack-config";
import type { HostFacts } from "./facts";
import { agentCommand } from "./operator-script";
import type { OpenSshAccess } from "./script-target";
import { wayText } from "./openssh";
import { scriptText } from "./script-text";
import { factsScript, type Host, type HostArgs, dialOptions } from "./host";
import type { RemoteScript } from "./remote-script";
import { HostCleanup } from "./cleanup";

/**
 * A bare host. Its host key is the one in the config, or that of the first connection, which the state keeps and all later connections
 * enforce. A host that does not meet the requirements fails here, before anything is changed on any host.
 */
export class SshHost extends pulumi.ComponentResource implements Host {
  public readonly connection: pulumi.Output<types.input.remote.ConnectionArgs>;
  public readonly identity: pulumi.Output<string>;
  public readonly address: pulumi.Output<string>;
  public readonly facts: pulumi.Output<HostFacts>;
  public readonly name: string;
  public readonly user: string;
  public readonly openssh?: OpenSshAccess;
  public readonly factsScript: RemoteScript;
  public readonly end: HostCleanup;
  /** The key in the config, or the one that the host has shown. */
  public readonly hostKey: pulumi.Output<string>;

  constructor(name: string, host: SshHostConfig, args: HostArgs, opts?: pulumi.ComponentResourceOptions) {
    super("tailkube:host:SshHost", name, {}, opts);
    this.name = args.node.name;
    this.user = host.user;
    const { inputs } = args;
    this.address = inputs.address;
    const { accessTo } = args;
    this.hostKey = inputs.hostKey ?? this.scanHostKey(name, host, inputs, accessTo?.(undefined), opts?.dependsOn);
    if (accessTo !== undefined) this.openssh = accessTo(this.hostKey);
    this.connection = pulumi.output({
      host: inputs.address,
      port: host.port,
      user: host.user,
      privateKey: args.privateKey,
      hostKey: this.hostKey,
      ...dialOptions,
    });
    this.identity = pulumi.all([inputs.identity, this.hostKey]).apply(([identity, key]) => machineName(identity, key));
    this.factsScript = factsScript(name, this, args, { parent: this, dependsOn: opts?.dependsOn });
    this.facts = this.factsScript.result as unknown as pulumi.Output<HostFacts>;
    this.end = new HostCleanup(
      `${name}-cleanup`,
      {
        node: args.node,
        host,
        config: args.config,
        address: this.address,
        others: args.others ?? [],
        hostKey: this.hostKey,
        identity: this.identity,
        privateKey: args.privateKey,
        openssh: this.openssh && { ...this.openssh, secretLines: args.othersSecretLines ?? this.openssh.secretLines },
      },
      {
        parent: this,
        dependsOn: args.certain,
        // Its name before 0.2.0: without it, the engine would delete the old resource, and so clean the host.
        aliases: [pulumi.createUrn(`${name}-undo`, "command:local:Command", this)],
      },
    );
    this.registerOutputs({ identity: this.identity, facts: this.facts });
  }

  // This is the first connection to the host, so it waits for a host that is still booting. A changed key or jump host does not ask again:
  // the key stays the one of the first contact.
  private scanHostKey(
    name: string,
    host: SshHostConfig,
    { address, identity }: HostInputs,
    openssh: OpenSshAccess | undefined,
    dependsOn: pulumi.ResourceOptions["dependsOn"],
  ): pulumi.Output<string> {
    const way = openssh?.way ?? address.apply((to) => wayText({ host, address: to, agent: false }));
    const key = new local.Command(
      `${name}-host-key`,
      {
        interpreter: ["bash", "--norc", "-c"],
        create: agentCommand(openssh !== undefined),
        update: 'printf "%s\\n" "$PULUMI_COMMAND_STDOUT"',
        environment: {
          TAILKUBE_SCRIPT: ["operator/ssh-config.sh", "operator/scan.sh"].map(scriptText).join("\n"),
          TAILKUBE_NODE: this.name,
          TAILKUBE_HOST: address,
          TAILKUBE_PORT: `${host.port}`,
          TAILKUBE_WAY: way,
          // The provider's own SSH does not verify the signatures of today's RSA keys.
          ...(openssh === undefined && { TAILKUBE_WITHOUT_RSA: "1" }),
        },
        stdin: openssh === undefined ? "\n" : pulumi.interpolate`${openssh.secretLines}\n`,
        logging: local.Logging.Stderr,
        triggers: [address, `${host.port}`, identity],
      },
      { parent: this, dependsOn },
    );
    return pulumi.unsecret(key.stdout);
  }
}
