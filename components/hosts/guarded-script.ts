import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { scriptText } from "./script-text";
import { projectFolder } from "../../model/project";
import { noteStep } from "./done";
import { renderStdin, type Stage } from "./stages";
import { asRoot, parseResult, type ScriptTarget } from "./remote-script";

export interface GuardedScriptArgs {
  host: ScriptTarget;
  stage: Stage;
  /** TK_… variables, secret ones among them. */
  variables: Readonly<Record<string, pulumi.Input<string>>>;
  /** Time limit of the script, in seconds. */
  timeoutSeconds: number;
}

/** What a script on the operator's machine needs to reach a host. */
export interface OperatorTarget {
  node: string;
  user: string;
  address: pulumi.Input<string>;
  port: pulumi.Input<number>;
  /** Public host key: its type and its base64 text. */
  hostKey: pulumi.Input<string>;
  privateKey: pulumi.Input<string>;
}

/**
 * Inputs of a command that runs `file` on the operator's machine, which runs `script` on a host over OpenSSH. The command itself is
 * short, because an error quotes all of it; the key and the host's script go through stdin.
 */
export function operatorCommand(
  file: "operator/stage.sh" | "operator/cleanup.sh",
  to: OperatorTarget,
  verb: { verb: "apply" | "remove"; timeoutSeconds: number },
  script: pulumi.Input<string>,
) {
  const timeout = `timeout --kill-after=10 ${verb.timeoutSeconds}`;
  return {
    // ssh-agent ends together with the command that it runs.
    command: 'exec ssh-agent bash --norc -c "$TAILKUBE_SCRIPT"',
    inputs: {
      // Without the operator's own startup files, which bash reads if its stdin is a socket.
      interpreter: ["bash", "--norc", "-c"],
      environment: {
        TAILKUBE_SCRIPT: ["operator/answers.sh", "operator/ssh.sh", file].map(scriptText).join("\n"),
        TAILKUBE_NODE: to.node,
        TAILKUBE_HOST: to.address,
        TAILKUBE_PORT: pulumi.interpolate`${to.port}`,
        TAILKUBE_USER: to.user,
        TAILKUBE_HOST_KEY: to.hostKey,
        TAILKUBE_COMMAND: asRoot(to.user, `${timeout} bash -s -- ${verb.verb}`),
        TAILKUBE_SHELL: asRoot(to.user, "bash -s --"),
      },
      // The private key, an empty line, the host's script.
      stdin: pulumi.interpolate`${pulumi.output(to.privateKey).apply((key) => key.trim())}\n\n${script}`,
      addPreviousOutputInEnv: false,
      // For tailkube-not-cleaned.log.
      dir: projectFolder(),
    },
  };
}

/**
 * A script that could cut its host off, because it changes rules, routes, filters or network managers. Like RemoteScript, but it runs
 * over OpenSSH from the operator's machine, because it counts as done only when a new connection reaches the host afterwards. Until
 * then, the host's guard (host/installed/guard.sh) restores the network by itself. It is one resource, so that the state does not
 * have the script as done on a host that was cut off.
 */
export class GuardedScript extends local.Command {
  /** The script's result: the JSON object that it prints. Never secret. */
  public readonly result: pulumi.Output<Record<string, string>>;

  constructor(name: string, args: GuardedScriptArgs, opts: pulumi.CustomResourceOptions) {
    const { host, stage, timeoutSeconds } = args;
    const connection = pulumi.output(host.connection);
    const script = pulumi.output(args.variables).apply((variables) =>
      renderStdin({
        node: host.name,
        stage,
        variables: { ...variables, TK_HOST_GUARD: scriptText("installed/guard.sh") },
        timeoutSeconds,
      }),
    );
    // The whole connection is secret, but only its private key must be.
    const open = (part: pulumi.Output<string>) => pulumi.unsecret(part);
    const { command, inputs } = operatorCommand(
      "operator/stage.sh",
      {
        node: host.name,
        user: host.user,
        address: open(connection.apply(({ host: address }) => address)),
        port: pulumi.unsecret(connection.apply(({ port }) => port ?? 22)),
        hostKey: open(connection.apply(({ hostKey }) => hostKey ?? "")),
        privateKey: connection.apply(({ privateKey }) => privateKey ?? ""),
      },
      { verb: "apply", timeoutSeconds },
      script,
    );
    super(
      name,
      { ...inputs, create: command, logging: local.Logging.None, triggers: [host.identity] },
      { deletedWith: host.deletedWith, ...opts },
    );
    noteStep(this.stdin, inputs.stdin);
    // Only stdin is secret.
    this.result = pulumi.unsecret(this.stdout).apply((text) => parseResult(name, text));
  }
}
