/** What the engine tells its user. */
import type { Change } from "./diff";
import type { Step, StepOperation } from "./executor";
import { formatPath } from "./paths";
import { containsUnknown, hide, UNKNOWN, Value } from "./values";

/** A step gets a line of its own when it starts, if it still runs after this time, in ms. */
const ANNOUNCE_AFTER = 3_000;
/** How often it is told what is still running, in ms. */
const HEARTBEAT = 15_000;
/** How many of the longest steps the summary names. */
const LONGEST = 5;
/** How many errors the summary repeats, if the last is further back than so many lines. */
const REPEATED_ERRORS = 5;
const CLOSE_BY = 4;
const VALUE_WIDTH = 60;

const SYMBOL: Record<StepOperation, string> = { create: "+", update: "~", replace: "+-", delete: "-" };
const DONE: Record<StepOperation, string> = {
  create: "created",
  update: "updated",
  replace: "replaced",
  delete: "deleted",
};

export type Count = StepOperation | "same";

export interface StartedStep {
  step: Step;
  at: number;
  announcement: NodeJS.Timeout;
}

export class Display {
  readonly counts: Record<Count, number> = { create: 0, update: 0, replace: 0, delete: 0, same: 0 };
  /** Everything that was said as an error. */
  readonly errors: string[] = [];
  private readonly began = Date.now();
  private readonly running = new Set<StartedStep>();
  private readonly durations: { name: string; operation: StepOperation; ms: number }[] = [];
  private readonly heartbeat: NodeJS.Timeout;

  private readonly write: (line: string) => void;
  private linesSinceError = 0;

  constructor(
    write: (line: string) => void,
    private readonly showDebug = false,
  ) {
    this.write = (line) => {
      this.linesSinceError++;
      write(line);
    };
    this.heartbeat = setInterval(() => this.beat(), HEARTBEAT);
    this.heartbeat.unref();
  }

  line(text: string): void {
    this.write(text);
  }

  warning(message: string): void {
    this.write(indent("warning: ", message));
  }

  error(message: string): void {
    this.errors.push(message);
    this.write(indent("error: ", message));
    this.linesSinceError = 0;
  }

  /** A message of the program. */
  message(severity: "debug" | "info" | "warning" | "error", name: string, message: string): void {
    const text = name ? `${name}: ${message}` : message;
    if (severity === "error") this.error(text);
    else if (severity === "warning") this.warning(text);
    else if (severity === "info" || this.showDebug) this.write(indent(`${severity}: `, text));
  }

  /** A line that the program prints, or would rather not have had to. */
  debug(line: string): void {
    if (this.showDebug) this.write(line);
  }

  /** A line of a running command's output. */
  output(name: string, line: string): void {
    this.write(`    ${name} | ${line}`);
  }

  stepStarted(step: Step): StartedStep {
    const announcement = setTimeout(
      () => this.write(`${pad(SYMBOL[step.operation])} ${step.name}  ${gerund(step.operation)} …`),
      ANNOUNCE_AFTER,
    );
    announcement.unref();
    const started = { step, at: Date.now(), announcement };
    this.running.add(started);
    return started;
  }

  stepFinished(started: StartedStep): void {
    const ms = this.ended(started);
    const { operation, name, note } = started.step;
    this.durations.push({ name, operation, ms });
    const suffix = note ? `  ${note}` : "";
    this.write(`${pad(SYMBOL[operation])} ${name}  ${DONE[operation]}  (${seconds(ms)})${suffix}`);
  }

  stepFailed(started: StartedStep, message: string): void {
    const ms = this.ended(started);
    const { operation, name } = started.step;
    this.write(`${pad("x")} ${name}  ${operation} failed  (${seconds(ms)})`);
    this.error(`${name}: ${message}`);
  }

  /** Something that needs no time: a component, a provider, a resource left alone. */
  done(operation: StepOperation, name: string, note?: string): void {
    this.write(`${pad(SYMBOL[operation])} ${name}  ${DONE[operation]}${note ? `  ${note}` : ""}`);
  }

  /** What would be done, in a preview. */
  planned(operation: StepOperation, name: string, type: string, changes: Change[] = [], note?: string): void {
    const suffix = note ? `  (${note})` : "";
    this.write(`${pad(SYMBOL[operation])} ${name}  ${operation}  ${type}${suffix}`);
    for (const change of changes) this.write(`       ${describeChange(change)}`);
  }

  /** The last lines of a run that changed something or would. */
  summary(verb: "done" | "planned", failed: boolean): void {
    clearInterval(this.heartbeat);
    const { same, ...changed } = this.counts;
    const parts = (Object.keys(changed) as StepOperation[])
      .filter((operation) => changed[operation] > 0)
      .map((operation) => `${changed[operation]} ${verb === "done" ? DONE[operation] : `to ${operation}`}`);
    if (parts.length === 0 && !failed) parts.push("nothing to change");
    if (same > 0) parts.push(`${same} unchanged`);
    const longest = [...this.durations].sort((a, b) => b.ms - a.ms).slice(0, LONGEST);
    if (longest.length > 1) {
      const names = longest.map(({ name, ms }) => `${name} ${seconds(ms)}`);
      this.write(`Longest steps: ${names.join(", ")}`);
    }
    if (failed && this.linesSinceError > CLOSE_BY) {
      this.write("What went wrong:");
      for (const message of this.errors.slice(0, REPEATED_ERRORS)) this.write(`  ${gist(message)}`);
    }
    const state = failed ? "FAILED: " : "";
    this.write(`${state}${parts.join(", ") || "nothing was done"} in ${seconds(Date.now() - this.began)}`);
  }

  /** Stops the heartbeat. */
  close(): void {
    clearInterval(this.heartbeat);
    for (const started of this.running) clearTimeout(started.announcement);
  }

  private ended(started: StartedStep): number {
    clearTimeout(started.announcement);
    this.running.delete(started);
    return Date.now() - started.at;
  }

  private beat(): void {
    if (this.running.size === 0) return;
    const names = [...this.running].map(({ step, at }) => `${step.name} (${seconds(Date.now() - at)})`);
    this.write(`   still running: ${names.join(", ")}`);
  }
}

/** Name and values of a change; secret values hidden. */
export function describeChange(change: Change): string {
  const path = formatPath(change.path);
  const needs = change.replace ? "  (needs replacement)" : "";
  if (change.kind === "add") return `+ ${path}: ${describeValue(change.new)}${needs}`;
  if (change.kind === "delete") return `- ${path}: ${describeValue(change.old)}${needs}`;
  return `~ ${path}: ${describeValue(change.old)} => ${describeValue(change.new)}${needs}`;
}

function describeValue(value: Value | undefined): string {
  if (value === undefined) return "(none)";
  if (value === UNKNOWN) return "(known after up)";
  const hidden = hide(value);
  if (hidden === "[secret]") return "[secret]";
  const text = JSON.stringify(containsUnknown(hidden) ? replaceUnknown(hidden) : hidden);
  return text.length > VALUE_WIDTH ? `${text.slice(0, VALUE_WIDTH)}…` : text;
}

function replaceUnknown(value: Value): Value {
  return JSON.parse(JSON.stringify(value).replaceAll(UNKNOWN, "(known after up)")) as Value;
}

/** The first line that says something. */
function gist(message: string): string {
  const [first, second] = message.split("\n");
  return first!.endsWith(":") && second ? `${first} ${second.trim()}` : first!;
}

function gerund(operation: StepOperation): string {
  return operation.replace(/e$/, "") + "ing";
}

function pad(symbol: string): string {
  return symbol.padStart(2);
}

function indent(prefix: string, text: string): string {
  return prefix + text.trimEnd().replaceAll("\n", "\n  ");
}

/** `0.4s`, `12.3s`, `2m05s`. */
export function seconds(ms: number): string {
  if (ms < 100_000) return `${(ms / 1000).toFixed(1)}s`;
  const total = Math.round(ms / 1000);
  return `${Math.floor(total / 60)}m${String(total % 60).padStart(2, "0")}s`;
}
