import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { removeTemporaryFolders, temporaryFolder, write } from "../host/bash";

const here = join(__dirname, "../../../lab");

/** A project's folder with files of the lab, and a PATH with nothing but a few tools. */
function labFolder(files: readonly string[], tools: readonly string[]): { root: string; path: string } {
  const root = temporaryFolder();
  const path = join(root, "bin");
  for (const file of files) {
    mkdirSync(join(root, "lab", file, ".."), { recursive: true });
    copyFileSync(join(here, file), join(root, "lab", file));
  }
  for (const tool of tools) {
    write(join(path, tool), `#!/bin/sh\nexec "$(PATH=/usr/bin:/bin command -v ${tool})" "$@"\n`, 0o755);
  }
  return { root, path };
}

describe("lab/engine", () => {
  let root: string;
  let path: string;

  beforeEach(() => {
    const tools = [
      "bash",
      "dirname",
      "mkdir",
      "chmod",
      "head",
      "base64",
      "realpath",
      "cat",
      "grep",
      "sed",
      "jq",
      "rm",
      "dpkg",
      "awk",
    ];
    ({ root, path } = labFolder(["engine", "env", "sources"], tools));
    write(join(root, "Pulumi.dev.yaml"), "config:\n  tailkube:which: the project's\n");
    write(join(root, "lab/.state/sources"), "bundle\n");
    // A CLI that makes the stack as Pulumi does, and else says what it was told and with which config.
    const cli = [
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
    write(join(root, "lab/pulumi/pulumi"), `${cli.join("\n")}\n`, 0o755);
  });

  afterEach(removeTemporaryFolders);

  function engine(args: string[], { config, cwd = root }: { config?: string; cwd?: string } = {}) {
    const environment = { PATH: path, ...(config !== undefined && { LAB_STACK_CONFIG: config }) };
    const command = join(root, "lab/engine");
    return spawnSync("/bin/bash", [command, ...args], { cwd, env: environment, encoding: "utf8", timeout: 30_000 });
  }

  it("gives the CLI the project's config and the hosts' sources, or a copy of the file in LAB_STACK_CONFIG, each with the stack's salt", () => {
    const copy = join(root, "copy.yaml");
    write(copy, "config: {tailkube:which: a copy}\n");
    const salt = "encryptionsalt: v1:of-the-lab";
    const project = engine(["up"]);
    expect(project.status, project.stderr).to.equal(0);
    expect(project.stdout).to.match(/^pulumi up --yes --skip-preview /);
    expect(project.stdout).to.match(
      new RegExp(
        `${salt}\nconfig:\n  tailkube:which: the project's\n  tailkube:bundle: /opt/.*\n  tailkube:cilium:\n    chart: .*\n$`,
      ),
    );
    for (const verb of ["up", "preview", "refresh", "destroy"]) {
      const { stdout } = engine([verb], { config: copy });
      expect(stdout).to.contain(`${salt}\nconfig: {tailkube:which: a copy}\n`).and.to.not.contain("the project's");
    }
    expect(readFileSync(copy, "utf8"), "the file itself stays as it is").to.not.contain("salt");
  });

  it("passes on options and names", () => {
    expect(engine(["preview", "--policy-pack", "policy"]).stdout).to.match(/ --policy-pack policy\n/);
    expect(engine(["output", "nodes"]).stdout).to.equal("pulumi stack output nodes --show-secrets --stack dev\n");
    expect(engine(["export"]).stdout).to.equal("pulumi stack export --stack dev\n");
    expect(engine(["name"]).stdout).to.equal("Pulumi CLI pulumi version\n");
  });

  it("takes a relative path from where it is called", () => {
    const cwd = join(root, "elsewhere");
    write(join(cwd, "copy.yaml"), "config: {tailkube:which: elsewhere}\n");
    expect(engine(["up"], { config: "copy.yaml", cwd }).stdout).to.contain("which: elsewhere");
  });

  it("leaves the CLI a file's own salt", () => {
    const copy = join(root, "copy.yaml");
    write(copy, "encryptionsalt: v1:own\nconfig: {}\n");
    const { stdout } = engine(["up"], { config: copy });
    expect(stdout).to.contain("v1:own").and.to.not.contain("of-the-lab");
  });

  it("removes the lock of a run that is gone, and leaves that of one that goes on", () => {
    const locks = join(root, "lab/.state/backend/.pulumi/locks/organization/tailkube/dev");
    write(join(locks, "gone.json"), JSON.stringify({ pid: 2 ** 22 + 1 }));
    write(join(locks, "running.json"), JSON.stringify({ pid: process.pid }));
    expect(engine(["up"]).stdout).to.match(/^the last run was killed: removing its lock\npulumi up /);
    expect(readdirSync(locks)).to.deep.equal(["running.json"]);
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

describe("lab/sources", () => {
  const stack = "config:\n  tailkube:kubernetes:\n    version: 1.37.2\n  tailkube:cilium:\n    version: 1.20.2\n";
  let root: string;
  let path: string;

  beforeEach(() => {
    ({ root, path } = labFolder(
      ["sources", "env"],
      ["bash", "dirname", "mkdir", "chmod", "sed", "cat", "rm", "dpkg", "awk"],
    ));
    write(join(root, "Pulumi.dev.yaml"), stack);
    const more = "  tailkube:mirrors: {}\\n  tailkube:kubernetes:\\n    # why\\n    containerdVersion: 2.4.2\\n";
    write(join(root, "lab/mirror/mirror"), `#!/bin/bash\n[ "$1" = config ] && printf '${more}'\n`, 0o755);
  });

  afterEach(removeTemporaryFolders);

  function sources(verb: string, wanted = "") {
    const env = { PATH: path, TAILKUBE_SOURCES: wanted };
    return spawnSync("/bin/bash", [join(root, "lab/sources"), verb], { env, encoding: "utf8", timeout: 30_000 });
  }

  /** What the places answer; the last word of curl's arguments but two is the URL. */
  function places(answer: string): void {
    const script = `#!/bin/bash\nwhile [[ $1 != https:* ]]; do shift; done\n${answer}\n`;
    write(join(path, "curl"), script, 0o755);
  }
  const open = "case $1 in */v2/) printf 401 ;; *) printf 206 ;; esac";

  it("are the official places where all of them answer, with nothing to add to the stack", () => {
    places(open);
    const { stdout, stderr } = sources("choose");
    expect(stdout).to.match(/^sources: official: /);
    expect(stderr.match(/^sources: https:.*: HTTP (206|401)$/gm)).to.have.length(7);
    expect(sources("config").stdout).to.equal(stack);
  });

  it("are the mirror where one of them does not, and each answer is said", () => {
    for (const [answer, said] of [
      ["printf 000; echo 'curl: (6) Could not resolve host: quay.io' >&2; exit 6", "Could not resolve host: quay.io"],
      ["printf 403", "HTTP 403"],
      ["printf 502", "HTTP 502"],
    ] as const) {
      rmSync(join(root, "lab/.state"), { recursive: true, force: true });
      places(`case $1 in *quay.io*) ${answer}; exit ;; esac\n${open}`);
      const { stdout, stderr } = sources("choose");
      expect(stdout).to.match(/^sources: mirror: /);
      expect(stderr).to.contain(`sources: https://quay.io/v2/: ${said}\n`);
    }
    places(open);
    expect(sources("name"), "asked once").to.include({ stdout: "mirror\n", stderr: "" });
    const { stdout } = sources("config");
    expect(parse(stdout)).to.deep.equal({
      config: {
        "tailkube:kubernetes": { version: "1.37.2", containerdVersion: "2.4.2" },
        "tailkube:cilium": { version: "1.20.2" },
        "tailkube:mirrors": {},
      },
    });
    expect(stdout).to.include("    # why\n");
  });

  it("are those in TAILKUBE_SOURCES, until the lab is removed", () => {
    expect(sources("name", "bundle").stdout).to.equal("bundle\n");
    expect(sources("config").stdout).to.contain("tailkube:bundle: /opt/tailkube-bundle\n");
    expect(sources("choose", "mirror").stderr).to.match(
      /^sources: TAILKUBE_SOURCES=mirror: this lab installs from bundle. Run/,
    );
    rmSync(join(root, "lab/.state"), { recursive: true });
    expect(sources("choose", "debian").stderr).to.match(/"debian" is none. Allowed: official, mirror, bundle\./);
    expect(sources("choose", "debian").status).to.equal(1);
  });
});

describe("lab/pulumi", () => {
  const files = ["env", "pulumi/choose", "pulumi/pulumi", "pulumi/build.sh", "pulumi/versions.env"];
  const tools = ["bash", "dirname", "readlink", "mkdir", "chmod", "sed", "jq", "cat", "sha256sum", "cut", "awk"].concat(
    ["rm", "mv", "ln", "cp", "flock", "tail", "uname", "tar", "gzip", "node"],
  );
  let root: string;
  let path: string;

  beforeEach(() => {
    ({ root, path } = labFolder([...files, "artifacts/lib/go.sh"], tools));
    copyFileSync(join(here, "../package.json"), join(root, "package.json"));
    write(join(path, "node"), `#!/bin/sh\nexec ${process.execPath} "$@"\n`, 0o755);
    for (const file of ["go.mod", "go.sum", "pulumi-resource-command/main.go"])
      write(join(root, "lab/pulumi", file), "");
  });

  afterEach(removeTemporaryFolders);

  function run(command: string, args: string[] = [], environment: Record<string, string> = {}) {
    const env = { PATH: path, HOME: root, TAILKUBE_CACHE: join(root, "cache"), ...environment };
    return spawnSync("/bin/bash", [join(root, "lab/pulumi", command), ...args], {
      env,
      encoding: "utf8",
      timeout: 30_000,
    });
  }

  const { dependencies } = JSON.parse(readFileSync(join(here, "../package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };

  /** A CLI in PATH with these plugins; it tells its arguments and its home. */
  function installCli(plugins: string[] = ["command", "kubernetes"]): void {
    const list = plugins.map((name) => ({ name, version: dependencies[`@pulumi/${name}`] }));
    const script = [
      "#!/bin/bash",
      `case "$*" in "plugin ls --json") echo '${JSON.stringify(list)}' ;; version) echo v3.999.0 ;; *) echo "$* $PULUMI_HOME" ;; esac`,
    ];
    write(join(path, "pulumi"), `${script.join("\n")}\n`, 0o755);
  }

  /** Pulumi's site: answers all that is asked for with a release. */
  function openSite(): void {
    write(join(root, "release/pulumi/pulumi"), '#!/bin/bash\necho "released $* $PULUMI_HOME"\n', 0o755);
    const script = `#!/bin/bash\ncase "$*" in *--head*) exit 0 ;; esac\nexec tar -cz -C ${root}/release pulumi\n`;
    write(join(path, "curl"), script, 0o755);
  }

  /** Go, whose programs say which they are; each build is noted. */
  function installGo(): void {
    const module = join(root, "module");
    write(join(module, "go.mod"), "module it\n\ngo 1.26.0\n");
    write(join(module, "cmd/pulumi-resource-kubernetes/schema.json"), '{"version": "0.0.0"}');
    write(join(module, "cmd/pulumi-resource-kubernetes/terraform-mapping.json"), "{}");
    const script = [
      "#!/bin/bash",
      `echo "$1 \${!#}" >>${root}/builds`,
      'if [ "$1 $2" = "mod download" ]; then',
      `    printf '{\\n\\t"Dir": "${module}",\\n\\t"GoMod": "${module}/go.mod"\\n}\\n'`,
      "    exit 0",
      "fi",
      '[ "$1" = build ] || exit 0',
      'while [ "$1" != -o ]; do shift; done',
      'case $2 in */) set -- -o "$2pulumi-language-nodejs" "$2pulumi-resource-command" ;; esac',
      'for file in "${@:2}"; do',
      "    [[ $file == /* ]] || continue",
      `    printf '#!/bin/bash\\necho "built $* $PULUMI_HOME"\\n' >"$file"`,
      '    chmod 0755 "$file"',
      "done",
    ];
    write(join(path, "go"), `${script.join("\n")}\n`, 0o755);
  }

  const builds = () =>
    existsSync(join(root, "builds")) ? readFileSync(join(root, "builds"), "utf8").match(/^build /gm)!.length : 0;

  it("takes the CLI in PATH, with its own home, if that has the plugins", () => {
    installCli();
    installGo();
    const { stdout, stderr, status } = run("choose");
    expect(status, stderr).to.equal(0);
    expect(stdout).to.equal(`engine: Pulumi CLI v3.999.0, installed (${path}/pulumi)\n`);
    expect(run("pulumi", ["up", "--yes"]).stdout).to.equal("up --yes \n");
    expect(builds()).to.equal(0);
  });

  it("takes the CLI in PATH without plugins only where it can fetch them", () => {
    installCli(["command"]);
    installGo();
    expect(run("choose").stdout).to.contain(", built (");
    rmSync(join(root, "lab/.state"), { recursive: true });
    openSite();
    const fetching = run("choose");
    expect(fetching.stdout).to.contain(", installed (");
    expect(fetching.stderr).to.contain(`plugin install resource kubernetes ${dependencies["@pulumi/kubernetes"]} \n`);
    expect(run("choose").stderr, "once").to.equal("");
  });

  it("fetches the release where the site answers, once", () => {
    openSite();
    installGo();
    const first = run("choose");
    expect(first.status, first.stderr).to.equal(0);
    expect(first.stdout).to.match(
      /^engine: Pulumi CLI released version .*, fetched \(.*\/release-[\d.]+\/pulumi\/pulumi\)\n$/,
    );
    expect(first.stderr).to.match(
      /^engine: fetching Pulumi [\d.]+ from https:\/\/get\.pulumi\.com\nreleased plugin install resource command 1\.2\.1 .*\n/,
    );
    rmSync(join(path, "curl"));
    const again = run("pulumi", ["up"]);
    expect(again.stdout).to.match(/^released up .*\/release-[\d.]+\/home\n$/);
    expect(again.stderr).to.equal("");
  });

  it("builds where nothing else is to be had, once, with the plugins where the CLI looks for them", () => {
    installGo();
    const first = run("choose");
    expect(first.status, first.stderr).to.equal(0);
    expect(first.stdout).to.match(/^engine: Pulumi CLI built version .*, built \(.*\)\nengine: stand-ins for .*\n$/);
    expect(builds()).to.equal(3);
    const home = /built up (.*)\n/.exec(run("pulumi", ["up"]).stdout)![1]!;
    expect(readdirSync(join(home, "../bin"))).to.have.members(["pulumi", "pulumi-language-nodejs"]);
    for (const name of ["command", "kubernetes"]) {
      const plugin = `plugins/resource-${name}-v${dependencies[`@pulumi/${name}`]}/pulumi-resource-${name}`;
      expect(existsSync(join(home, plugin)), plugin).to.equal(true);
    }
    expect(builds(), "nothing again").to.equal(3);
    write(join(root, "lab/pulumi/pulumi-resource-command/main.go"), "package changed\n");
    expect(run("choose").stderr).to.contain("building the stand-ins");
    expect(builds(), "only what has changed").to.equal(4);
  });

  it("keeps to its choice, and takes the one that it is told", () => {
    installGo();
    expect(run("choose").stdout).to.contain(", built (");
    installCli();
    openSite();
    expect(run("choose").stdout, "chosen once").to.contain(", built (");
    expect(run("choose", [], { TAILKUBE_ENGINE: "installed" }).stdout).to.contain(", installed (");
    expect(run("choose", [], { TAILKUBE_ENGINE: "fetched" }).stdout).to.contain(", fetched (");
  });

  it("says what is wrong and what to do", () => {
    const wrong = (environment: Record<string, string>) => {
      const { status, stderr } = run("choose", [], environment);
      expect(status).to.equal(1);
      return stderr;
    };
    expect(wrong({ TAILKUBE_ENGINE: "best" })).to.match(
      /^engine: TAILKUBE_ENGINE: "best" .*installed, fetched, built\. /,
    );
    expect(wrong({ TAILKUBE_ENGINE: "installed" })).to.contain("there is no pulumi in PATH. Install it");
    expect(wrong({ TAILKUBE_ENGINE: "built" })).to.contain("there is no go in PATH. Install Go");
    write(join(path, "go"), "#!/bin/sh\necho 'it does not compile' >&2\nexit 1\n", 0o755);
    expect(wrong({ TAILKUBE_ENGINE: "built" }))
      .to.contain("it does not compile")
      .and.to.contain("could not be built");
    expect(readdirSync(join(root, "cache/pulumi")).filter((name) => name.startsWith("cli-"))).to.deep.equal([]);
  });
});
