import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { bareCode } from "../../../../components/hosts/bare-code";
import { scriptText, shellQuote } from "../../../../components/hosts/script-text";
import { bashOk } from "../../host/bash";

const hostFiles = (readdirSync(join(__dirname, "../../../../host"), { recursive: true }) as string[]).filter((file) =>
  file.endsWith(".sh"),
);

/** What bash makes of each text: its commands without comments, with strings and here-documents as they are. */
function parsed(texts: readonly string[]): string[] {
  const one = 'show() { eval "f() {"$\'\\n\'"$1"$\'\\n\'"}" && declare -f f && printf "\\0"; }';
  const all = bashOk([one, ...texts.map((text) => `show ${shellQuote(text)}`), ""].join("\n"));
  return all.split("\0").slice(0, -1);
}

describe("bareCode", () => {
  it("is the same program to bash, of every file", () => {
    const before = parsed(hostFiles.map(scriptText));
    const after = parsed(hostFiles.map((file) => bareCode(scriptText(file))));
    expect(before).to.have.lengthOf(hostFiles.length);
    for (const [i, file] of hostFiles.entries()) expect(after[i], file).to.equal(before[i]);
  });

  it("is shorter, of every file, and by a third in all", () => {
    const length = (texts: string[]) => texts.reduce((sum, text) => sum + text.length, 0);
    for (const file of hostFiles)
      expect(bareCode(scriptText(file)).length, file).to.be.lessThan(scriptText(file).length);
    expect(length(hostFiles.map((file) => bareCode(scriptText(file))))).to.be.lessThan(
      0.67 * length(hostFiles.map(scriptText)),
    );
  });

  const texts = {
    "single quotes": "a() {\n  # comment: it's\n  awk '\n    # kept\n    { print }\n  '\n}",
    "double quotes": 'a() {\n  echo "one\n    # kept $(echo "$x"\n    # a comment)\n    )\n  end" # it\'s\n  b\n}',
    expansions: "a() {\n  echo ${#x} ${x#\\'} ${x%\"*\"} \"${x:-b}\" $'it\\'s\n  # kept'\n  # comment\n}",
    "here-documents": "a() {\n  cat <<END <<-'OTHER'\n  # kept $(echo)\n\nEND\n\t# kept\n\tOTHER\n  # comment\n}",
    "no here-document": "a() {\n  cat <<<'END' && x=$((1 << y))\n  # comment\n  b\n}",
    continuations: "a() {\n  b c\\\n    d \\\n    e\n  # comment\n}",
    "a pattern": "a() {\n  case $x in\n  # comment\n  a) b ;;\n  (c) d ;;\n  esac\n  # comment\n}",
    "an array": "a=(\n  # comment\n  'b c'\n  d\n)",
    escapes: 'a() {\n  echo \\" \\\' "\\"\n  # kept" \\\\\n  # comment\n}',
  };
  for (const [what, text] of Object.entries(texts)) {
    it(`follows ${what}`, () => {
      const bare = bareCode(text);
      expect(bare).to.not.match(/# (a )?comment$/m);
      const kept = (of: string) => of.split("# kept").length;
      expect(kept(bare)).to.equal(kept(text));
      expect(parsed([bare])).to.deep.equal(parsed([text]));
    });
  }

  it("leaves what it cannot follow as it is", () => {
    for (const text of ["  # a\n  echo 'b", "  # a\n  cat <<END\n  b", '  # a\n  echo "$(b)']) {
      expect(bareCode(text)).to.equal(text);
    }
  });
});
