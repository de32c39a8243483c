/** A host's answers: the document that host/command/questions.sh prints. */

/** A question has three answers: a value that says yes or no, or none, with the reason. */
export type Asked<T> = { readonly value: T } | { readonly none: string };

export const isKnown = <T>(asked: Asked<T>): asked is { readonly value: T } => "value" in asked;
export const valueOf = <T>(asked: Asked<T>): T | undefined => (isKnown(asked) ? asked.value : undefined);

/** What a command on a host printed, and how it ended. */
export interface Answer {
  output: string;
  status: number;
  error: string;
}

export type Answers = ReadonlyMap<string, Answer>;

/** The answers in what ssh printed; undefined if there is no whole document. Startup files may have printed something before and after it. */
export function answersIn(stdout: string): Answers | undefined {
  const start = stdout.lastIndexOf('{"tailkube":1');
  for (let end = stdout.lastIndexOf("}"); start >= 0 && end > start; end = stdout.lastIndexOf("}", end - 1)) {
    const found = parsed(stdout.slice(start, end + 1));
    if (found !== undefined) return found;
  }
  return undefined;
}

const decode = (text: string) => Buffer.from(text, "base64").toString("utf8");

function parsed(text: string): Answers | undefined {
  try {
    const all = Object.entries(JSON.parse(text) as Record<string, Answer>).filter(([name]) => name !== "tailkube");
    return new Map(
      all.map(([name, { output, status, error }]) => [
        name,
        { output: decode(output), status, error: decode(error).trim() },
      ]),
    );
  } catch {
    return undefined;
  }
}

/**
 * An answer as a value. One that the parser throws on, and one of a command that failed and printed nothing of use, is none.
 *
 * @param parse gets what a command printed, even if it failed after that.
 */
export function asked<T>(answers: Answers, name: string, parse: (output: string) => T): Asked<T> {
  const answer = answers.get(name);
  if (answer === undefined) return { none: "not asked" };
  const { output, status, error } = answer;
  const why = () => {
    if (status === 124 || status === 137) return "no answer in time";
    return error.split("\n").at(-1)?.trim() || `it ended with ${status}`;
  };
  if (status !== 0 && output.trim() === "") return { none: why() };
  try {
    return { value: parse(output) };
  } catch (cause) {
    return { none: status === 0 ? `an answer that cannot be read: ${(cause as Error).message.slice(0, 120)}` : why() };
  }
}

/** JSON whose numbers may have 64 bits, such as etcd's IDs: those become texts, because numbers would be rounded. */
export function parseJson(text: string): unknown {
  return JSON.parse(text.replace(/([:[,]\s*)(\d{16,})(?=\s*[,}\]])/g, '$1"$2"'));
}
