/** What local and remote commands have in common, as version 1.2.1 of the command provider performs them. */
import { randomBytes } from "crypto";
import { Change, diffProps } from "../diff";
import type { ResourceState } from "../state/deployment";
import { equal, Props, reveal, Secret, UNKNOWN, Value } from "../values";
import { allowOnly, dropNulls, read, readBoolean, readString } from "./inputs";
import { OutputLines } from "./outputLines";
import type { Created, OperationContext, Performer } from "./provider";

const COMMON_INPUTS = ["create", "update", "delete", "triggers", "stdin", "logging", "environment"];
const LOGGING = ["stdout", "stderr", "stdoutAndStderr", "none"];
/** How much of the end of a failed command's standard error its error quotes. */
const TAIL_LINES = 40;
const TAIL_CHARACTERS = 8_000;

/** How one command ran. */
export interface CommandResult {
  /** Null when a signal ended it. */
  code: number | null;
  signal?: string | undefined;
  stdout: string;
  stderr: string;
}

/** A command to run; everything is plain text here. */
export interface CommandRun {
  command: string;
  stdin: string;
  environment: Record<string, string>;
  /** Called with the output as it comes. */
  onStdout: (chunk: string) => void;
  onStderr: (chunk: string) => void;
  signal: AbortSignal;
}

export abstract class Command implements Performer {
  /** Inputs that the kind has beside the common ones. */
  protected abstract readonly ownInputs: readonly string[];
  /** Runs a command with the resource's inputs. */
  protected abstract run(inputs: Props, run: CommandRun, context: OperationContext): Promise<CommandResult>;

  check(inputs: Props, _olds: Props | undefined, name: string): Props {
    const result = dropNulls(inputs);
    allowOnly(result, [...COMMON_INPUTS, "addPreviousOutputInEnv", ...this.ownInputs], `command "${name}"`);
    const logging = readString(result, "logging");
    if (logging !== undefined && !LOGGING.includes(logging)) {
      throw new Error(`command "${name}": logging is "${logging}", but has to be one of ${LOGGING.join(", ")}`);
    }
    for (const key of ["create", "update", "delete", "stdin"]) readString(result, key);
    return result;
  }

  /** Elements of `triggers` are declared as replacing by the SDK; setting or unsetting all of it is here. */
  diff(old: ResourceState, inputs: Props, ignored: readonly string[] = []): Change[] {
    // Of ignored paths the provider knows names of inputs only.
    const news = { ...inputs, ...pick(old.outputs ?? {}, ignored) };
    return diffProps(old.inputs ?? {}, news, (path) => path.length === 1 && path[0] === "triggers");
  }

  /** The provider takes an update for one that may change what was said, unless all that it does is add inputs. */
  preview(inputs: Props, old?: ResourceState): Props {
    const { stdout = "", stderr = "", ...before } = old?.outputs ?? {};
    const isUnknown = Object.values(inputs).some((value) => reveal(value) === UNKNOWN);
    const isChanged = Object.keys(before).some((key) => !equal(before[key], inputs[key]));
    if (!old || isUnknown || isChanged) return { ...inputs, stdout: UNKNOWN, stderr: UNKNOWN };
    return { ...inputs, stdout, stderr };
  }

  async create(context: OperationContext, inputs: Props): Promise<Created> {
    const id = context.name + randomBytes(4).toString("hex");
    const command = readString(inputs, "create");
    if (command === undefined) return { id, outputs: { ...inputs, stdout: "", stderr: "" } };
    return { id, outputs: { ...inputs, ...(await this.perform(context, "create", command, inputs, {})) } };
  }

  async update(context: OperationContext, old: ResourceState, inputs: Props): Promise<Props> {
    const previous = pick(old.outputs ?? {}, ["stdout", "stderr"]);
    const command = readString(inputs, "update") ?? readString(inputs, "create");
    if (command === undefined) return { ...inputs, ...previous };
    return { ...inputs, ...(await this.perform(context, "update", command, inputs, previous)) };
  }

  async delete(context: OperationContext, old: ResourceState): Promise<void> {
    const props = old.outputs ?? old.inputs ?? {};
    const command = readString(props, "delete");
    if (command === undefined) return;
    await this.perform(context, "delete", command, props, pick(props, ["stdout", "stderr"]));
  }

  private async perform(
    context: OperationContext,
    operation: string,
    command: string,
    inputs: Props,
    previous: Props,
  ): Promise<Props> {
    const logging = readString(inputs, "logging") ?? "stdoutAndStderr";
    const stdoutLines = new OutputLines(context.log);
    const stderrLines = new OutputLines(context.log);
    const result = await this.run(
      inputs,
      {
        command,
        stdin: readString(inputs, "stdin") ?? "",
        environment: this.environment(inputs, previous),
        onStdout: (chunk) => ["stdout", "stdoutAndStderr"].includes(logging) && stdoutLines.add(chunk),
        onStderr: (chunk) => ["stderr", "stdoutAndStderr"].includes(logging) && stderrLines.add(chunk),
        signal: context.signal,
      },
      context,
    );
    stdoutLines.end();
    stderrLines.end();
    if (context.signal.aborted) throw new Error(`the ${operation} command was aborted`);
    if (result.code !== 0) throw new Error(describeFailure(operation, result));
    return { stdout: trimNewline(result.stdout), stderr: trimNewline(result.stderr) };
  }

  private environment(inputs: Props, previous: Props): Record<string, string> {
    const result: Record<string, string> = {};
    const own = (read(inputs, "environment") ?? {}) as Record<string, Value>;
    for (const [key, value] of Object.entries(own)) result[key] = String(value);
    if (readBoolean(inputs, "addPreviousOutputInEnv") ?? true) {
      const stdout = readString(previous, "stdout");
      const stderr = readString(previous, "stderr");
      if (stdout) result.PULUMI_COMMAND_STDOUT = stdout;
      if (stderr) result.PULUMI_COMMAND_STDERR = stderr;
    }
    return result;
  }
}

/** Says how the command ended and what it last said; never what it was nor what it read. */
function describeFailure(operation: string, result: CommandResult): string {
  const how = result.signal ? `was ended by signal ${result.signal}` : `ended with exit status ${result.code}`;
  const lines = (result.stderr.trim() || result.stdout.trim()).split("\n").slice(-TAIL_LINES);
  const tail = lines.join("\n").slice(-TAIL_CHARACTERS);
  return `the ${operation} command ${how}${tail ? `:\n${tail}` : ", and said nothing"}`;
}

/** One newline at the end belongs to the last line, not to the value. */
function trimNewline(text: string): string {
  return text.endsWith("\n") ? text.slice(0, -1) : text;
}

function pick(props: Props, keys: readonly string[]): Props {
  const present = keys.filter((key) => props[key] !== undefined);
  return Object.fromEntries(present.map((key) => [key, props[key] as Value | Secret]));
}
