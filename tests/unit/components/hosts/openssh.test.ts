import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { base64, secretLines, sudoPasswordLines, sudoPasswordOf, wayText } from "../../../../components/hosts/openssh";
import { parseResult } from "../../../../components/hosts/remote-script";
import type { SshHostConfig } from "../../../../model/config";

const hostKey = "ssh-ed25519 AAAAHOST comment";
const host: SshHostConfig = {
  kind: "ssh",
  address: "192.0.2.11",
  user: "admin",
  port: 2222,
  via: [
    { address: "198.51.100.7", user: "jump", port: 22, hostKey: "ssh-rsa AAAAONE" },
    { address: "10.0.0.7", user: "inner", port: 2200, hostKey: "ecdsa-sha2-nistp256 AAAATWO", keyFile: "keys/inner" },
  ],
};

/** What ssh makes of a way: the settings of a hop by their names. */
function settings(text: string, hop: string): Record<string, string> {
  const folder = mkdtempSync(join(tmpdir(), "tailkube-test-"));
  try {
    writeFileSync(join(folder, "config"), text.replaceAll("@DIRECTORY@", folder).replaceAll("@NAME@", "way"));
    const run = spawnSync("ssh", ["-G", "-F", join(folder, "config"), hop], { encoding: "utf8" });
    expect(run.status, run.stderr).to.equal(0);
    const lines = run.stdout.replaceAll(folder, "DIR").split("\n");
    return Object.fromEntries(lines.map((line) => [line.split(" ")[0]!, line.split(" ").slice(1).join(" ")]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("ssh's configuration for a host", () => {
  const text = wayText({ host, address: "192.0.2.99", hostKey, agent: false });

  it("is read by ssh: each hop with its address, its pinned key, its own key and the jump host before it", () => {
    const [first, second, last] = ["tailkube-via-1", "tailkube-via-2", "tailkube-host"].map((hop) =>
      settings(text, hop),
    );
    expect(first).to.include({
      hostname: "198.51.100.7",
      port: "22",
      user: "jump",
      hostkeyalias: "tailkube-via-1",
      hostkeyalgorithms: "rsa-sha2-512,rsa-sha2-256",
      identityfile: "DIR/key-stack.pub",
      identitiesonly: "yes",
    });
    expect(first).to.not.have.property("proxyjump");
    expect(second).to.include({ hostname: "10.0.0.7", port: "2200", user: "inner", proxyjump: "tailkube-via-1" });
    expect(second!.identityfile).to.match(/^DIR\/key-file-[0-9a-f]{16}\.pub$/);
    expect(last).to.include({ hostname: "192.0.2.99", port: "2222", user: "admin", proxyjump: "tailkube-via-2" });
    for (const hop of [first, second, last]) {
      expect(hop).to.include({
        batchmode: "yes",
        stricthostkeychecking: "true",
        userknownhostsfile: "DIR/way.known",
        globalknownhostsfile: "/dev/null",
        forwardagent: "no",
        passwordauthentication: "yes",
      });
      expect(hop!.preferredauthentications).to.equal("publickey");
    }
    expect(text.match(/^# known .*$/gm)).to.deep.equal([
      "# known tailkube-via-1 ssh-rsa AAAAONE",
      "# known tailkube-via-2 ecdsa-sha2-nistp256 AAAATWO",
      "# known tailkube-host ssh-ed25519 AAAAHOST",
    ]);
  });

  it("names the operator's agent, but for hops with a key of their own", () => {
    const withAgent = wayText({ host, address: "192.0.2.11", hostKey, agent: true }).replaceAll(
      "@AGENT@",
      "/run/agent 1",
    );
    expect(settings(withAgent, "tailkube-host")).to.include({ identityagent: "/run/agent 1", identityfile: "none" });
    expect(settings(withAgent, "tailkube-via-2"))
      .to.include({ identitiesonly: "yes" })
      .and.not.have.property("identityagent");
  });

  it("pins no key of a host before the first contact", () => {
    const first = wayText({ host, address: "192.0.2.11", agent: false });
    expect(first).to.not.match(/# known tailkube-host/);
    expect(first.match(/HostKeyAlgorithms/g)).to.have.lengthOf(2);
  });
});

describe("what stdin begins with", () => {
  const secrets = { privateKey: "stack's\n", keyFiles: { "keys/inner": "inner's", other: "other's" } };

  it("has each key of the ways once, and no other", () => {
    const ways = [
      { host, agent: false },
      { host, agent: false },
    ];
    expect(secretLines(ways, secrets).split("\n")).to.deep.equal([
      `key key-stack ${base64("stack's\n")}`,
      `key key-file-${/key-file-([0-9a-f]+)/.exec(wayText({ host, address: "a", agent: false }))![1]} ${base64("inner's\n")}`,
      "",
    ]);
    expect(secretLines([{ host: {}, agent: true }], secrets)).to.equal("");
  });

  it("has the passphrase before the keys that it opens", () => {
    const lines = secretLines([{ host: {}, agent: false }], { ...secrets, passphrase: "p p", sudoPassword: "s" });
    expect(lines.split("\n").map((line) => line.split(" ")[0])).to.deep.equal(["passphrase", "sudo", "key", ""]);
  });
});

describe("sudo's password", () => {
  it("is the node's own, or the one for all, and none for root", () => {
    const lines = "cp1 a b  c \n\n  cp2 x\r\n";
    expect([...sudoPasswordLines(lines)!]).to.deep.equal([
      ["cp1", "a b  c "],
      ["cp2", "x"],
    ]);
    expect(sudoPasswordOf({ name: "cp1", user: "admin" }, "all", lines)).to.equal("a b  c ");
    expect(sudoPasswordOf({ name: "w1", user: "admin" }, "all", lines)).to.equal("all");
    expect(sudoPasswordOf({ name: "cp1", user: "root" }, "all", lines)).to.equal(undefined);
    expect(sudoPasswordLines("cp1")).to.equal(undefined);
  });
});

describe("a script's result", () => {
  const result = '{"changed":["a"],"key":"}{"}';

  it("is found among what startup files print", () => {
    for (const text of [
      result,
      `${result}\n`,
      `welcome\n{"other":1}\n${result}\n`,
      `no break${result}bye }`,
      `{ ${result}\nlate\n`,
      `x\n${result} }\n{"other": {}}\n`,
    ]) {
      expect(parseResult("w1", text), text).to.deep.equal({ changed: ["a"], key: "}{" });
    }
    expect(parseResult("w1", 'hello\n{"machineId":"1"}\n')).to.deep.equal({ machineId: "1" });
  });

  it("is an error without one, and never quoted", () => {
    for (const text of ["", "secret", '{"changed":["secret"]', "null", "1"]) {
      expect(() => parseResult("w1", text)).to.throw(/^w1: the script's output \(\d+ bytes\) is not a JSON object/);
    }
  });
});
