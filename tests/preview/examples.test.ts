/** Each stack in examples/ through the whole program. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { keyPair } from "../unit/components/hosts/ec2/fixtures";
import { parse } from "yaml";
import type { HostFacts } from "../../components/hosts/facts";
import { controlPlaneAuthKey } from "../unit/config/fixtures";
import { type Run, runProgram } from "./program";

/** Control planes and workers of each. */
const expected: Readonly<Record<string, readonly [number, number]>> = {
  "Pulumi.ec2.yaml": [3, 2],
  "Pulumi.home.yaml": [3, 2],
  "Pulumi.lan.yaml": [3, 2],
  "Pulumi.single.yaml": [1, 0],
};

interface ExampleNode {
  name: string;
  host: { address?: string };
  nodeInterface?: string;
}

const folder = join(__dirname, "../../examples");
const read = (file: string) => readFileSync(join(folder, file), "utf8");
const count = (run: Run, name: RegExp) => run.resources.filter((r) => r.custom && name.test(r.name)).length;
// Of a kind that every host takes.
const { privateKey: sshPrivateKey } = keyPair();

/** A stack's config as its file has it, with the secrets that no file has in clear. */
function configOf(text: string): { nodes: ExampleNode[] } & Record<string, unknown> {
  const { config } = parse(text) as { config: Record<string, unknown> };
  const values = Object.fromEntries(
    Object.entries(config).map(([key, value]) => {
      expect(key).to.match(/^tailkube:/);
      return [key.replace("tailkube:", ""), value];
    }),
  );
  const { controlPlaneTag } = (values.tailnet ?? {}) as { controlPlaneTag?: string };
  const keys = {
    sshPrivateKey,
    ...(controlPlaneTag !== undefined && { tailnetControlPlaneAuthKey: controlPlaneAuthKey }),
  };
  return { ...(values as { nodes: ExampleNode[] }), ...keys };
}

/** Hosts whose interfaces have the addresses that the config has for them. */
function factsOf(nodes: readonly ExampleNode[]): Record<string, Partial<HostFacts>> {
  return Object.fromEntries(
    nodes
      .filter(({ host }) => /^[\d.]+$/.test(host.address ?? ""))
      .map(({ name, host, nodeInterface = "eth0" }) => [
        name,
        { interfaces: [{ name: nodeInterface.replace("+", "3s0"), addresses: [`${host.address}/24`], mtu: 1500 }] },
      ]),
  );
}

describe("the examples", () => {
  const files = readdirSync(folder).filter((file) => file.endsWith(".yaml"));

  it("are stacks of this project, and those that are expected", () => {
    expect(files).to.include.members(["Pulumi.home.yaml", "Pulumi.lan.yaml", "Pulumi.single.yaml"]);
    expect(Object.keys(expected)).to.include.members(files);
  });

  for (const file of files) {
    const [controlPlanes, workers] = expected[file] ?? [0, 0];
    const hasNodes = (run: Run) => {
      expect(run.errors).to.deep.equal([]);
      expect(count(run, /-control-plane$/)).to.equal(controlPlanes);
      expect(count(run, /-join$/)).to.equal(workers);
      expect(count(run, /^cluster-checks$/)).to.equal(1);
    };

    it(`${file}: a preview with no host in reach`, async () => {
      hasNodes(await runProgram({ config: configOf(read(file)), preview: true }));
    });

    it(`${file}: the same with the lines that are commented out`, async () => {
      const text = read(file).replace(/^( *)# (?=tailkube:|loginServer:)/gm, "$1");
      hasNodes(await runProgram({ config: configOf(text), preview: true }));
    });

    it(`${file}: a run`, async () => {
      const config = configOf(read(file));
      const run = await runProgram({ config, facts: factsOf(config.nodes) });
      hasNodes(run);
      const made = run.outputs.nodes as { name: string }[];
      expect(made.map(({ name }) => name)).to.deep.equal(config.nodes.map(({ name }) => name));
    });
  }
});
