/** What several files of the repository say of one thing, and the release that is made of them. */
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { removeTemporaryFolders, temporaryFolder, write } from "./host/bash";

const root = join(__dirname, "../..");
const read = (file: string) => readFileSync(join(root, file), "utf8");
const tracked = (pattern: string) =>
  execFileSync("git", ["ls-files", "-co", "--exclude-standard", "--", pattern], { cwd: root, encoding: "utf8" })
    .trim()
    .split("\n")
    .filter((file) => existsSync(join(root, file)));

interface Package {
  version: string;
  license: string;
  engines: { node: string };
  dependencies: Record<string, string>;
}
const manifest = JSON.parse(read("package.json")) as Package;

/** The version of a tool in .tool-versions. */
const toolVersion = (tool: string) => new RegExp(`^${tool} (\\S+)$`, "m").exec(read(".tool-versions"))?.[1];
/** All that a pattern's first group finds in files, by file. */
const found = (files: string[], pattern: RegExp) =>
  files.flatMap((file) => [...read(file).matchAll(pattern)].map((match) => [file, match[1]!] as const));

describe("the files of the repository", () => {
  it("have something in them, but for the sums of a module without dependencies", () => {
    const files = tracked("*");
    expect(files.length).to.be.greaterThan(500);
    expect(files.filter((file) => !file.endsWith("/go.sum") && statSync(join(root, file)).size === 0)).to.deep.equal(
      [],
    );
  });
});

describe("versions in the repository", () => {
  const workflows = tracked("*.yml").filter((file) => file.includes("/workflows/"));

  it("of Pulumi are one: package.json's", () => {
    const places = [
      [".tool-versions", toolVersion("pulumi")],
      ...found(["lab/pulumi/go.mod"], /github\.com\/pulumi\/pulumi\/(?:sdk|pkg)\/v3 v(\S+)/g),
      ...found(workflows, /pulumi-version: (\S+)/g),
      ...found(["package-lock.json"], /"node_modules\/@pulumi\/pulumi": \{\s+"version": "([^"]+)"/g),
    ] as const;
    expect(places).to.have.lengthOf(6);
    for (const [file, version] of places) expect(version, file).to.equal(manifest.dependencies["@pulumi/pulumi"]);
    // Else it would be a second pin.
    expect(read("lab/pulumi/versions.env")).to.not.include("PULUMI_VERSION=");
  });

  it("of Node.js, Go and the linters are one each", () => {
    const node = toolVersion("nodejs")!;
    expect(manifest.engines.node).to.equal(`>=${node}`);
    for (const [file, version] of found(workflows, /node-version: (\S+)/g)) expect(version, file).to.equal(node);
    const tools = read("tests/tools/go.mod");
    expect(tools).to.include(`mvdan.cc/sh/v3 v${toolVersion("shfmt")} `);
    expect(tools).to.include(`github.com/rhysd/actionlint v${toolVersion("actionlint")} `);
    const go = toolVersion("golang")!.split(".").map(Number);
    for (const [file, wanted] of found(tracked("*go.mod"), /^go (\S+)$/gm)) {
      const [major = 0, minor = 0, patch = 0] = wanted.split(".").map(Number);
      expect([major, minor], file).to.satisfy(() => major === go[0] && minor <= go[1]!);
      expect(minor < go[1]! || patch <= go[2]!, `${file}: ${wanted}`).to.equal(true);
    }
  });

  it("are kept up to date by Dependabot, in every folder that has some", () => {
    const { updates } = parse(read(".github/dependabot.yml")) as {
      updates: { "package-ecosystem": string; directory?: string; directories?: string[] }[];
    };
    const folders = (ecosystem: string) =>
      updates
        .filter((update) => update["package-ecosystem"] === ecosystem)
        .flatMap(({ directory, directories = [] }) => [
          ...(directory === undefined ? [] : [directory]),
          ...directories,
        ]);
    expect(folders("gomod")).to.have.members(tracked("*go.mod").map((file) => `/${dirname(file)}`));
    expect(folders("npm")).to.have.members(["/"]);
    expect(folders("github-actions")).to.have.members(["/", "/examples/github"]);
  });

  it("come under the license that package.json names", () => {
    expect(manifest.license).to.equal("Apache-2.0");
    expect(read("LICENSE")).to.match(/^\s+Apache License\n\s+Version 2\.0, January 2004\n/);
    expect(read("LICENSE")).to.include("Copyright 2026 The tailkube authors");
  });
});

describe("a release", () => {
  let folder: string;
  const changelog =
    "# Changelog\n\n## [Unreleased]\n\n- later\n\n## [1.2.3] - 2026-12-01\n\n### Added\n\n- this\n\n## [1.2.2] - 2026-11-01\n\n- that\n";

  beforeEach(() => {
    folder = temporaryFolder();
    mkdirSync(join(folder, ".github/scripts"), { recursive: true });
    copyFileSync(join(root, ".github/scripts/release.sh"), join(folder, ".github/scripts/release.sh"));
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "tailkube", version: "1.2.3" }));
    writeFileSync(join(folder, "CHANGELOG.md"), changelog);
  });

  afterEach(removeTemporaryFolders);

  /** Runs the script with a registry that answers so, and a GitHub that has these releases. Returns what it did there. */
  function release({
    tag = "v1.2.3",
    registry = `echo '{"error": {"code": "E404"}}'; exit 1`,
    releases = "",
    args = [""],
  }) {
    const note = `echo "$(basename "$0") $*" >>${folder}/calls`;
    write(join(folder, "bin/npm"), `#!/bin/bash\n[ "$1" != view ] || { ${registry}; exit; }\n${note}\n`, 0o755);
    write(join(folder, "bin/gh"), `#!/bin/bash\n[ "$1" != api ] || { printf '${releases}'; exit; }\n${note}\n`, 0o755);
    const run = spawnSync(join(folder, ".github/scripts/release.sh"), args.filter(Boolean), {
      encoding: "utf8",
      env: {
        PATH: `${folder}/bin:${process.env.PATH}`,
        GITHUB_REF_NAME: tag,
        GITHUB_REPOSITORY: "acme/tailkube",
        GITHUB_SERVER_URL: "https://github.com",
      },
    });
    const calls = existsSync(join(folder, "calls")) ? readFileSync(join(folder, "calls"), "utf8") : "";
    return { status: run.status, stdout: run.stdout, stderr: run.stderr, calls };
  }
  const published = "npm run package\nnpm publish ./dist --provenance --access public\n";
  const released =
    "gh release create v1.2.3 --repo acme/tailkube --verify-tag --title v1.2.3 --notes \n### Added\n\n- this\n";

  it("is published from this repository, and has its section of the changelog as notes", () => {
    const { status, stderr, calls } = release({ releases: "v1.2.2\\n" });
    expect({ status, stderr }).to.deep.equal({ status: 0, stderr: "" });
    expect(calls).to.equal(
      "npm pkg set repository.type=git repository.url=git+https://github.com/acme/tailkube.git\n" +
        published +
        released,
    );
    expect(release({ args: ["--notes"] }).stdout).to.equal("\n### Added\n\n- this\n");
  });

  it("goes on where a run was cut off, and does nothing twice", () => {
    expect(release({ registry: "echo '\"1.2.3\"'" }).calls).to.equal(released);
    const again = release({ registry: "echo '\"1.2.3\"'", releases: "v1.2.3\\nv1.2.2\\n" });
    expect(again).to.include({ status: 0, calls: released });
  });

  it("publishes nothing where the registry does not answer, the tag is another version's, or the changelog has no section", () => {
    for (const [options, error] of [
      [{ registry: "exit 1" }, /the registry does not say whether it has tailkube 1\.2\.3/],
      [{ registry: `echo '{"error": {"code": "E500"}}'; exit 1` }, /does not say/],
      [{ tag: "v1.2.4" }, /the tag is v1\.2\.4, and package\.json has version 1\.2\.3/],
    ] as const) {
      const { status, stderr, calls } = release(options);
      expect({ status, calls }).to.deep.equal({ status: 1, calls: "" });
      expect(stderr).to.match(error);
    }
    writeFileSync(join(folder, "CHANGELOG.md"), changelog.replace("[1.2.3] -", "[1.2.3]"));
    expect(release({}).stderr).to.match(/CHANGELOG\.md has no section "## \[1\.2\.3\] - YYYY-MM-DD"/);
  });
});
