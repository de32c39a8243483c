import { remote, type types } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { renderStdin } from "../scripts/render";
import { reported } from "../config/report";

/** What a HostScript needs of a host. A component never asks which kind of host it has. */
export interface ScriptTarget {
  /** Node name. */
  readonly name: string;
  readonly connection: pulumi.Input<types.input.remote.ConnectionArgs>;
  /** Changes when the machine behind the name is a new one. */
  readonly identity: pulumi.Input<string>;
  /** Login user; anyone but root works by `sudo -n`. */
  readonly user: string;
}

export interface HostScriptArgs {
  host: ScriptTarget;
  /** Stage name: what is written on the host and in messages. */
  stage: string;
  /** Files below scripts/ beside lib.sh. */
  files: readonly string[];
  /** TK_… variables, secret ones among them. */
  variables?: Readonly<Record<string, pulumi.Input<string>>>;
  /** `update`: nothing runs when the resource is made, only when something in it changes later. Its result is then `{}`. */
  when?: "update";
  /** Whether the script has a `remove` to run when the resource is deleted. */
  removable?: boolean;
  /** Bound on `apply`, in seconds. */
  timeoutSeconds: number;
  /** Bound on `remove`, in seconds; default 300. */
  removeTimeoutSeconds?: number;
  /** Whether the result holds secrets. */
  secretResult?: boolean;
  /** Further values that replace the script's resource when they change. */
  triggers?: pulumi.Input<string>[];
  /** Run without root's rights if there is no way to them, for a script that reports just that. */
  rootOptional?: boolean;
}

/**
 * A script on a host, run once and again when anything in it changes. The one place that talks to hosts.
 *
 * The command is short, for a failing one is quoted whole; everything else, secrets first, goes by stdin. It is repeated
 * when an input changes, even a rotated key, so every script is idempotent.
 */
export class HostScript extends remote.Command {
  /** The script's result: the JSON object that it prints. Secret only if `secretResult` says so. */
  public readonly result: pulumi.Output<Record<string, string>>;

  constructor(name: string, args: HostScriptArgs, opts: pulumi.CustomResourceOptions) {
    const run = (verb: string, seconds: number) => {
      const bash = `timeout --kill-after=10 ${seconds} bash -s -- ${verb}`;
      if (args.host.user === "root") return bash;
      return args.rootOptional
        ? `if sudo -n true; then exec sudo -n ${bash}; else exec ${bash}; fi`
        : `sudo -n ${bash}`;
    };
    const stdin = pulumi
      .output(args.variables ?? {})
      .apply((variables) =>
        renderStdin({ node: args.host.name, stage: args.stage, files: args.files, variables: { ...variables } }),
      );
    super(
      name,
      {
        connection: args.host.connection,
        [args.when ?? "create"]: run("apply", args.timeoutSeconds),
        delete: args.removable ? run("remove", args.removeTimeoutSeconds ?? 300) : undefined,
        stdin,
        logging: remote.Logging.None,
        addPreviousOutputInEnv: false,
        triggers: [args.host.identity, ...(args.triggers ?? [])],
      },
      {
        ...opts,
        // The old clean-up would otherwise run after the new script, and undo it.
        deleteBeforeReplace: true,
        additionalSecretOutputs: args.secretResult ? ["stdout", "stderr"] : undefined,
      },
    );
    this.result = this.stdout.apply((text) => (args.when === "update" && !text ? {} : parseResult(name, text)));
  }
}

function parseResult(name: string, stdout: string): Record<string, string> {
  try {
    return JSON.parse(stdout) as Record<string, string>;
  } catch {
    // Not quoted: it may hold secrets.
    throw reported(`${name}: the script's answer of ${stdout.length} bytes is no JSON object`);
  }
}
