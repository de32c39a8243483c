import { chmodSync, existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import { expect } from "chai";
import { checksCommand } from "../../../../components/hosts/checks-command";
import { packAll, packedStdin } from "../../../../components/hosts/packed-stage";
import { networkScript, scriptText } from "../../../../components/hosts/script-text";
import { renderStdin, stages, type StageScript } from "../../../../components/hosts/stages";
import { bash, bashOk, removeTemporaryFolders, temporaryFolder } from "../../host/bash";
import { expectNothingCutShort } from "./cut-short";

const secret = "it's\na 'secret'";
/** Scripts to install, and what is no text of host/. */
const variables = {
  TK_HOST_GUARD: scriptText("installed/guard.sh"),
  TK_HOST_CHECKS: checksCommand(),
  TK_HOST_NETWORK: networkScript(),
  TK_HOST_WAIT_ADDRESS: scriptText("installed/wait-address.sh"),
  TK_SECRET: secret.repeat(1000),
  TK_EMPTY: "",
};
const script = (stage: StageScript["stage"]): StageScript => ({ node: "n1", stage, variables, timeoutSeconds: 300 });
const call = 'main "$1" </dev/null\n';

/** The text with something else instead of the call of main. */
function instead(text: string, command: string): string {
  expect(text.endsWith(call)).to.equal(true);
  return `${text.slice(0, -call.length)}${command}\n`;
}

/** The shortest stage, with another `apply`, and without its lock. */
const harmless = (apply: string, given: Record<string, string> = variables) =>
  instead(
    packedStdin({ ...script("peers"), variables: given }),
    `lock_host() { :; }; apply() { ${apply}; }; ${call.trimEnd()}`,
  );

afterEach(removeTemporaryFolders);

describe("a packed stage", function () {
  this.timeout(180_000);

  it("defines and sets what the stage does, in every stage", () => {
    const dump = `unset -f unpack; unset TK_PACKED; declare -f; declare -p "\${!TK_@}"; echo "$- $SHELLOPTS $PATH"; trap`;
    for (const stage of stages) {
      const plain = bashOk(instead(renderStdin(script(stage)), dump), "apply");
      const packed = bashOk(instead(packedStdin(script(stage)), dump), "apply");
      expect(plain).to.include("TK_HOST_CHECKS").and.to.include("main ()").and.to.include("secret");
      expect(packed, stage).to.equal(plain);
    }
  });

  it("is a third of it, and a half with scripts to install", () => {
    for (const stage of stages) {
      const alone = { ...script(stage), variables: {} };
      const length = renderStdin(alone).length;
      if (length > 10_000) expect(packedStdin(alone).length, stage).to.be.lessThan(length / 2.7);
    }
    const scripts = { ...script("control-plane"), variables: { ...variables, TK_SECRET: "" } };
    expect(packedStdin(scripts).length).to.be.lessThan(renderStdin(scripts).length / 2);
  });

  it("runs main with the argument, and with nothing on stdin", () => {
    const printed = bashOk(harmless('printf "%s|%s" "$TK_NODE" "$TK_SECRET"; cat'), "apply");
    expect(printed).to.equal(`n1|${variables.TK_SECRET}`);
    expect(bash(harmless("echo"), "other").stderr).to.match(/^tailkube: n1: peers: unknown verb other\n$/);
  });

  it("has nothing but definitions before its last line", () => {
    const spy = String.raw`
      spy() {
          local assignment='^[A-Za-z_]+='
          [[ ! $BASH_COMMAND =~ $assignment || $BASH_COMMAND == *'$('* ]] || return 0
          printf '%s\n' "$BASH_COMMAND" >&2
          return 1
      }
      shopt -s extdebug
      trap spy DEBUG`;
    for (const stage of stages) {
      const { stderr } = bash(`${spy}\n${packedStdin({ ...script(stage), variables: {} })}`, "apply");
      expect(stderr, stage).to.equal('unpack TK_PACKED\neval "$TK_PACKED"\nmain "$1" < /dev/null\n');
    }
  });

  it("does nothing when it arrives cut short", () => {
    const folder = temporaryFolder();
    const [started, ended] = [join(folder, "started"), join(folder, "ended")];
    const text = harmless(`: >"$TK_STARTED"; : >"$TK_ENDED"`, {
      TK_HOST_GUARD: variables.TK_HOST_GUARD,
      TK_STARTED: started,
      TK_ENDED: ended,
    });
    const last = text.lastIndexOf("\nunpack ") + 1;
    expectNothingCutShort({ text, last, started, ended, numRuns: 12, step: 7 });
  });

  it("evaluates nothing of a text that is not whole, and says so in one line", () => {
    const folder = temporaryFolder();
    const started = join(folder, "started");
    const text = harmless(`: >"$TK_STARTED"`, { TK_HOST_GUARD: variables.TK_HOST_GUARD, TK_STARTED: started });
    const packed = [...text.matchAll(/^(TK_HOST_GUARD|TK_PACKED)='([A-Za-z0-9+/=]+)'$/gm)];
    expect(packed).to.have.lengthOf(2);
    const damages = [
      (one: string) => one.slice(0, 400),
      (one: string) => one.slice(0, -4),
      (one: string) => one.slice(0, 500) + (one[500] === "A" ? "B" : "A") + one.slice(501),
      (one: string) => `${one.slice(0, 500)}*${one.slice(501)}`,
      () => "",
    ];
    for (const [, name, one] of packed) {
      for (const damage of damages) {
        const { stderr, status } = bash(text.replace(one!, damage(one!)), "apply");
        expect(stderr, name).to.match(
          /^tailkube: n1: peers: the host cannot unpack this stage: base64 or gzip failed\. [^\n]*\n$/,
        );
        expect(status).to.equal(1);
        expect(existsSync(started)).to.equal(false);
      }
    }
  });

  it("says in one line which tool a host lacks", () => {
    for (const missing of ["gzip", "base64"]) {
      const tools = temporaryFolder();
      for (const tool of ["gzip", "base64"].filter((one) => one !== missing)) {
        symlinkSync(bashOk(`type -P ${tool}`).trim(), join(tools, tool));
      }
      const { stderr, status } = bash(`PATH=${tools}\n${packedStdin(script("facts"))}`, "apply");
      expect(stderr).to.equal(
        `tailkube: n1: facts: the host cannot unpack this stage: ${missing} is missing. Nothing was changed. Run "apt-get install gzip coreutils" on the host, then run again\n`,
      );
      expect(status).to.equal(1);
    }
  });

  it("has no text in a command line or in a file", () => {
    const [tools, none] = [temporaryFolder(), temporaryFolder()];
    for (const tool of ["gzip", "base64"]) {
      const path = bashOk(`type -P ${tool}`).trim();
      writeFileSync(join(tools, tool), `#!/bin/bash\necho "${tool} $*" >>${tools}/calls\nexec ${path} "$@"\n`);
      chmodSync(join(tools, tool), 0o755);
    }
    // strace would show it for certain, but a folder that does not exist fails any temporary file of bash.
    const { status, stderr } = spawnSync("bash", ["-s", "--", "apply"], {
      input: harmless(":"),
      encoding: "utf8",
      env: { PATH: `${tools}:${process.env.PATH}`, TMPDIR: join(none, "missing") },
    });
    expect(stderr).to.equal("");
    expect(status).to.equal(0);
    const calls = readFileSync(join(tools, "calls"), "utf8").trim().split("\n");
    expect([...new Set(calls)].sort()).to.deep.equal(["base64 -d", "gzip -dc"]);
    // Guard, checks, network, and the stage's files.
    expect(calls).to.have.lengthOf(8);
  });

  it("packs texts of host/ alone: a secret is never among those that are kept", () => {
    const text = packedStdin(script("control-plane"));
    expect(text).to.include("it'\\''s\na '\\''secret'\\''it'\\''s");
    const packed = new Set(Object.values(packAll()));
    const found = [...text.matchAll(/^TK_[A-Z0-9_]+='([A-Za-z0-9+/=]{500,})'$/gm)].map(([, one]) => one!);
    expect(found).to.have.lengthOf(4);
    for (const one of found) expect(packed.has(one)).to.equal(true);
  });

  it("refuses a name that is no name of a script's variable", () => {
    expect(() => packedStdin({ ...script("facts"), variables: { PATH: "" } })).to.throw(/is not a valid name/);
  });
});
