/** What is sent to a host: one text for bash's stdin, made of the stage's variables and of files below host/. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The text of a file below host/, such as `lib/base.sh` or `installed/routes.sh`, without its last line break. */
export function scriptText(file: string): string {
  return readFileSync(join(__dirname, "../../host", file), "utf8").replace(/\n$/, "");
}

/** A script that runs on a host by itself, as one text: files below host/ that it shares stand before it. */
export function hostScript(file: string, shared: readonly string[]): string {
  const [shebang, ...lines] = scriptText(`installed/${file}`).split("\n");
  // The first line of a part is for shellcheck alone.
  const parts = shared.map((one) => scriptText(one).replace(/^# shellcheck shell=bash\n/, ""));
  return [shebang, ...parts, ...lines].join("\n");
}

/** The approver of kubelets' serving certificates. */
export const approverScript = () => hostScript("approve.sh", ["lib/requests.sh"]);

/** A word that a POSIX shell takes for exactly this text. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

export interface StageScript {
  /** Node name, for messages. */
  node: string;
  /** Stage name, for messages and for what the host remembers of the stage. */
  stage: string;
  /** Files below host/ after lib/base.sh, in order; the last one defines `apply` and, if the stage leaves anything, `remove`. */
  files: readonly string[];
  /** TK_… variables of the stage. A value may hold secrets: the text goes over stdin alone. */
  variables: Readonly<Record<string, string>>;
}

/**
 * The text for `bash -s -- apply|remove`. Only definitions come before its last line, so that a text that arrives cut short
 * does nothing. Throws on a variable name that is not TK_[A-Z0-9_]+.
 */
export function renderStdin(stage: StageScript): string {
  const variables = { TK_NODE: stage.node, TK_STAGE: stage.stage, ...stage.variables };
  const assignments = Object.entries(variables).map(([name, value]) => {
    if (!/^TK_[A-Z0-9_]+$/.test(name)) {
      throw new Error(`${stage.stage}: ${JSON.stringify(name)} is no name for a script's variable`);
    }
    return `${name}=${shellQuote(value)}`;
  });
  return [...assignments, scriptText("lib/base.sh"), ...stage.files.map(scriptText), 'main "$1" </dev/null', ""].join(
    "\n",
  );
}
