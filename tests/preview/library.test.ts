/** Programs that use the library: the examples, two clusters in one stack, and what is wrong with args. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { keyPair } from "../unit/components/hosts/ec2/fixtures";
import type { HostFacts } from "../../components/hosts/facts";
import { planFileVariable } from "../../preview/plan-file";
import { removeTemporaryFolders, temporaryFolder } from "../unit/host/bash";
import { authKey, controlPlaneAuthKey } from "../unit/config/fixtures";
import { custom, find, type Run, runProgram, unknown, variablesOf } from "./program";

const root = join(__dirname, "../..");
const { privateKey: sshPrivateKey } = keyPair();
const config = {
  sshPrivateKey,
  tailnetAuthKey: authKey,
  tailnetControlPlaneAuthKey: controlPlaneAuthKey,
  sshPublicKey: "ssh-ed25519 AAAA operator",
};
const count = (run: Run, name: RegExp) => custom(run).filter((one) => name.test(one.name)).length;
const messages = ({ errors }: Run) => errors.map(({ message }) => message);

/** A program of these lines, after the library's import. `late` makes an output that is not known in a preview. */
function programOf(...lines: string[]): string {
  const head = [
    `const pulumi = require(${JSON.stringify(join(root, "node_modules/@pulumi/pulumi"))});`,
    `const { Cluster } = require(${JSON.stringify(join(root, "library.ts"))});`,
    `class Vm extends pulumi.CustomResource {`,
    `  constructor(name) { super("test:index:Vm", name, { address: undefined, key: undefined }); }`,
    `}`,
    `const secrets = ${JSON.stringify({ sshPrivateKey, tailnetAuthKey: authKey })};`,
  ];
  const file = join(temporaryFolder(), "program.cjs");
  writeFileSync(file, [...head, ...lines].join("\n"));
  return file;
}

/** VMs' addresses, by the number in their names; those of a LAN's example are on their interfaces. */
const made = (type: string, name: string) => {
  if (type === "test:index:Vm") return { address: `203.0.113.${name.replace(/\D/g, "")}`, key: sshPrivateKey };
  return type === "hcloud:index/server:Server"
    ? { ipv4Address: `203.0.113.${name.charCodeAt(0) + Number(name.at(-1))}` }
    : undefined;
};

after(removeTemporaryFolders);

describe("the library's examples", () => {
  /** Control planes and workers of each. */
  const expected: Readonly<Record<string, readonly [number, number]>> = {
    ec2: [3, 2],
    hcloud: [3, 1],
    home: [3, 2],
    lan: [3, 2],
    single: [1, 0],
  };
  const folder = join(root, "examples/library");
  const facts = Object.fromEntries(
    ["cp1", "cp2", "cp3", "w1", "w2"].map((name, i): [string, Partial<HostFacts>] => [
      name,
      { interfaces: [{ name: "eth0", addresses: [`192.168.1.${i < 3 ? 11 + i : 18 + i}/24`], mtu: 1500 }] },
    ]),
  );

  it("are those that are expected", () => {
    const names = readdirSync(folder, { withFileTypes: true }).filter((one) => one.isDirectory());
    expect(names.map(({ name }) => name)).to.have.members(Object.keys(expected));
  });

  for (const [name, [controlPlanes, workers]] of Object.entries(expected)) {
    for (const preview of [true, false]) {
      it(`${name}: ${preview ? "a preview with nothing in reach" : "a run"}`, async () => {
        const program = join(folder, name, "index.ts");
        const run = await runProgram({ program, config, preview, made, ...(name === "lan" && { facts }) });
        expect(run.errors).to.deep.equal([]);
        expect(count(run, /-control-plane$/)).to.equal(controlPlanes);
        expect(count(run, /-join$/)).to.equal(workers);
        if (!preview) expect(run.outputs.kubeconfig).to.contain("apiVersion: v1");
        expect(preview || run.secretOutputs.includes("kubeconfig")).to.equal(true);
      });
    }
  }
});

describe("a cluster whose machines the program makes", () => {
  const program = () =>
    programOf(
      `const vms = [11, 12, 13, 21].map((n) => new Vm("vm" + n));`,
      `const nodes = vms.map((vm, i) => ({`,
      `  name: i < 3 ? "cp" + (i + 1) : "w1", role: i < 3 ? "control-plane" : "worker",`,
      `  host: { address: vm.address, identity: vm.id },`,
      `}));`,
      `const cluster = new Cluster("home", { nodes, sshPrivateKey: vms[0].key, tailnetAuthKey: secrets.tailnetAuthKey });`,
      `exports.nodes = cluster.nodes;`,
    );

  it("is previewed before their addresses are known, and no stand-in is shown", async () => {
    const run = await runProgram({ program: program(), preview: true });
    expect(run.errors).to.deep.equal([]);
    const scan = custom(run).find(({ name }) => name.endsWith("cp1-host-key"))!;
    expect(scan.inputs).to.deep.include({ triggers: [unknown, "22", unknown] });
    expect(scan.inputs.environment).to.include({ TAILKUBE_HOST: unknown, TAILKUBE_WAY: unknown });
    expect(JSON.stringify(run.resources)).to.not.contain("known-later").and.to.not.contain("known later");
  });

  it("is made at their addresses, by their keys", async () => {
    const run = await runProgram({ program: program(), made });
    expect(run.errors).to.deep.equal([]);
    expect((run.outputs.nodes as { host: string }[]).map(({ host }) => host)).to.deep.equal(
      [11, 12, 13, 21].map((n) => `203.0.113.${n}`),
    );
    const facts = custom(run).find(({ name }) => name.endsWith("w1-facts"))!;
    expect(facts.inputs.connection).to.deep.include({ host: "203.0.113.21" });
    expect((facts.inputs.connection as { privateKey: string }).privateKey.trim()).to.equal(sshPrivateKey.trim());
    expect(JSON.stringify(run.resources)).to.not.contain("known-later").and.to.not.contain("known later");
  });

  it("keeps a secret address secret", async () => {
    const host = (address: string) => `[{ name: "cp1", role: "control-plane", host: { address: ${address} } }]`;
    const run = async (address: string) => {
      const program = programOf(
        `const { nodes, applied, versions } = new Cluster("home", { ...secrets, nodes: ${host(address)} });`,
        `Object.assign(exports, { nodes, applied, versions });`,
      );
      return (await runProgram({ program, made })).secretOutputs;
    };
    expect(await run(`pulumi.secret("192.0.2.7")`)).to.have.members(["nodes", "applied"]);
    expect(await run(`pulumi.output("192.0.2.7")`)).to.deep.equal([]);
  });

  it("takes a file's content that is known late, or a secret, and gives it to the control planes alone", async () => {
    const args = (content: string) =>
      `new Cluster("home", { ...secrets, nodes: [{ name: "cp1", role: "control-plane", host: { address: "192.0.2.7" } }],
        kubernetes: { apiServer: {
          extraArgs: [{ name: "tracing-config-file", value: "/etc/kubernetes/tailkube/api-server/a.yaml" }],
          extraFiles: [{ name: "a.yaml", content: ${content} }],
        } } });`;
    const late = programOf(`const vm = new Vm("vm1");`, args("vm.address"));
    const preview = await runProgram({ program: late, preview: true });
    expect(messages(preview)).to.deep.equal([]);
    expect(find(preview, "home-cp1-control-plane").inputs.stdin).to.equal(unknown);
    for (const [program, content] of [
      [late, "203.0.113.1"],
      [programOf(args(`pulumi.secret("hunter2")`)), "hunter2"],
    ] as const) {
      const run = await runProgram({ program, made });
      expect(messages(run)).to.deep.equal([]);
      const { stdin } = find(run, "home-cp1-control-plane").inputs;
      expect(variablesOf(stdin as string).TK_EXTRA_FILES).to.equal(
        `api-server/a.yaml ${Buffer.from(content).toString("base64")}`,
      );
      expect(find(run, "home-cp1-control-plane").secretInputs).to.include("stdin");
    }
  });

  it("is checked again when they are known, before a host is asked for anything", async () => {
    const same = (type: string) => (type === "test:index:Vm" ? { address: "203.0.113.9", key: "no key" } : undefined);
    const run = await runProgram({ program: program(), made: same });
    expect(messages(run)).to.have.lengthOf(1);
    expect(messages(run)[0]).to.match(/^home: there are \d problems/);
    expect(messages(run)[0])
      .to.contain("nodes[1].host.address")
      .and.to.contain("sshPrivateKey: it is not a private key");
    expect(custom(run).map(({ type }) => type)).to.deep.equal(Array(4).fill("test:index:Vm"));
  });
});

describe("a machine that the cluster makes", () => {
  it("may have an identity that is known later, and is made again by it", async () => {
    const host = `{ kind: "ec2", identity: new Vm("vm7").address }`;
    const ec2 = `{ region: "eu-central-1", operatorCidrs: ["192.0.2.0/32"] }`;
    const nodes = `[{ name: "cp1", role: "control-plane", host: ${host} }]`;
    const run = await runProgram({
      program: programOf(`new Cluster("home", { ...secrets, ec2: ${ec2}, nodes: ${nodes} });`),
      made,
    });
    expect(run.errors).to.deep.equal([]);
    expect(find(run, "home-cp1-instance").replacementTrigger).to.equal("203.0.113.7");
    expect(JSON.stringify(run.resources)).to.not.contain("known later");
  });
});

describe("two clusters in one stack", () => {
  const program = () =>
    programOf(
      `const nodes = (net) => [1, 2].map((i) => ({`,
      `  name: i === 1 ? "cp1" : "w1", role: i === 1 ? "control-plane" : "worker", host: { address: net + i },`,
      `}));`,
      `const home = new Cluster("home", { ...secrets, nodes: nodes("192.0.2.") });`,
      `const away = new Cluster("away", { ...secrets, nodes: nodes("198.51.100."), endpoint: { address: "10.201.0.1" }, network: { podCidr: "10.51.0.0/16" } });`,
      `exports.home = home.nodes;`,
      `exports.away = away.nodes;`,
      `exports.urn = away.provider.urn;`,
    );

  it("share no name, and nothing of one waits for the other", async () => {
    const run = await runProgram({ program: program(), made });
    expect(run.errors).to.deep.equal([]);
    // A URN has the types of the parents, and not their names.
    const urns = run.resources.map(({ parent, type, name }) => `${parent.split("::")[2] ?? ""}$${type}::${name}`);
    expect(urns.filter((urn, i) => urns.indexOf(urn) !== i)).to.deep.equal([]);
    const of = (cluster: string) =>
      run.resources.filter(({ name }) => name === cluster || name.startsWith(`${cluster}-`));
    expect(of("home").length).to.be.above(20);
    expect(of("away").length).to.equal(of("home").length + 1);
    expect(of("home").length + of("away").length).to.equal(run.resources.length);
    for (const { name, dependencies } of of("home")) {
      expect(
        dependencies.filter((urn) => urn.includes("::away")),
        name,
      ).to.deep.equal([]);
    }
    expect((run.outputs.away as { host: string }[]).map(({ host }) => host)).to.deep.equal([
      "198.51.100.1",
      "198.51.100.2",
    ]);
  });

  it("take no node of the other for their own, and each is called as its resource", async () => {
    const run = await runProgram({ program: program(), made });
    const [home, away] = ["home", "away"].map((name) =>
      variablesOf(find(run, `${name}-w1-join`).inputs.stdin as string),
    );
    expect(home!.TK_NODE).to.equal("w1");
    expect(home!.TK_MARK)
      .to.match(/^[0-9a-f]{16}$/)
      .and.to.not.equal(away!.TK_MARK);
    const cluster = (name: string) =>
      run.resources.find((one) => one.name === `${name}-cilium-kubernetes`)!.inputs.clusterIdentifier;
    expect([cluster("home"), cluster("away")]).to.deep.equal(["tailkube-home", "tailkube-away"]);
  });

  it("give a provider that is there when the cluster is ready", async () => {
    const run = await runProgram({ program: program(), made });
    const { dependencies, secretInputs } = find(run, "away-provider");
    expect(dependencies.some((urn) => urn.endsWith("::away-cluster-finalize"))).to.equal(true);
    expect(secretInputs).to.deep.equal(["kubeconfig"]);
    expect(run.resources.some(({ name }) => name === "home-provider")).to.equal(false);
  });
});

describe("the plan's file", () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryFolder();
    process.env[planFileVariable] = join(folder, "plan.md");
  });
  afterEach(() => delete process.env[planFileVariable]);

  const nodes = (address: string) => `[{ name: "cp1", role: "control-plane", host: { address: "${address}" } }]`;
  const home = `new Cluster("home", { ...secrets, nodes: ${nodes("192.0.2.11")} });`;
  const away = `new Cluster("at/away", { ...secrets, clusterName: "away", nodes: ${nodes("198.51.100.11")}, endpoint: { address: "10.201.0.1" }, network: { podCidr: "10.51.0.0/16" } });`;
  const previewed = async (...lines: string[]) => {
    const run = await runProgram({ program: programOf(...lines), preview: true });
    return { run, files: readdirSync(folder).sort() };
  };
  const heading = (file: string) => readFileSync(join(folder, file), "utf8").split("\n")[0];

  it("has the name that it is given, where the program has one cluster", async () => {
    const { run, files } = await previewed(home);
    expect(run.errors).to.deep.equal([]);
    expect(files).to.deep.equal(["plan.md"]);
    expect(heading("plan.md")).to.equal("### Plan for the cluster `home`");
  });

  it("is one for each of several clusters, with the cluster's name", async () => {
    const { run, files } = await previewed(home, away);
    expect(run.errors).to.deep.equal([]);
    expect(files).to.deep.equal(["plan-at%2Faway.md", "plan-home.md"]);
    expect(files.map(heading)).to.deep.equal(["### Plan for the cluster `away`", "### Plan for the cluster `home`"]);
  });

  it("is the same for one that the program makes later", async () => {
    const { run, files } = await previewed(`${home.slice(0, -1)}.urn.apply(() => void ${away.slice(0, -1)});`);
    expect(run.errors).to.deep.equal([]);
    expect(files).to.deep.equal(["plan-at%2Faway.md", "plan-home.md"]);
  });

  it("says why there is none, where args are refused", async () => {
    const { files } = await previewed(home.replace("nodes:", `network: { podCidr: "x" }, nodes:`));
    expect(files).to.deep.equal(["plan.md"]);
    expect(readFileSync(join(folder, "plan.md"), "utf8")).to.match(
      /^### No plan: .*\n\n- network\.podCidr: "x" is invalid\./,
    );
  });
});

describe("a cluster's args", () => {
  const wrong = async (...lines: string[]) => {
    const run = await runProgram({ program: programOf(...lines), preview: true });
    expect(custom(run)).to.deep.equal([]);
    return messages(run).join("\n");
  };
  const nodes = `[{ name: "cp1", role: "control-plane", host: { address: "192.0.2.11" } }]`;

  it("are held to the rules of a stack's config, all at once, and the cluster is named", async () => {
    const told = await wrong(
      `new Cluster("home", { ...secrets, nodes: [{ name: "cp1", role: "master", host: {} }], network: { podCidr: "10.50.0.1/16" }, podcidr: 1 });`,
    );
    expect(told).to.match(/^home: there are 4 problems/);
    for (const key of ["nodes[0].role", "nodes[0].host.address", "network.podCidr", "podcidr: there is no such key"]) {
      expect(told).to.contain(key);
    }
  });

  it("may be outputs only where a program can be made of them", async () => {
    const told = await wrong(
      `new Cluster("home", { ...secrets, nodes: ${nodes}, network: { podCidr: pulumi.output("10.0.0.0/16") } });`,
    );
    expect(told).to.contain("network.podCidr: it is an output");
    expect(told).to.contain("only secrets and a host's address, hostKey and identity may be outputs");
  });
});
