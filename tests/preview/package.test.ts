/** The package as npm makes it, in a project of a user's that has nothing but what its manifest asks for. */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { keyPair } from "../unit/components/hosts/ec2/fixtures";
import { packAll } from "../../components/hosts/packed-stage";
import { readPacked } from "../../components/hosts/packing";
import { installPackage } from "../packed";
import { removeTemporaryFolders, temporaryFolder } from "../unit/host/bash";
import { authKey, privateKey } from "../unit/config/fixtures";

const root = join(__dirname, "../..");

interface Manifest {
  version: string;
  dependencies?: Record<string, string>;
  peerDependencies: Record<string, string>;
  peerDependenciesMeta: Record<string, { optional: boolean }>;
}

describe("the package", function () {
  this.timeout(300_000);
  let project: string;
  let manifest: Manifest;

  before(() => {
    project = temporaryFolder();
    const installed = installPackage(project);
    manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as Manifest;
  });
  after(removeTemporaryFolders);

  const cluster = (host: string, more = "") =>
    [
      `import * as pulumi from "@pulumi/pulumi";`,
      `import { Cluster } from "tailkube";`,
      `const address = pulumi.output("192.0.2.11");`,
      `export const cluster = new Cluster("home", {`,
      `  nodes: [{ name: "cp1", role: "control-plane", host: ${host} }],`,
      `  sshPrivateKey: ${JSON.stringify(privateKey)},`,
      `  tailnetAuthKey: ${JSON.stringify(authKey)},`,
      more,
      `});`,
      `export const provider = cluster.provider;`,
    ].join("\n");

  /** Previews a program under the SDK's mocks. Returns what it registers, or how it ends. */
  function preview(program: string): { resources: string[]; error: string } {
    writeFileSync(join(project, "program.ts"), program);
    writeFileSync(join(project, "key"), keyPair().privateKey);
    writeFileSync(
      join(project, "preview.cjs"),
      [
        `const pulumi = require("@pulumi/pulumi");`,
        `const resources = [];`,
        `const newResource = ({ type, name }) => (resources.push(type + " " + name), { id: undefined, state: {} });`,
        `(async () => {`,
        `  await pulumi.runtime.setMocks({ newResource, call: () => ({}) }, "mine", "dev", true);`,
        `  require("./program.js");`,
        `  await pulumi.runtime.disconnect();`,
        `  require("node:fs").writeFileSync("resources.json", JSON.stringify(resources));`,
        `  process.exit();`,
        `})();`,
      ].join("\n"),
    );
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const types = ["--strict", "--skipLibCheck", "--esModuleInterop", "--module", "commonjs", "--target", "es2022"];
    const typeRoots = ["--typeRoots", join(root, "node_modules/@types"), "--types", "node"];
    execFileSync(process.execPath, [tsc, ...types, ...typeRoots, "program.ts"], { cwd: project, stdio: "inherit" });
    writeFileSync(join(project, "resources.json"), "[]");
    const run = spawnSync(process.execPath, ["preview.cjs"], { cwd: project, encoding: "utf8" });
    const resources = JSON.parse(readFileSync(join(project, "resources.json"), "utf8")) as string[];
    return { resources, error: run.status === 0 ? "" : run.stderr };
  }

  it("previews a cluster of a program of ten lines, in a project without AWS' and Tailscale's packages", () => {
    const { resources, error } = preview(cluster("{ address }"));
    expect(error).to.equal("");
    expect(resources.filter((one) => one.startsWith("command:")).length).to.be.above(8);
    expect(resources).to.include("tailkube:cluster:Cluster home");
    expect(resources.filter((one) => one.startsWith("pulumi:providers:kubernetes")).length).to.equal(2);
  });

  it("has the hosts' scripts packed as the program packs them", () => {
    const packed = readPacked([join(project, "node_modules/tailkube/packed.json")]);
    expect(Object.keys(packed).length).to.be.above(20);
    expect(packed).to.deep.equal(packAll());
  });

  it("names the package that a cluster needs and the project has not", () => {
    const onEc2 = cluster('{ kind: "ec2" }', '  ec2: { region: "eu-central-1", operatorCidrs: ["192.0.2.0/32"] },');
    const { error } = preview(onEc2.replace(JSON.stringify(privateKey), "require('fs').readFileSync('key', 'utf8')"));
    expect(error)
      .to.contain("A host of kind ec2 needs the package @pulumi/aws")
      .and.to.contain("npm install @pulumi/aws");
  });

  it("has the command tailkube, which needs no package at all, and asks the stack of the project", () => {
    const alone = temporaryFolder();
    const installed = join(project, "node_modules/tailkube");
    const { bin } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as { bin: { tailkube: string } };
    cpSync(installed, join(alone, "node_modules/tailkube"), { recursive: true });
    mkdirSync(join(alone, "node_modules/.bin"));
    symlinkSync(join("../tailkube", bin.tailkube), join(alone, "node_modules/.bin/tailkube"));
    const run = (...args: string[]) =>
      spawnSync("npx", ["--offline", "tailkube", ...args], {
        cwd: alone,
        encoding: "utf8",
        env: { ...process.env, HOME: alone, PATH: `${alone}/bin:${process.env.PATH}` },
      });
    expect(run("--version").stdout).to.equal(`${manifest.version}\n`);
    expect(run("--help").stdout).to.include("tailkube COMMAND");
    const node = { name: "w1", role: "worker", address: "100.64.0.1", host: "127.0.0.1", port: 1, user: "root" };
    const access = {
      clusterName: "home",
      nodeNetwork: "lan",
      endpoint: { address: "127.0.0.1", port: 1 },
      apiServerPort: 1,
      kubernetesVersion: "1.37.2",
      kubeconfig: "clusters: []",
      directKubeconfig: "clusters: []",
      nodes: [{ ...node, hostKey: "ssh-ed25519 AAAA", hasSudoPassword: false, login: 0 }],
      logins: [`${privateKey}\n\n`],
    };
    mkdirSync(join(alone, "bin"));
    writeFileSync(join(alone, "outputs"), JSON.stringify({ access }));
    writeFileSync(join(alone, "bin/pulumi"), `#!/bin/sh\ncat ${alone}/outputs\n`, { mode: 0o755 });
    const { status, stdout, stderr } = run("status");
    expect(stdout, stderr).to.match(/^w1 +worker +no answer +no answer/m);
    expect(status).to.equal(3);
  });

  it("needs the SDK alone, and is small: less than 4 MB", () => {
    expect(manifest).to.not.have.property("dependencies");
    const installed = join(project, "node_modules/tailkube");
    const files = readdirSync(installed, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
    const bytes = files.map((one) => statSync(join(one.parentPath, one.name)).size).reduce((a, b) => a + b);
    expect(bytes).to.be.below(4_000_000);
  });

  it("has types for the TypeScript that comes with Pulumi's SDK, which runs a program of a project without one", () => {
    const program = cluster("{ address }").replace("{ Cluster }", "{ Cluster, ClusterArgs, NodeOutput }");
    const wrong = 'const args: ClusterArgs = { nodes: [] }; const node: NodeOutput = { name: "n" };';
    writeFileSync(join(project, "typed.ts"), `${program}\n${wrong}`);
    const vendored = join(root, "node_modules/@pulumi/pulumi/vendor/typescript@3.8.3/typescript.js");
    // The SDK is linked here, and its packages of types are newer than those that it would have.
    const check = `const ts = require(${JSON.stringify(vendored)});
      const program = ts.createProgram(["typed.ts"], { strict: true, noEmit: true, target: 7, module: 1, moduleResolution: 2, skipLibCheck: true, types: [] });
      for (const { file, messageText } of ts.getPreEmitDiagnostics(program))
        if (file === undefined || require("path").resolve(file.fileName).startsWith(process.cwd()))
          console.log(file && file.fileName, ts.flattenDiagnosticMessageText(messageText, " "));`;
    const said = execFileSync(process.execPath, ["-e", check], { cwd: project, encoding: "utf8" });
    expect(said.trim().split("\n"), said).to.have.lengthOf(1);
    expect(said).to.match(
      /^typed\.ts Type '{ name: string; }' is missing the following properties from type 'NodeOutput'/,
    );
  });

  it("has the licenses of what is in it", () => {
    const installed = join(project, "node_modules/tailkube");
    const inIt = readFileSync(join(installed, "library.js"), "utf8").matchAll(
      /^ *\/\/ node_modules\/((@[^/]+\/)?[^/]+)\//gm,
    );
    const names = new Set([...inIt].map(([, name]) => name!));
    expect(names).to.include("zod").and.to.include("@pulumi/kubernetes");
    const licenses = readFileSync(join(installed, "THIRD-PARTY-LICENSES"), "utf8");
    for (const name of names) {
      const { version } = JSON.parse(readFileSync(join(root, "node_modules", name, "package.json"), "utf8")) as {
        version: string;
      };
      expect(`\n${licenses}`, name).to.contain(`\n${name} ${version}`);
    }
  });

  it("asks for versions that this project has", () => {
    const { dependencies, version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      dependencies: Record<string, string>;
      version: string;
    };
    expect(manifest).to.include({ name: "tailkube", version });
    for (const [name, range] of Object.entries(manifest.peerDependencies)) {
      expect(range, name).to.equal(`^${dependencies[name]}`);
    }
    expect(Object.keys(manifest.peerDependencies)).to.have.members([
      "@pulumi/pulumi",
      "@pulumi/aws",
      "@pulumi/tailscale",
    ]);
    expect(Object.keys(manifest.peerDependenciesMeta)).to.have.members(["@pulumi/aws", "@pulumi/tailscale"]);
  });
});
