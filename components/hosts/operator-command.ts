/** Commands on the operator's machine that run scripts on hosts, by OpenSSH's client. */
import * as pulumi from "@pulumi/pulumi";
import { projectFolder } from "../../model/project";
import { agentCommand, asRoot, loginText, operatorEnvironment } from "./operator-script";
import type { OpenSshAccess, ScriptTarget } from "./script-target";

/** What a script on the operator's machine needs to reach a host. */
export interface OperatorTarget {
  node: string;
  user: string;
  address: pulumi.Input<string>;
  port: pulumi.Input<number>;
  /** Public host key: its type and its base64 text. */
  hostKey: pulumi.Input<string>;
  privateKey: pulumi.Input<string>;
  openssh?: OpenSshAccess | undefined;
}

/** The same of a host. */
export function operatorTarget(host: ScriptTarget): OperatorTarget {
  const connection = pulumi.output(host.connection);
  // The whole connection is secret, but only its private key must be.
  const open = (part: pulumi.Output<string>) => pulumi.unsecret(part);
  return {
    node: host.name,
    user: host.user,
    address: open(connection.apply(({ host: address }) => address)),
    port: pulumi.unsecret(connection.apply(({ port }) => port ?? 22)),
    hostKey: open(connection.apply(({ hostKey }) => hostKey ?? "")),
    privateKey: connection.apply(({ privateKey }) => privateKey ?? ""),
    openssh: host.openssh,
  };
}

export interface HostCommand {
  verb: "apply" | "remove";
  /** Time limit on the host, in seconds. */
  timeoutSeconds: number;
  rootOptional?: boolean;
}

/**
 * Inputs of a command that runs `file` on the operator's machine, which runs `script` on a host over OpenSSH. The command itself is
 * short, because an error quotes all of it; keys, passwords and the host's script go through stdin.
 */
export function operatorCommand(
  file: "operator/run-guarded-stage.sh" | "operator/run-cleanup.sh" | "operator/run-stage.sh",
  to: OperatorTarget,
  { verb, timeoutSeconds, rootOptional }: HostCommand,
  script: pulumi.Input<string>,
) {
  const { openssh } = to;
  const timeout = `timeout --kill-after=10 ${timeoutSeconds}`;
  const login =
    openssh !== undefined
      ? pulumi.output(openssh.secretLines).apply((secretLines) => loginText({ secretLines }))
      : pulumi.output(to.privateKey).apply((privateKey) => loginText({ privateKey }));
  return {
    command: agentCommand(openssh !== undefined),
    inputs: {
      // Without the operator's own startup files, which bash reads if its stdin is a socket.
      interpreter: ["bash", "--norc", "-c"],
      environment: operatorEnvironment<pulumi.Input<string>>(file, {
        ...to,
        port: pulumi.interpolate`${to.port}`,
        way: openssh?.way,
        command: asRoot(to, `${timeout} bash -s -- ${verb}`, rootOptional),
        shell: asRoot(to, "bash -s --"),
      }),
      stdin: pulumi.interpolate`${login}${script}`,
      addPreviousOutputInEnv: false,
      // For tailkube-not-cleaned.log.
      dir: projectFolder(),
    },
  };
}
