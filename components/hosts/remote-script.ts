import { isIPv4 } from "node:net";
import { remote, type types } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { noteStep } from "./done";
import { renderStdin, type Stage } from "./stages";
import { reported } from "../../model/report";

/** What a RemoteScript needs of a host. A component never asks which kind of host it has. */
export interface ScriptTarget {
  /** Node name. */
  readonly name: string;
  readonly connection: pulumi.Input<types.input.remote.ConnectionArgs>;
  /** Changes when the machine behind the name is a new one. */
  readonly identity: pulumi.Input<string>;
  /** Login user; anyone but root works by `sudo -n`. */
  readonly user: string;
  /** What the machine lives and dies with, where that is a resource of the stack: what is on it is gone with it. */
  readonly deletedWith?: pulumi.Resource;
}

export interface RemoteScriptArgs {
  host: ScriptTarget;
  /** Stage name: what is written on the host and in messages. */
  stage: Stage;
  /** TK_… variables, secret ones among them. */
  variables?: Readonly<Record<string, pulumi.Input<string>>>;
  /** Bound on the script, in seconds. */
  timeoutSeconds: number;
  /** Whether the result holds secrets. */
  secretResult?: boolean;
  /**
   * Only for a change of what was there before: a new resource connects nowhere, its result is empty, and the script runs
   * when its inputs change, another machine among them. For what the stages of a new host have done already. `false` runs
   * a new one, too.
   */
  updateOnly?: pulumi.Input<boolean>;
  /** Run without root's rights if there is no way to them, for a script that reports just that. */
  rootOptional?: boolean;
}

/**
 * A script on a host, run once and again when anything in it changes. With GuardedScript the only way to a host.
 *
 * The command is short, for a failing one is quoted whole; everything else, secrets first, goes by stdin. It is repeated
 * when an input changes, even a rotated key, so every script is idempotent. What it leaves on the host is taken away by the
 * host's clean-up (cleanup.ts), for a provider that deletes over SSH cannot tell a host that is gone.
 */
export class RemoteScript extends remote.Command {
  /** The script's result: the JSON object that it prints. Secret only if `secretResult` says so. */
  public readonly result: pulumi.Output<Record<string, string>>;

  constructor(name: string, args: RemoteScriptArgs, opts: pulumi.CustomResourceOptions) {
    const hasUpdate = args.updateOnly !== undefined;
    // A replaced one would not run, or is to outlast the machine.
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
        // Replaced with it as well.
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
 * The same value without its dependencies: the engine keeps a resource made from it when it deletes the resources that the
 * value came from (`pulumi destroy --target … --target-dependents`). The program still waits for the value.
 */
export function unlinked<T>(value: pulumi.Output<T>): pulumi.Output<T> {
  // What outputs of all versions of the SDK have in common; only the types leave it out.
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

/** A command with root's rights for a login user. `optional`: without them where there is no way to them. */
export function asRoot(user: string, command: string, optional = false): string {
  if (user === "root") return command;
  return optional ? `if sudo -n true; then exec sudo -n ${command}; else exec ${command}; fi` : `sudo -n ${command}`;
}

/** The JSON object that a script has printed; throws if it is none. */
export function parseResult(name: string, stdout: string): Record<string, string> {
  try {
    return JSON.parse(stdout) as Record<string, string>;
  } catch {
    // Not quoted: it may hold secrets.
    throw reported(`${name}: the script's answer of ${stdout.length} bytes is no JSON object`);
  }
}

/** An IPv4 address that a host has answered; throws on anything else, which would become words of scripts and documents. */
export function ipv4Result(what: string, found: string | undefined): string {
  if (found !== undefined && isIPv4(found)) return found;
  throw reported(`${what}: the host answers ${JSON.stringify(found ?? "")}. Allowed: an IPv4 address.`);
}
