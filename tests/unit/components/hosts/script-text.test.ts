import { readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { scriptText, shellQuote } from "../../../../components/hosts/script-text";
import { renderStdin, stageFiles, stages, withRequired } from "../../../../components/hosts/stages";
import { bash, bashOk, removeTemporaryFolders, temporaryFolder } from "../../host/bash";
import { expectNothingCutShort } from "./cut-short";

/** Every script below host/, such as `lib/base.sh`. */
const hostFiles = () =>
  (readdirSync(join(__dirname, "../../../../host"), { recursive: true }) as string[]).filter((file) =>
    file.endsWith(".sh"),
  );

/** Any text that a shell's variable can hold: everything but NUL. */
const shellText = () => fc.string({ unit: "binary", maxLength: 40 }).map((text) => text.replaceAll("\0", ""));
/** Much of what is special to a shell. */
const shellSyntax = () => fc.string({ unit: fc.constantFrom(..."'\"\\$`!{}()<>|&;~#*?[]-= \n\t\ra"), maxLength: 30 });
const anyText = () => fc.oneof(shellText(), shellSyntax());

const lastLine = 'main "$1" </dev/null\n';

/** The shortest stage, with another `apply`, and without its lock. */
function harmlessStage(apply: string, variables: Record<string, string> = {}): string {
  const text = renderStdin({ node: "node1", stage: "peers", variables, timeoutSeconds: 300 });
  expect(text.endsWith(lastLine)).to.equal(true);
  return `${text.slice(0, -lastLine.length)}lock_host() { :; }\napply() {\n${apply}\n}\n${lastLine}`;
}

afterEach(removeTemporaryFolders);

describe("shellQuote", () => {
  it("gives a word that bash takes for exactly the text", () => {
    fc.assert(
      fc.property(fc.array(anyText(), { minLength: 1, maxLength: 50 }), (texts) => {
        const printed = bashOk(`printf '%s\\0' ${texts.map(shellQuote).join(" ")}`);
        expect(printed.split("\0").slice(0, -1)).to.deep.equal(texts);
      }),
      { numRuns: 20 },
    );
  });
});

describe("renderStdin", () => {
  it("hands every variable to the stage as it is", () => {
    fc.assert(
      fc.property(fc.array(anyText(), { minLength: 1, maxLength: 50 }), (texts) => {
        const variables = Object.fromEntries(texts.map((text, i) => [`TK_V${i}`, text]));
        const names = ["TK_NODE", "TK_STAGE", ...Object.keys(variables)];
        const text = harmlessStage(`printf '%s\\0' ${names.map((name) => `"$${name}"`).join(" ")}`, variables);
        expect(bashOk(text, "apply").split("\0").slice(0, -1)).to.deep.equal(["node1", "peers", ...texts]);
      }),
      { numRuns: 20 },
    );
  });

  it("refuses a name that is no name of a script's variable", () => {
    for (const name of ["PATH", "tk_x", "TK_", "TK_a", "TK_A B", "TK_A;id", "TK_A=1\nTK_B", ""]) {
      expect(
        () => renderStdin({ node: "n", stage: "facts", variables: { [name]: "" }, timeoutSeconds: 300 }),
        name,
      ).to.throw(/^facts: .* is not a valid name of a script's variable$/);
    }
  });

  it("gives a stage less time for the wait for another one than it has in all", () => {
    for (const [timeoutSeconds, wait] of [
      [300, 150],
      [600, 300],
      [3000, 600],
    ] as const)
      expect(renderStdin({ node: "n", stage: "lan", variables: {}, timeoutSeconds })).to.include(
        `\nTK_LOCK_SECONDS='${wait}'\n`,
      );
  });

  it("has each of a stage's files after what it requires, and ends with the call", () => {
    for (const stage of stages) {
      const text = renderStdin({ node: "n", stage, variables: {}, timeoutSeconds: 300 });
      const at = stageFiles(stage).map((file) => text.indexOf(scriptText(file)));
      expect([...at].sort((a, b) => a - b)).to.deep.equal(at);
      expect(at[0]).to.be.greaterThan(0);
      expect(text.endsWith(`\n${lastLine}`)).to.equal(true);
      expect(text.split(lastLine)).to.have.lengthOf(2);
    }
  });

  it("has nothing but definitions before its last line, in every stage", () => {
    // The trap sees every command outside of functions, and lets none run that is no plain assignment.
    const spy = String.raw`
      spy() {
          local assignment='^(export )?[A-Za-z_]+='
          if [[ $BASH_COMMAND =~ $assignment && $BASH_COMMAND != *'$('* ]]; then return 0; fi
          printf '%s\n' "$BASH_COMMAND" >&2
          return 1
      }
      shopt -s extdebug
      trap spy DEBUG`;
    for (const stage of stages) {
      const text = renderStdin({ node: "n", stage, variables: {}, timeoutSeconds: 300 });
      const { stderr } = bash(`${spy}\n${text.slice(0, -lastLine.length)}`, "apply");
      expect(stderr, stage).to.equal("");
      const called = bash(`${spy}\n${text}`, "apply");
      expect(called.stderr, stage).to.equal('main "$1" < /dev/null\n');
    }
  });

  it("defines no function twice", () => {
    for (const stage of stages) {
      const text = renderStdin({ node: "n", stage, variables: {}, timeoutSeconds: 300 });
      const names = [...text.matchAll(/^([a-z_0-9]+)\(\) /gm)].map((match) => match[1]!);
      expect(names.length).to.be.greaterThan(5);
      const twice = names.filter((name, i) => names.indexOf(name) !== i);
      expect(twice, stage).to.deep.equal([]);
    }
  });

  /** The files of host/lib and host/stages that define what each file uses of them, with what it uses. */
  function usedFiles(): Map<string, Map<string, string[]>> {
    const files = hostFiles().filter((file) => /^(lib|stages)\//.test(file));
    const codeOf = (file: string) => scriptText(file).replace(/^\s*#.*$/gm, "");
    const owners = new Map<string, string[]>();
    for (const file of files) {
      for (const [name] of codeOf(file).matchAll(/^([a-z_0-9]+(?=\(\) )|[A-Z][A-Z0-9_]+(?==))/gm)) {
        owners.set(name, [...(owners.get(name) ?? []), file]);
      }
    }
    const patterns = [
      // Names of functions, also where they are handed to another one.
      /(?<![\w$/.-])([a-z]+_[a-z_0-9]+)(?![\w=]|\(\))/g,
      // Names of one word where a command begins: at the start of a line, after a keyword or an operator, in a substitution.
      /(?<=^\s*|[;|&(] ?|\{ |! |\b(?:if|then|else|elif|while|until|do) )([a-z]+)(?![\w=(.-])/gm,
      /\$\{?#?([A-Z][A-Z0-9_]+)\b/g,
    ];
    return new Map(
      files.map((file) => {
        const code = codeOf(file);
        const used = new Map<string, string[]>();
        for (const [, name] of patterns.flatMap((pattern) => [...code.matchAll(pattern)])) {
          const from = owners.get(name!) ?? [];
          // One that this file sets itself; a stage's own functions are for no other file.
          if (from.includes(file) || new RegExp(`\\b${name}=`).test(code)) continue;
          for (const owner of from.filter((one) => one.startsWith("lib/"))) {
            used.set(owner, [...(used.get(owner) ?? []), name!]);
          }
        }
        return [file, used];
      }),
    );
  }

  it("has what each file uses: the file requires what defines it", () => {
    for (const [file, used] of usedFiles()) {
      const own = new Set([...withRequired("lib/base.sh"), ...withRequired(file)]);
      for (const [owner, names] of used) expect([...own], `${file} uses ${names[0]}`).to.include(owner);
    }
  });

  it("has nothing that no file of it uses", () => {
    const files = usedFiles();
    // The cleanup calls it by the name of the stage whose traces it removes.
    const called = ["lib/software/remove-runtime.sh"];
    // In a text of components/hosts/proxy.ts.
    const required = ["lib/software/proxy-check.sh"];
    for (const stage of stages) {
      const own = stageFiles(stage);
      const used = new Set(own.flatMap((file) => [...files.get(file)!.keys()]));
      const always = withRequired("lib/base.sh");
      const unused = own.filter((file) => file.startsWith("lib/") && !used.has(file) && !always.includes(file));
      expect(unused, stage).to.deep.equal(stage === "cleanup" ? called : stage === "facts" ? required : []);
    }
  });

  it("defines apply in every stage, and remove alone in the cleanup of them all", () => {
    for (const stage of stages) {
      const text = renderStdin({ node: "n", stage, variables: {}, timeoutSeconds: 300 }).slice(0, -lastLine.length);
      const defined = bashOk(`${text}\ndeclare -F apply remove main | tr '\\n' ' ' || true`);
      const expected = stage === "cleanup" ? "remove main " : "apply main ";
      expect(defined, stage).to.equal(expected);
    }
  });

  it("does nothing when it arrives cut short", () => {
    const folder = temporaryFolder();
    const started = join(folder, "started");
    const ended = join(folder, "ended");
    const text = harmlessStage(': >"$TK_STARTED"\n: >"$TK_ENDED"', {
      TK_STARTED: started,
      TK_ENDED: ended,
      TK_SECRET: "it's\na 'secret'",
    });
    expectNothingCutShort({ text, last: text.length - lastLine.length, started, ended, numRuns: 25, step: 3 });
  });

  it("keeps a stage's commands from reading the script itself", () => {
    expect(bashOk(harmlessStage("cat; echo end"), "apply")).to.equal("end\n");
  });
});

describe("scriptText", () => {
  it("is the file without its last line break", () => {
    const file = readFileSync(join(__dirname, "../../../../host/lib/base.sh"), "utf8");
    expect(`${scriptText("lib/base.sh")}\n`).to.equal(file);
  });

  it("has one file of each name, because comments name files without their folders", () => {
    const names = hostFiles().map((file) => basename(file));
    expect(names.length).to.be.greaterThan(50);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).to.deep.equal([]);
  });
});
