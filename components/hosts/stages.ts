/** The stages that run on hosts, and the files in host/ that each consists of. */
import { installedScript, scriptText, shellQuote } from "./script-text";

/** In the order of a new node; each is `host/stages/NAME.sh`. `cleanup` removes what all others left. */
export const stages = [
  "first-boot",
  "host-key",
  "facts",
  "tailnet",
  "lan",
  "runtime",
  "make-authorities",
  "peers",
  "control-plane",
  "dead-members",
  "join",
  "admit",
  "start-encryption",
  "upgrade",
  "finalize",
  "check-cluster",
  "cleanup",
] as const;

export type Stage = (typeof stages)[number];

/** Whether a stage may run at the same time as others on the same host. */
export type Lock =
  /** No: it waits for others, and others wait for it. */
  | "host"
  /** Yes. */
  | "folder"
  /** Yes, and it leaves nothing on the host, not even our folder in /run. */
  | "none";

/** The words that a file declares in its header: `# KEY: WORD…`. */
function declared(file: string, key: "requires" | "lock"): string[] {
  const line = new RegExp(`^# ${key}: (.+)$`, "m").exec(scriptText(file));
  return line === null ? [] : line[1]!.split(" ");
}

/** A file with everything that it requires, each file once and before those that require it. Throws if files require each other. */
export function withRequired(file: string, within: readonly string[] = []): string[] {
  if (within.includes(file)) throw new Error(`host/: ${[...within, file].join(" requires ")}`);
  const required = declared(file, "requires").flatMap((name) => withRequired(`${name}.sh`, [...within, file]));
  return [...new Set([...required, file])];
}

/** The files of a stage, from lib/base.sh and what that requires to its own, which defines `apply` or, in the stage cleanup, `remove`. */
export function stageFiles(stage: Stage): string[] {
  return [...new Set([...withRequired("lib/base.sh"), ...withRequired(`stages/${stage}.sh`)])];
}

export function stageLock(stage: Stage): Lock {
  return (declared(`stages/${stage}.sh`, "lock")[0] ?? "host") as Lock;
}

export interface StageScript {
  /** Node name, for messages. */
  node: string;
  stage: Stage;
  /** TK_… variables of the stage. Values may contain secrets, because the text goes only through stdin. */
  variables: Readonly<Record<string, string>>;
  /** Bound on the script, in seconds. */
  timeoutSeconds: number;
}

/**
 * How long a stage waits for another one on its host. It must end, and say who works there, long before the script is ended at its bound
 * without a word.
 */
const lockSeconds = (timeoutSeconds: number) => Math.min(600, Math.floor(timeoutSeconds / 2));

const lockVariables = (stage: Stage, seconds: number) => ({ TK_LOCK: stageLock(stage), TK_LOCK_SECONDS: `${seconds}` });

/** All variables that a stage gets. */
export const stageVariables = ({ node, stage, variables, timeoutSeconds }: StageScript): Record<string, string> => ({
  TK_NODE: node,
  TK_STAGE: stage,
  ...lockVariables(stage, lockSeconds(timeoutSeconds)),
  ...variables,
});

/** The lines that give a script its variables. Throws on a name that is not TK_[A-Z0-9_]+. */
export function assignments(script: string, variables: Readonly<Record<string, string>>): string[] {
  return Object.entries(variables).map(([name, value]) => {
    if (!/^TK_[A-Z0-9_]+$/.test(name)) {
      throw new Error(`${script}: ${JSON.stringify(name)} is not a valid name of a script's variable`);
    }
    return `${name}=${shellQuote(value)}`;
  });
}

/** A stage's files as one text. */
export const stageText = (stage: Stage): string => stageFiles(stage).map(scriptText).join("\n");

/**
 * The text for `bash -s -- apply|remove`. Only definitions come before its last line, so that a text that arrives cut short
 * does nothing. Throws on a variable name that is not TK_[A-Z0-9_]+. It is sent packed (packed-stage.ts).
 */
export function renderStdin(script: StageScript): string {
  const { stage } = script;
  return [...assignments(stage, stageVariables(script)), stageText(stage), 'main "$1" </dev/null', ""].join("\n");
}

/**
 * A stage as a command that stays on hosts: a file of host/installed, whose last line calls main, behind the stage's files. It is
 * readable by everyone, so the variables must not contain secrets. A line with TK_NODE has to follow its first one on each host.
 */
export function stageCommand(file: string, stage: Stage, variables: Readonly<Record<string, string>>): string {
  const [shebang, ...lines] = installedScript(file, stageFiles(stage)).split("\n");
  const given = { TK_STAGE: stage, ...lockVariables(stage, 60), ...variables };
  return [shebang, ...assignments(stage, given), ...lines].join("\n");
}
