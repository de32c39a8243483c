import { mkdirSync, writeFileSync } from "node:fs";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect } from "chai";
import { loadConfig } from "../../../config/load";
import { type Operator, thisMachine } from "../../../config/operator";
import { ConfigError } from "../../../model/messages";
import { removeTemporaryFolders, temporaryFolder } from "../host/bash";
import { minimal, sourceOf } from "./fixtures";

afterEach(removeTemporaryFolders);

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample";
const quiet: Operator = { ...thisMachine, agentProblem: () => undefined };

function load(changes: Record<string, unknown>, operator: Operator = quiet, files: Record<string, string> = {}) {
  const readFile = (path: string) => {
    if (path in files) return files[path]!;
    return readFileSync(path, "utf8");
  };
  return loadConfig(sourceOf({ ...minimal, ...changes }), readFile, "2026-11-28", operator);
}

function problems(...args: Parameters<typeof load>): readonly string[] {
  try {
    load(...args);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

const nodes = minimal.nodes as { name: string; role: string; host: Record<string, unknown> }[];
const withHost = (host: Record<string, unknown>) => ({
  nodes: nodes.map((one, i) => (i === 0 ? { ...one, host: { ...one.host, ...host } } : one)),
});
const hostOf = (changes: Record<string, unknown>, ...more: [Operator?, Record<string, string>?]) =>
  load(changes, ...more).config.nodes[0]!.host;

describe("loadConfig, of SSH,", () => {
  const via = [{ address: "198.51.100.7", user: "jump", hostKey }];

  it("uses OpenSSH's client for all bare hosts if one of them needs it, and else the provider's own SSH", () => {
    expect(load({}).config.ssh).to.deep.equal({ user: "root", port: 22 });
    for (const changes of [
      { ssh: { openssh: true } },
      { ssh: { agent: true } },
      { ssh: { via } },
      withHost({ via }),
      withHost({ hostKey: "ssh-rsa AAAA" }),
      { sudoPassword: "x", ...withHost({ user: "admin" }) },
    ]) {
      expect(load(changes).config.ssh.openssh, JSON.stringify(changes)).to.equal(true);
    }
    expect(load({ sudoPassword: "x" }).config.ssh.openssh, "root needs no sudo").to.equal(undefined);
  });

  it("takes jump hosts of the host or of the stack, with the stack's user", () => {
    const jump = { address: "198.51.100.7", user: "jump", port: 22, hostKey };
    expect(hostOf({ ssh: { via } })).to.deep.include({ via: [jump] });
    expect(hostOf({ ssh: { via }, ...withHost({ via: [] }) })).to.not.have.property("via");
    const own = [{ address: "a.example.com", port: 2222, hostKey, privateKeyFile: "id" }];
    const files = { id: minimal.sshPrivateKey as string };
    expect(hostOf({ ssh: { user: "admin" }, ...withHost({ via: own }) }, quiet, files)).to.deep.include({
      via: [{ address: "a.example.com", port: 2222, user: "admin", hostKey, keyFile: "id" }],
    });
  });

  it("takes the same address behind other jump hosts, and warns that the API is not behind them", () => {
    const other = [{ ...via[0], address: "198.51.100.8" }];
    const twice = nodes.map((one, i) => ({ ...one, host: { address: "10.0.0.1", via: i === 0 ? via : other } }));
    const found = problems({ nodes: twice });
    expect(found.filter((line) => line.startsWith("nodes[1]"))).to.deep.equal([]);
    expect(found.filter((line) => line.startsWith("nodes[2].host.address"))).to.have.lengthOf(1);
    const warned = /^operatorEndpoint: host means port 6443 of 192\.0\.2\.11, and jump hosts carry only SSH\./;
    expect(load({ ssh: { via } }).warnings.filter((line) => warned.test(line))).to.have.lengthOf(1);
    const { warnings } = load({ ssh: { via }, operatorEndpoint: "tailnet" });
    expect(warnings.filter((line) => line.startsWith("operatorEndpoint"))).to.deep.equal([]);
  });

  it("refuses a jump host without its key, and what no jump host has", () => {
    expect(problems(withHost({ via: [{ address: "a.example.com" }] }))[0]).to.match(
      /^nodes\[0\]\.host\.via\[0\]\.hostKey: not set\. Required: a public host key/,
    );
    expect(problems({ ssh: { via: "bastion" } })[0]).to.match(
      /^ssh\.via: "bastion" is invalid\. Allowed: a list of jump hosts/,
    );
    expect(problems({ ssh: { via: [{ ...via[0], key: "x" }] } })[0]).to.match(
      /^ssh\.via\[0\]\.key: there is no such key/,
    );
  });

  it("needs no key where the agent has it, and says what is wrong with the agent", () => {
    const changes = { sshPrivateKey: undefined, ssh: { agent: true } };
    expect(load(changes).secrets.sshPrivateKey).to.equal("");
    const broken = { ...quiet, agentProblem: () => "SSH_AUTH_SOCK is not set, so it cannot be reached" };
    expect(problems(changes, broken)).to.deep.equal([
      "ssh.agent: SSH_AUTH_SOCK is not set, so it cannot be reached. Start it and add your key (ssh-add), in the shell that runs pulumi, or set ssh.agent: false.",
    ]);
  });

  it("needs no key of the stack where each host has its own", () => {
    const all = { nodes: nodes.map((one) => ({ ...one, host: { ...one.host, privateKeyFile: "id" } })) };
    const { secrets } = load({ ...all, sshPrivateKey: undefined }, quiet, { id: minimal.sshPrivateKey as string });
    expect(secrets).to.deep.include({ sshPrivateKey: "", sshKeyFiles: { id: minimal.sshPrivateKey } });
    expect(
      problems({ ...all, sshPrivateKey: undefined }, quiet, { id: "PuTTY-User-Key-File-3: ssh-ed25519" })[0],
    ).to.match(
      /^nodes\[0\]\.host\.privateKeyFile \(id\): it is a key in PuTTY's format \(\.ppk\)\. Convert it: puttygen/,
    );
    expect(problems({ ...all, sshPrivateKey: undefined })[0]).to.match(
      /^nodes\[0\]\.host\.privateKeyFile: "id" cannot be read \(ENOENT\)/,
    );
  });

  it("takes a key with line breaks of Windows", () => {
    const key = minimal.sshPrivateKey as string;
    expect(load({ sshPrivateKey: key.replaceAll("\n", "\r\n") }).secrets.sshPrivateKey).to.equal(`${key}\n`);
  });

  it("gives sudo's password to users who are not root, each node its own", () => {
    const lines = { sudoPassword: "all", sudoPasswords: "cp1 own", ...withHost({ user: "admin" }) };
    const { config } = load(lines);
    expect(config.nodes.map(({ host }) => (host as { sudoPassword?: true }).sudoPassword)).to.deep.equal([
      true,
      undefined,
      undefined,
      undefined,
    ]);
    expect(problems({ ...lines, sudoPasswords: "cp9 SECRET" })).to.deep.equal([
      'sudoPasswords: it has a line for "cp9", which is not the name of any node. Correct the line, or remove it.',
    ]);
    expect(problems({ ...lines, sudoPasswords: "SECRET" })[0]).to.match(
      /^sudoPasswords: it has a line that is not NODE PASSWORD/,
    );
    expect(problems({ ...lines, sudoPassword: "two\nlines" })[0]).to.match(/^sudoPassword: it has several lines/);
  });
});

describe("a host's name in ssh's own configuration", () => {
  function setUp(text: string) {
    const folder = temporaryFolder();
    mkdirSync(`${folder}/.ssh`);
    for (const name of ["own", "bastion"]) {
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", `${folder}/.ssh/${name}`]);
    }
    writeFileSync(
      `${folder}/.ssh/known_hosts`,
      `198.51.100.7 ssh-rsa AAAARSA\n198.51.100.7 ${hostKey}\n[inner.example.com]:2200 ecdsa-sha2-nistp256 AAAAINNER\n`,
    );
    writeFileSync(`${folder}/.ssh/config`, text.replaceAll("~", folder));
    return { folder, file: `${folder}/.ssh/config` };
  }
  const common = "Host *\n  UserKnownHostsFile ~/.ssh/known_hosts\n";

  before(function () {
    if (spawnSync("ssh", ["-V"]).error !== undefined) {
      console.log("    skipped: there is no OpenSSH client");
      this.skip();
    }
  });

  it("gives address, port, user, key and jump hosts, whose keys are those of known_hosts", () => {
    const { folder, file } = setUp(
      `Host lab-cp1\n  HostName 10.0.0.11\n  Port 2222\n  User admin\n  IdentityFile ~/.ssh/none\n  IdentityFile ~/.ssh/own\n  ProxyJump inner\n` +
        `Host inner\n  HostName inner.example.com\n  Port 2200\n  User in\n  ProxyJump out\n` +
        `Host out\n  HostName 198.51.100.7\n  User jump\n  IdentityFile ~/.ssh/bastion\n${common}`,
    );
    const changes = { ssh: { configFile: file }, ...withHost({ address: "lab-cp1" }) };
    const expected = {
      kind: "ssh",
      address: "10.0.0.11",
      port: 2222,
      user: "admin",
      keyFile: `${folder}/.ssh/own`,
      via: [
        { address: "198.51.100.7", port: 22, user: "jump", hostKey, keyFile: `${folder}/.ssh/bastion` },
        { address: "inner.example.com", port: 2200, user: "in", hostKey: "ecdsa-sha2-nistp256 AAAAINNER" },
      ],
    };
    const { config, secrets } = load(changes);
    expect(config.nodes[0]!.host).to.deep.equal(expected);
    expect(Object.keys(secrets.sshKeyFiles!)).to.have.members([`${folder}/.ssh/own`, `${folder}/.ssh/bastion`]);
    // Another host, of which the file says nothing: the stack's defaults, and no user of the machine that runs the tests.
    expect(config.nodes[1]!.host).to.deep.equal({ kind: "ssh", address: "192.0.2.12", user: "root", port: 22 });
    // The node's own words come first.
    expect(hostOf({ ssh: { configFile: file }, ...withHost({ address: "lab-cp1", user: "other", port: 22, via: [] }) }))
      .to.deep.include({
        user: "other",
        port: 22,
      })
      .and.not.have.property("via");
  });

  const wrong: [string, string, RegExp][] = [
    [
      "a ProxyCommand",
      "Host lab-cp1\n  ProxyCommand nc %h %p\n",
      /^nodes\[0\]\.host\.address: "lab-cp1" has a ProxyCommand in ssh\.configFile/,
    ],
    [
      "a jump host that is not known",
      "Host lab-cp1\n  ProxyJump jump@203.0.113.9\n",
      /has the jump host 203\.0\.113\.9 in ssh\.configFile, whose key is not in \S+known_hosts\. Connect to it once/,
    ],
    [
      "a jump host without a user",
      "Host lab-cp1\n  ProxyJump 198.51.100.7\n",
      /has the jump host 198\.51\.100\.7 in ssh\.configFile, which has no User there/,
    ],
    [
      "jump hosts that lead to each other",
      "Host lab-cp1\n  ProxyJump j@a\nHost a\n  HostName 198.51.100.7\n  ProxyJump j@a\n",
      /lead to each other/,
    ],
    [
      "what ssh does not read",
      "Host lab-cp1\n  NoSuchWord 1\n",
      /has an entry in ssh\.configFile that ssh cannot read \(.*\)\. Correct the file\./,
    ],
  ];
  for (const [what, text, line] of wrong) {
    it(`with ${what} is refused`, () => {
      const { file } = setUp(`${text}${common}`);
      const found = problems({ ssh: { configFile: file }, nodes: [{ ...nodes[0]!, host: { address: "lab-cp1" } }] });
      expect(found).to.have.lengthOf(1);
      expect(found[0]).to.match(line);
    });
  }
});
