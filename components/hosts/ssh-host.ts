import { local, type types } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { SshHostConfig } from "../../model/config";
import { machineName } from "../../model/machine";
import type { HostInputs } from "../../model/stack-config";
import type { HostFacts } from "./facts";
import { agentCommand } from "./operator-command";
import type { OpenSshAccess } from "./script-target";
import { scriptText, shellQuote } from "./script-text";
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
    this.hostKey =
      inputs.hostKey ??
      (accessTo === undefined
        ? this.scanHostKey(name, host.port, inputs, opts?.dependsOn)
        : this.scanBehindJumps(name, host, inputs, accessTo(undefined), opts?.dependsOn));
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

  // As scanHostKey, but a changed key or jump host does not ask again: the key stays the one of the first contact.
  private scanBehindJumps(
    name: string,
    { port }: SshHostConfig,
    { address, identity }: HostInputs,
    { way, secretLines }: OpenSshAccess,
    dependsOn: pulumi.ResourceOptions["dependsOn"],
  ): pulumi.Output<string> {
    const key = new local.Command(
      `${name}-host-key`,
      {
        interpreter: ["bash", "--norc", "-c"],
        create: agentCommand(true),
        update: 'printf "%s\\n" "$PULUMI_COMMAND_STDOUT"',
        environment: {
          TAILKUBE_SCRIPT: ["operator/way.sh", "operator/scan.sh"].map(scriptText).join("\n"),
          TAILKUBE_NODE: this.name,
          TAILKUBE_HOST: address,
          TAILKUBE_PORT: `${port}`,
          TAILKUBE_WAY: way,
        },
        stdin: pulumi.interpolate`${secretLines}\n`,
        logging: local.Logging.None,
        triggers: [address, `${port}`, identity],
      },
      { parent: this, dependsOn },
    );
    return pulumi.unsecret(key.stdout);
  }

  // This is the first connection to the host, so it waits for a host that is still booting.
  private scanHostKey(
    name: string,
    port: number,
    { address, identity }: HostInputs,
    dependsOn: pulumi.ResourceOptions["dependsOn"],
  ): pulumi.Output<string> {
    const scan = (host: string) => `ssh-keyscan -T 5 -p ${port} -t ed25519,ecdsa ${shellQuote(host)} 2>/dev/null`;
    const key = new local.Command(
      `${name}-host-key`,
      {
        // Pins one key: ed25519, which sorts after ecdsa, if the host has both.
        create: address.apply((host) =>
          [
            "for i in $(seq 60); do",
            `key=$(${scan(host)} | awk '$2 ~ /^(ssh-ed25519|ecdsa-)/ {print $2, $3}' | sort -r | head -n 1)`,
            '[ -z "$key" ] || { echo "$key"; exit 0; }',
            "sleep 3",
            "done",
            `echo ${shellQuote(`tailkube: ${this.name}: no SSH server answers at ${host} port ${port}. Is the host up, and are host.address and host.port correct?`)} >&2; exit 1`,
          ].join("\n"),
        ),
        logging: local.Logging.None,
        addPreviousOutputInEnv: false,
        triggers: [address, `${port}`, identity],
      },
      { parent: this, dependsOn },
    );
    return key.stdout;
  }
}
