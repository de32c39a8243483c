/** What Pulumi starts, in a copy of the project: which program it runs, and when it makes it. */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";

const root = join(__dirname, "../../..");
const folders = ["build", "components", "config", "host", "model", "preview", "program"];

describe("program/index.js", function () {
  this.timeout(120_000);
  let project: string;
  let kept: string;

  before(() => {
    project = mkdtempSync(join(tmpdir(), "tailkube-program-"));
    kept = join(project, "node_modules/.cache/tailkube/program.js");
    for (const name of [...folders, "index.ts", "package-lock.json", "package.json"]) {
      cpSync(join(root, name), join(project, name), { recursive: true });
    }
    mkdirSync(join(project, "node_modules"));
    for (const name of readdirSync(join(root, "node_modules")).filter((one) => !one.startsWith("."))) {
      symlinkSync(join(root, "node_modules", name), join(project, "node_modules", name));
    }
  });
  after(() => rmSync(project, { recursive: true }));

  /** Without a config, the program ends with what it misses. Its own listener takes errors that are not caught. */
  const start = `try { require("./program/index.js"); } catch (error) { console.error(error.stack ?? error.message); }`;
  const run = () => spawnSync(process.execPath, ["-e", start], { cwd: project, encoding: "utf8" }).stderr;
  const change = (file: string, from: string, to: string) => {
    const path = join(project, file);
    const text = readFileSync(path, "utf8");
    expect(text).to.contain(from);
    writeFileSync(path, text.replace(from, to));
  };

  it("makes the program once, and keeps it for the next runs", () => {
    expect(run()).to.contain("in the stack's config:").and.to.contain("nodes: not set");
    const { ino } = statSync(kept);
    expect(run()).to.contain("nodes: not set");
    expect(statSync(kept).ino).to.equal(ino);
  });

  it("makes it again after a change of a source", () => {
    change("model/messages.ts", "in the stack's config:", "in this stack's config:");
    const packed = join(dirname(kept), "packed.json");
    writeFileSync(packed, "packed by the former program");
    expect(run()).to.contain("in this stack's config:");
    expect(readFileSync(kept, "utf8")).to.contain("in this stack's config:");
    expect(existsSync(packed)).to.equal(false);
  });

  it("makes it again after a change of a package's version", () => {
    const { ino } = statSync(kept);
    change("package-lock.json", '"lockfileVersion": 3', '"lockfileVersion":  3');
    expect(run()).to.contain("nodes: not set");
    expect(statSync(kept).ino).to.not.equal(ino);
  });

  it("does not run one that is not whole, or was changed", () => {
    const whole = readFileSync(kept, "utf8");
    for (const broken of ["", whole.slice(0, whole.length / 2), whole.replace("nodes", "modes"), "// {}\n"]) {
      writeFileSync(kept, broken);
      expect(run()).to.contain("nodes: not set");
      expect(readFileSync(kept, "utf8")).to.equal(whole);
    }
  });

  it("says the line of the source where an error is", () => {
    const text = readFileSync(join(project, "config/stack.ts"), "utf8");
    const body = text.indexOf("{\n", text.indexOf("export function loadStackConfig")) + 2;
    writeFileSync(
      join(project, "config/stack.ts"),
      `${text.slice(0, body)}throw new Error("broken");\n${text.slice(body)}`,
    );
    const line = text.slice(0, body).split("\n").length;
    expect(run()).to.match(new RegExp(`^Error: broken\n +at \\S+ \\(${project}/config/stack\\.ts:${line}:\\d+\\)`));
    cpSync(join(root, "config/stack.ts"), join(project, "config/stack.ts"));
  });

  it("runs where nothing can be kept", () => {
    rmSync(join(project, "node_modules/.cache"), { recursive: true });
    writeFileSync(join(project, "node_modules/.cache"), "a file");
    expect(run()).to.contain("nodes: not set");
  });
});
