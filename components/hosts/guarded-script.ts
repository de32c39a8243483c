import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { scriptText } from "./script-text";
import { noteStep } from "./done";
import { operatorCommand, operatorTarget } from "./operator-command";
import { packedStdin } from "./packed-stage";
import type { Stage } from "./stages";
import { parseResult } from "./remote-script";
import type { ScriptTarget } from "./script-target";

export interface GuardedScriptArgs {
  host: ScriptTarget;
  stage: Stage;
  /** TK_… variables, secret ones among them. */
  variables: Readonly<Record<string, pulumi.Input<string>>>;
  /** Time limit of the script, in seconds. */
  timeoutSeconds: number;
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
    const script = pulumi.output(args.variables).apply((variables) =>
      packedStdin({
        node: host.name,
        stage,
        variables: { ...variables, TK_HOST_GUARD: scriptText("installed/guard.sh") },
        timeoutSeconds,
      }),
    );
    const { command, inputs } = operatorCommand(
      "operator/run-guarded-stage.sh",
      operatorTarget(host),
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
