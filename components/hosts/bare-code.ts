/** A shell script without what is only for its readers: comment lines, empty lines and indentation. */

/** Where a line begins: in code, or in a text that must stay as it is. */
type Context = "code" | "'" | "$'" | '"' | "{" | "(" | "`";

/** A here-document's end and, after `<<-`, with tabs before it. */
interface HereDocument {
  end: string;
  tabs: boolean;
}

const hereDocument = /^<<(-?)[ \t]*(?:'([^']+)'|"([^"]+)"|\\?([\w.-]+))/;

/** Follows the quotes, expansions and here-documents of a script, line by line. */
class Reader {
  private readonly contexts: Context[] = [];
  private readonly documents: HereDocument[] = [];

  /** Whether the next line is code from its beginning, even within parentheses. */
  get isCode(): boolean {
    return this.documents.length === 0 && this.isCommand(this.contexts.at(-1));
  }

  /** Whether nothing is open. */
  get isClosed(): boolean {
    return this.documents.length === 0 && this.contexts.length === 0;
  }

  private isCommand = (context: Context | undefined) => context === undefined || context === "(" || context === "`";

  read(line: string): void {
    const [document] = this.documents;
    if (document !== undefined) {
      if ((document.tabs ? line.replace(/^\t+/, "") : line) === document.end) this.documents.shift();
      return;
    }
    let at = 0;
    while (at < line.length) {
      const step = this.isCommand(this.contexts.at(-1)) ? this.inCommand(line, at) : this.inText(line, at);
      if (step === 0) return;
      at += step;
    }
  }

  private enter(context: Context, length: number): number {
    this.contexts.push(context);
    return length;
  }

  private leave(): number {
    this.contexts.pop();
    return 1;
  }

  /** Reads what is at that position of a command. Returns its length; 0 for the rest of the line. */
  private inCommand(line: string, at: number): number {
    const rest = line.slice(at, at + 100);
    if (rest.startsWith("#") && /(^|[\s;&|(])$/.test(line.slice(0, at))) return 0;
    if (rest.startsWith("<<<")) return 3;
    const document = hereDocument.exec(rest);
    if (document !== null && !line.slice(0, at).includes("((")) {
      this.documents.push({ end: document[2] ?? document[3] ?? document[4]!, tabs: document[1] !== "" });
      return document[0].length;
    }
    if (rest.startsWith("'")) return this.enter("'", 1);
    if (rest.startsWith("$'")) return this.enter("$'", 2);
    if (rest.startsWith("(")) return this.enter("(", 1);
    // One more than were opened is a pattern's of `case`.
    if (rest.startsWith(")")) return this.contexts.at(-1) === "(" ? this.leave() : 1;
    return this.inBoth(rest);
  }

  /** The same within quotes or an expansion. */
  private inText(line: string, at: number): number {
    const context = this.contexts.at(-1);
    const rest = line.slice(at, at + 2);
    if (context === "'") return rest.startsWith("'") ? this.leave() : 1;
    if (context === "$'") return rest.startsWith("'") ? this.leave() : rest.startsWith("\\") ? 2 : 1;
    if (context === "{" && rest.startsWith("}")) return this.leave();
    if (context === "{" && rest.startsWith("'") && !this.contexts.includes('"')) return this.enter("'", 1);
    return this.inBoth(rest);
  }

  /** What means the same in commands, in double quotes and in expansions. */
  private inBoth(rest: string): number {
    if (rest.startsWith("\\")) return 2;
    if (rest.startsWith('"')) return this.contexts.at(-1) === '"' ? this.leave() : this.enter('"', 1);
    if (rest.startsWith("${")) return this.enter("{", 2);
    if (rest.startsWith("$(")) return this.enter("(", 2);
    if (rest.startsWith("`")) return this.contexts.at(-1) === "`" ? this.leave() : this.enter("`", 1);
    return 1;
  }
}

/**
 * The script without comment lines, empty lines and indentation, except in quotes and here-documents. What it cannot follow to its end
 * it returns as it is. For texts of host/ alone: a test has bash compare each of them before and after.
 */
export function bareCode(script: string): string {
  const reader = new Reader();
  const kept: string[] = [];
  let continued = false;
  for (const line of script.split("\n")) {
    const isPlain = reader.isCode && !continued;
    const code = isPlain ? line.trimStart() : line;
    if (isPlain && (code === "" || code.startsWith("#"))) continue;
    reader.read(line);
    kept.push(code);
    continued = reader.isCode && /(^|[^\\])(\\\\)*\\$/.test(line);
  }
  return reader.isClosed ? kept.join("\n") : script;
}
