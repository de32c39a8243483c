import { isIPv4 } from "node:net";
import { remote, type types } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { noteStep } from "./done";
import { renderStdin, type Stage } from "./stages";
import { userError } from "../../model/report";

/** What a RemoteScript needs from a host, of any kind. */
export interface ScriptTarget {
  /** Node name. */
  readonly name: string;
  readonly connection: pulumi.Input<types.input.remote.ConnectionArgs>;
  /** Changes if the node gets a new machine. */
  readonly identity: pulumi.Input<string>;
  /** Login user; any other than root uses `sudo -n`. */
  readonly user: string;
  /** The machine, if it is a resource of the stack: everything on it is deleted with it. */
  readonly deletedWith?: pulumi.Resource;
}

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
export class RemoteScript extends remote.Command {
  /** The script's result: the JSON object that it prints. Secret only if `secretResult` says so. */
  public readonly result: pulumi.Output<Record<string, string>>;

  constructor(name: string, args: RemoteScriptArgs, opts: pulumi.CustomResourceOptions) {
    const hasUpdate = args.updateOnly !== undefined;
    // Replaced ones would not run, or must outlast the machine.
    const outlasts = hasUpdate || opts.ignoreChanges?.includes("triggers") === true;
    const bash = `timeout --kill-after=10 ${args.timeoutSeconds} bash -s -- apply`;
    const command = asRoot(args.host.user, bash, args.rootOptional);
    const stdin = pulumi.output(args.variables ?? {}).apply((variables) =>
      renderStdin({
        node: args.host.name,
        stage: args.stage,
        variables: { ...variables },
        timeoutSeconds: args.timeoutSeconds,
      }),
    );
    super(
      name,
      {
        connection: args.host.connection,
        create: hasUpdate ? pulumi.output(args.updateOnly).apply((only) => (only ? undefined! : command)) : command,
        update: hasUpdate ? command : undefined,
        stdin,
        logging: remote.Logging.None,
        addPreviousOutputInEnv: false,
        triggers: outlasts ? undefined : [args.host.identity],
      },
      {
        deletedWith: outlasts ? undefined : args.host.deletedWith,
        ...opts,
        additionalSecretOutputs: args.secretResult ? ["stdout", "stderr"] : undefined,
      },
    );
    if (opts.ignoreChanges?.includes("stdin") !== true) {
      noteStep(this.stdin, stdin);
    }
    this.result = this.stdout.apply((text) => (hasUpdate && !text ? {} : parseResult(name, text)));
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

/** A command with root's rights for a login user. `optional`: without them if the user cannot get them. */
export function asRoot(user: string, command: string, optional = false): string {
  if (user === "root") return command;
  return optional ? `if sudo -n true; then exec sudo -n ${command}; else exec ${command}; fi` : `sudo -n ${command}`;
}

/** The JSON object that a script has printed; throws on anything else. */
export function parseResult(name: string, stdout: string): Record<string, string> {
  try {
    return JSON.parse(stdout) as Record<string, string>;
  } catch {
    // Not quoted, because it may contain secrets.
    throw userError(
      `${name}: the script's output (${stdout.length} bytes) is not a JSON object. Do the login user's shell startup files print text?`,
    );
  }
}

/** An IPv4 address that a host has reported; throws on anything else, because it becomes part of scripts and documents. */
export function ipv4Result(what: string, found: string | undefined): string {
  if (found !== undefined && isIPv4(found)) return found;
  throw userError(`${what}: the host reported ${JSON.stringify(found ?? "")}. Allowed: an IPv4 address.`);
}
