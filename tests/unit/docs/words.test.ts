/** The pages are in plain English: no word that only this project uses, none that makes a reader stumble. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";

const root = join(__dirname, "../../..");
const pages = execFileSync(
  "git",
  [
    "ls-files",
    "-co",
    "--exclude-standard",
    "--",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "lab/README.md",
    "docs/*.md",
  ],
  { cwd: root, encoding: "utf8" },
)
  .trim()
  .split("\n")
  .filter((page) => existsSync(join(root, page)));

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
function stumbles(text: string): string[] {
  return prose(text)
    .split(/\n\s*\n|(?<=[.:]) |\n(?=\|)/)
    .flatMap((sentence) =>
      avoided.flatMap(([word, better]) => {
        const said = word.exec(sentence.replace(/\s+/g, " ").trim())?.[0];
        return said === undefined ? [] : [`"${said.trim()}" (better: ${better})`];
      }),
    );
}

describe("the words of the pages", () => {
  it("are plain English", () => {
    expect(pages).to.include.members(["README.md", "CONTRIBUTING.md", "docs/operate/nodes.md"]);
    const found = pages.flatMap((page) =>
      stumbles(readFileSync(join(root, page), "utf8")).map((word) => `${page}: ${word}`),
    );
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
