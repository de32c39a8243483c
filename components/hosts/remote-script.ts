import { isIPv4 } from "node:net";
import { local, remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { noteStep } from "./done";
import { operatorCommand, operatorTarget } from "./operator-command";
import { asRoot } from "./operator-script";
import type { ScriptTarget } from "./script-target";
import { packedStdin } from "./packed-stage";
import type { Stage } from "./stages";
import { userError } from "../../model/report";

export interface RemoteScriptArgs {
  host: ScriptTarget;
  stage: Stage;
  /** TK_… variables, secret ones among them. */
  variables?: Readonly<Record<string, pulumi.Input<string>>>;
  /** Time limit of the script, in seconds. */
  timeoutSeconds: number;
  /** Whether the result holds secrets. */
  secretResult?: boolean;
  /**
   * Whether the script runs only for changes: a new resource does not connect and has an empty result; the script runs when its inputs
   * change, including the machine. For work that other stages have already done on a new host. `false` also runs a new one.
   */
  updateOnly?: pulumi.Input<boolean>;
  /** The error of an empty result, instead of one about its form. */
  emptyResult?: string;
  /** Whether to run without root's rights if the user cannot get them, for a script that reports that. */
  rootOptional?: boolean;
}

/**
 * A script on a host. It runs once, and again when any input changes, even a rotated key, so every script is idempotent. All other
 * connections to hosts are GuardedScripts.
 *
 * The command is short, because an error quotes all of it; everything else, including secrets, goes through stdin. The host's cleanup
 * (cleanup.ts) removes what the script leaves, because a delete over SSH would fail on a dead host.
 */
export type RemoteScript = (remote.Command | local.Command) & {
  /** The script's result: the JSON object that it prints. Secret only if `secretResult` says so. */
  readonly result: pulumi.Output<Record<string, string>>;
};

/** A new script on a host, by the provider's own SSH or by OpenSSH's client. */
export function remoteScript(name: string, args: RemoteScriptArgs, opts: pulumi.CustomResourceOptions): RemoteScript {
  return args.host.openssh === undefined ? new DirectScript(name, args, opts) : new OpenSshScript(name, args, opts);
}

/** What both kinds of scripts have. */
function common(
  name: string,
  { host, stage, variables, timeoutSeconds, ...args }: RemoteScriptArgs,
  opts: pulumi.CustomResourceOptions,
) {
  const hasUpdate = args.updateOnly !== undefined;
  // Replaced ones would not run, or must outlast the machine.
  const outlasts = hasUpdate || opts.ignoreChanges?.includes("triggers") === true;
  const stdin = pulumi
    .output(variables ?? {})
    .apply((all) => packedStdin({ node: host.name, stage, variables: { ...all }, timeoutSeconds }));
  const commands = (command: string) => ({
    create: hasUpdate ? pulumi.output(args.updateOnly).apply((only) => (only ? undefined! : command)) : command,
    update: hasUpdate ? command : undefined,
  });
  return {
    stdin,
    commands,
    inputs: { addPreviousOutputInEnv: false, triggers: outlasts ? undefined : [host.identity] },
    options: {
      deletedWith: outlasts ? undefined : host.deletedWith,
      ...opts,
      additionalSecretOutputs: args.secretResult ? ["stdout", "stderr"] : undefined,
    },
    result: (stdout: pulumi.Output<string>) =>
      stdout.apply((text): Record<string, string> => {
        if (hasUpdate && !text) return {};
        if (args.emptyResult !== undefined && !text) throw userError(args.emptyResult);
        return parseResult(name, text);
      }),
  };
}

class DirectScript extends remote.Command {
  public readonly result: pulumi.Output<Record<string, string>>;

  constructor(name: string, args: RemoteScriptArgs, opts: pulumi.CustomResourceOptions) {
    const bash = `timeout --kill-after=10 ${args.timeoutSeconds} bash -s -- apply`;
    const { stdin, commands, inputs, options, result } = common(name, args, opts);
    super(
      name,
      {
        connection: args.host.connection,
        ...commands(asRoot(args.host, bash, args.rootOptional)),
        stdin,
        logging: remote.Logging.None,
        ...inputs,
      },
      options,
    );
    if (opts.ignoreChanges?.includes("stdin") !== true) {
      noteStep(this.stdin, stdin);
    }
    this.result = result(this.stdout);
  }
}

/** Runs on the operator's machine, which connects to the host. */
class OpenSshScript extends local.Command {
  public readonly result: pulumi.Output<Record<string, string>>;

  constructor(name: string, args: RemoteScriptArgs, opts: pulumi.CustomResourceOptions) {
    const { timeoutSeconds, rootOptional = false } = args;
    const { stdin, commands, inputs, options, result } = common(name, args, opts);
    const { command, inputs: ofOperator } = operatorCommand(
      "operator/run-stage.sh",
      operatorTarget(args.host),
      { verb: "apply", timeoutSeconds, rootOptional },
      stdin,
    );
    super(name, { ...ofOperator, ...commands(command), logging: local.Logging.None, ...inputs }, options);
    if (opts.ignoreChanges?.includes("stdin") !== true) {
      noteStep(this.stdin, ofOperator.stdin);
    }
    // Only stdin is secret, and the result that is said to be.
    this.result = result(args.secretResult === true ? this.stdout : pulumi.unsecret(this.stdout));
  }
}

/**
 * The same value without its dependencies: the engine then keeps a resource that uses it when it deletes the resources that the value
 * came from (`pulumi destroy --target … --target-dependents`). The program still waits for the value.
 */
export function unlinked<T>(value: pulumi.Output<T>): pulumi.Output<T> {
  // All versions of the SDK have these, but not in their types.
  interface Parts {
    promise: (withUnknowns: boolean) => Promise<T>;
    isKnown: Promise<boolean>;
    isSecret: Promise<boolean>;
  }
  type Constructor = new (
    resources: [],
    ...parts: [Promise<T>, Promise<boolean>, Promise<boolean>]
  ) => pulumi.Output<T>;
  const { isKnown, isSecret, promise } = value as unknown as Parts;
  return new (pulumi.Output as unknown as Constructor)([], promise(true), isKnown, isSecret);
}

/**
 * The JSON object that a script has printed, which begins with `changed` or, for a host's facts, with `machineId`; throws if there is
 * none. The login shell's startup files may have printed something before it, after it and, from the background, beside it in its line.
 */
export function parseResult(name: string, stdout: string): Record<string, string> {
  const found =
    jsonObject(stdout) ??
    stdout
      .split("\n")
      .map(resultIn)
      .findLast((one) => one !== undefined);
  if (found !== undefined) return found;
  // Not quoted, because it may contain secrets.
  throw userError(
    `${name}: the script's output (${stdout.length} bytes) is not a JSON object. Do the login user's shell startup files print text?`,
  );
}

function jsonObject(text: string): Record<string, string> | undefined {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === "object" && value !== null ? (value as Record<string, string>) : undefined;
  } catch {
    return undefined;
  }
}

/** The result within a line, from where it begins to the last brace with which it is one. */
function resultIn(line: string): Record<string, string> | undefined {
  const start = Math.max(line.lastIndexOf('{"changed":'), line.lastIndexOf('{"machineId":'));
  if (start < 0) return undefined;
  for (let end = line.lastIndexOf("}"); end > start; end = line.lastIndexOf("}", end - 1)) {
    const value = jsonObject(line.slice(start, end + 1));
    if (value !== undefined) return value;
  }
  return undefined;
}

/** An IPv4 address that a host has reported; throws on anything else, because it becomes part of scripts and documents. */
export function ipv4Result(what: string, found: string | undefined): string {
  if (found !== undefined && isIPv4(found)) return found;
  throw userError(`${what}: the host reported ${JSON.stringify(found ?? "")}. Allowed: an IPv4 address.`);
}
