/** Pages and messages are in plain English: without words that only this project uses, and without words that make a reader stumble. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import ts from "typescript";

const root = join(__dirname, "../../..");
const filesOf = (...patterns: string[]) =>
  execFileSync("git", ["ls-files", "-co", "--exclude-standard", "--", ...patterns], { cwd: root, encoding: "utf8" })
    .trim()
    .split("\n")
    .filter((file) => existsSync(join(root, file)));
const textOf = (file: string) => readFileSync(join(root, file), "utf8");

const pages = filesOf("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "lab/*README.md", "docs/*.md");
/** Sources whose strings users may see. */
const programs = filesOf(
  ...["index.ts", "library.ts"],
  ...["command", "components", "config", "docs", "model", "policy", "preview"].map((folder) => `${folder}/*.ts`),
);

/** What to avoid, and what to write instead. */
const avoided: [RegExp, string][] = [
  [/\bsettles?d?\b/i, "finalize"],
  [/\bbur(y|ies|ied)\b/i, "remove dead members"],
  [/\bstewards?\b/i, "coordinator, first control plane"],
  [/\bfates?\b/i, "machine change"],
  [/\b(leavers?|departures?|departs?)\b/i, "removed nodes"],
  [/\bfound(s|ed|er|ers|ing)\b(?! (by|in|on|at)\b)/i, "init, create"],
  [/\b(un)?fit\b/i, "passes or fails its requirements"],
  [/\bpermitted\b/i, "allowed"],
  [/\b(no|some)body\b|\bwhoever\b|\bwhomever\b/i, "name the actor"],
  [/\banew\b/i, "again"],
  [/\bno more\b|\bany more\b/i, "no longer"],
  [/\bof ours\b|\bof yours\b|\bof theirs\b/i, "our, your, their"],
  [/\bby which\b/i, "say it in two sentences"],
  [/\bbe it\b/i, "whether"],
  [/\bthe like\b/i, "such as"],
  [/\b(is|are|was|were) (wanted|refused|told|looked at)\b|\bwanted is\b/i, "is required, fails, says, checks"],
  [/\b(tells|told)\b/i, "says, shows"],
  [/^[^a-z]*who\b|(?<!\b(one|user|attacker|person|people|anyone|reader|operator)) who\b/i, "a person before it"],
  [/\bTwice is as good as once\b/i, "idempotent"],
  [/\bmend(s|ed)?\b/i, "fix"],
];

/** A page's own words: without comments, code, quoted messages, names of resources and files, and link targets. */
const prose = (text: string) =>
  text
    .replace(/<!--.*?-->/gs, "")
    .replace(/^( *)```.*?^\1```/gms, "")
    .replace(/`[^`]*`/g, "`")
    .replace(/"[^"\n]*"/g, '"')
    .replace(/\b[A-Z][a-z]+[A-Z]\w+|[\w-]+\.(sh|ts|md)\b/g, "`")
    .replace(/\]\([^)]*\)/g, "]");

/** The avoided words of a text, each with its replacement. */
function stumbles(text: string, words = avoided): string[] {
  return prose(text)
    .split(/\n\s*\n|(?<=[.:]) |\n(?=\|)/)
    .flatMap((sentence) =>
      words.flatMap(([word, better]) => {
        const said = word.exec(sentence.replace(/\s+/g, " ").trim())?.[0];
        return said === undefined ? [] : [`"${said.trim()}" (better: ${better})`];
      }),
    );
}

/** Words to avoid in messages only: pages may quote or explain them. */
const avoidedInMessages: [RegExp, string][] = [
  [/\bwants?\b/i, "requires"],
  [/\bwhere wanted\b|^wanted\b/i, "optionally, required"],
  [/\bis no (?!longer\b|such\b)/i, "is not a"],
  [/\bmake (one|an?)\b/i, "create"],
  [/, for (?=(its?|they|there|nothing|none)\b)/i, "because"],
  [/\b(looked|looks?) at\b/i, "checks, see"],
  [/\bfor ever\b/i, "forever"],
  [/\bin plain\b(?! text)/i, "unencrypted"],
];

/** The strings of a source that read as text, each with its line: parts that are joined with + are one string, and `…` stands for values. */
function messagesOf(file: string, text: string): { line: number; message: string }[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found: { line: number; message: string }[] = [];
  const isJoined = (node: ts.Node): node is ts.BinaryExpression =>
    ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken;
  const stringOf = (node: ts.Node): string => {
    if (isJoined(node)) return stringOf(node.left) + stringOf(node.right);
    if (ts.isStringLiteralLike(node)) return node.text;
    if (!ts.isTemplateExpression(node)) return "…";
    return node.head.text + node.templateSpans.map(({ literal }) => `…${literal.text}`).join("");
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) return;
    if (isJoined(node) || ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart());
      found.push({ line: line + 1, message: stringOf(node) });
    }
    // Strings may also be inside the values of a template.
    if (!isJoined(node)) ts.forEachChild(node, visit);
  };
  visit(source);
  return found.filter(({ message }) => /[a-z…] [a-z…]/i.test(message));
}

describe("the words of the pages", () => {
  it("are plain English", () => {
    expect(pages).to.include.members(["README.md", "CONTRIBUTING.md", "docs/operate/nodes.md", "lab/hosts/README.md"]);
    const found = pages.flatMap((page) => stumbles(textOf(page)).map((word) => `${page}: ${word}`));
    expect(found).to.deep.equal([]);
  });

  it("are looked for across lines, and not in code or quotes", () => {
    expect(stumbles("A host is\nrefused.")).to.deep.equal(['"is refused" (better: is required, fails, says, checks)']);
    expect(stumbles("Who loses the state")).to.have.lengthOf(1);
    expect(stumbles("The text by\nwhich it is known")).to.have.lengthOf(1);
    expect(stumbles("anyone who loses the state")).to.deep.equal([]);
    expect(stumbles('Say `settle`, "is refused" and **ClusterSettle**.\n\n```sh\nsettle\n```\n')).to.deep.equal([]);
  });
});

describe("the words of the messages", () => {
  const words = [...avoided, ...avoidedInMessages];

  it("are plain English", () => {
    const all = programs.flatMap((file) => messagesOf(file, textOf(file)).map((one) => ({ file, ...one })));
    expect(all.length).to.be.greaterThan(500);
    expect(all.map(({ message }) => message)).to.include(
      "at least one node must have role control-plane (three are recommended)",
    );
    const found = all.flatMap(({ file, line, message }) =>
      stumbles(message, words).map((word) => `${file}:${line}: ${word}`),
    );
    expect(found).to.deep.equal([]);
  });

  it("are looked for in each string as the user sees it", () => {
    const text =
      'const a = `${b ? "it is no key" : "ok"}: the host ` + "is " + "refused";\nfail("x is wanted", `1 ${c} anew`);';
    const found = messagesOf("a.ts", text).map(({ line, message }) => [line, message, stumbles(message, words).length]);
    expect(found).to.deep.equal([
      [1, "…: the host is refused", 1],
      [2, "x is wanted", 1],
      [2, "1 … anew", 1],
    ]);
  });
});
