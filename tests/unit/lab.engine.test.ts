import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { removeTemporaryFolders, temporaryFolder, write } from "./bash";

const here = join(__dirname, "../../lab");
const tools = ["bash", "dirname", "mkdir", "chmod", "head", "base64", "realpath", "cat", "grep", "sed", "jq"];

describe("lab/engine", () => {
  let root: string;
  let path: string;

  beforeEach(() => {
    root = temporaryFolder();
    mkdirSync(join(root, "lab/rehearsal"), { recursive: true });
    copyFileSync(join(here, "engine"), join(root, "lab/engine"));
    copyFileSync(join(here, "env"), join(root, "lab/env"));
    write(join(root, "Pulumi.dev.yaml"), "config: {tailkube:which: the project's}\n");
    // A PATH without a Pulumi CLI, whatever this machine has.
    path = join(root, "bin");
    for (const tool of tools)
      write(join(path, tool), `#!/bin/sh\nexec "$(PATH=/usr/bin:/bin command -v ${tool})" "$@"\n`, 0o755);
    write(join(root, "lab/rehearsal/rehearse"), '#!/bin/bash\necho "rehearse $*"\n', 0o755);
  });

  afterEach(removeTemporaryFolders);

  function engine(args: string[], { config, cwd = root }: { config?: string; cwd?: string } = {}) {
    const environment = { PATH: path, ...(config !== undefined && { LAB_STACK_CONFIG: config }) };
    const command = join(root, "lab/engine");
    return spawnSync("/bin/bash", [command, ...args], { cwd, env: environment, encoding: "utf8", timeout: 30_000 });
  }

  /** A CLI that makes the stack as Pulumi does, and else says what it was told and with which config. */
  function installCli(): void {
    const script = [
      "#!/bin/bash",
      'if [ "$1" = stack ] && [ "$2" = select ]; then',
      '    while [ "$1" != --cwd ]; do shift; done',
      "    echo 'encryptionsalt: v1:of-the-lab' >\"$2/Pulumi.dev.yaml\"",
      "    exit 0",
      "fi",
      'echo "pulumi $*"',
      'while [ $# -gt 0 ] && [ "$1" != --config-file ]; do shift; done',
      '[ $# = 0 ] || cat "$2"',
    ];
    write(join(path, "pulumi"), `${script.join("\n")}\n`, 0o755);
  }

  it("gives the rehearsal the project's config, or the one that it is told", () => {
    const copy = join(root, "elsewhere/copy.yaml");
    write(copy, "config: {}\n");
    for (const verb of ["up", "preview", "refresh", "destroy", "export"]) {
      const { stdout, status, stderr } = engine([verb]);
      expect(status, stderr).to.equal(0);
      expect(stdout).to.contain(` --config-file ${root}/Pulumi.dev.yaml`);
      expect(engine([verb], { config: copy }).stdout).to.contain(` --config-file ${copy}`);
    }
    expect(engine(["output", "nodes"], { config: copy }).stdout).to.match(
      /^rehearse stack output nodes .*copy\.yaml\n$/,
    );
    expect(engine(["up", "--debug"], { config: copy }).stdout).to.match(/copy\.yaml --debug\n$/);
  });

  it("takes a relative path from where it is called", () => {
    const cwd = join(root, "elsewhere");
    write(join(cwd, "copy.yaml"), "config: {}\n");
    expect(engine(["up"], { config: "copy.yaml", cwd }).stdout).to.contain(` --config-file ${cwd}/copy.yaml`);
  });

  it("gives the CLI a copy with the salt of the lab's stack", () => {
    installCli();
    const copy = join(root, "copy.yaml");
    write(copy, "config: {tailkube:which: a copy}\n");
    const project = engine(["up"]);
    expect(project.status, project.stderr).to.equal(0);
    expect(project.stdout).to.match(/^pulumi up --yes /);
    const salt = "encryptionsalt: v1:of-the-lab";
    expect(project.stdout).to.contain(`${salt}\nconfig: {tailkube:which: the project's}\n`);
    for (const verb of ["up", "preview", "refresh", "destroy"]) {
      const { stdout } = engine([verb], { config: copy });
      expect(stdout).to.contain(`${salt}\nconfig: {tailkube:which: a copy}\n`).and.to.not.contain("the project's");
    }
    expect(readFileSync(copy, "utf8"), "the file itself stays as it is").to.not.contain("salt");
  });

  it("leaves the CLI a file's own salt", () => {
    installCli();
    const copy = join(root, "copy.yaml");
    write(copy, "encryptionsalt: v1:own\nconfig: {}\n");
    const { stdout } = engine(["up"], { config: copy });
    expect(stdout).to.contain("v1:own").and.to.not.contain("of-the-lab");
  });

  it("says which file is not there, and runs nothing", () => {
    for (const config of ["missing.yaml", "/no/such/folder/dev.yaml", "lab"]) {
      const { stdout, stderr, status } = engine(["up"], { config });
      expect(status).to.equal(2);
      expect(stdout).to.equal("");
      expect(stderr).to.match(
        /^engine: LAB_STACK_CONFIG: there is no file \/.*; give the path of a stack's config.*\n$/,
      );
    }
  });
});
