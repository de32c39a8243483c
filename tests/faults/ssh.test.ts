/** A cluster whose hosts are reached only through a bastion, by a key with a passphrase or an agent, and by sudo with a password. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import * as lab from "../lab/lab";
import { inSteps } from "../lab/steps";
import { engine, engineOk, refreshKubeconfig, useOwnStack, useStack } from "./stack";

const bastion = "172.31.77.9";
const netns = "tklab-bastion";
const passphrase = "open $e'same 1";
const password = "pa$$ 'word 2";
const folder = join(lab.state, "faults/ssh");
const file = (name: string) => join(folder, name);

/** Runs bash on this machine; throws with what it said if it fails. */
const here = (script: string, input = "") =>
  execFileSync("bash", ["-euo", "pipefail", "-c", script], { cwd: lab.root, encoding: "utf8", input });

/** Runs bash on a host; throws if it fails. */
const on = (host: string, script: string, input = "") =>
  execFileSync(join(lab.root, "lab/hosts/hosts"), ["exec", host, "bash", "-c", `set -e\n${script}`], {
    cwd: lab.root,
    encoding: "utf8",
    input,
    timeout: 120_000,
  });

let running: ChildProcess[] = [];

/** A machine of the hosts' network with an SSH server that only forwards; this machine's own way to port 22 of the hosts is closed. */
function startBastion(): void {
  here(`
    mkdir -p /run/sshd
    ip netns add ${netns}
    ip link add ${netns} type veth peer name eth0 netns ${netns}
    ip link set ${netns} master tklab0 up
    ip -n ${netns} address add ${bastion}/24 dev eth0
    ip -n ${netns} link set lo up
    ip -n ${netns} link set eth0 up
    nft -f - <<'END'
table inet tklab-bastion {
  chain output {
    type filter hook output priority filter
    ip daddr 172.31.77.0/24 ip daddr != ${bastion} tcp dport 22 drop
  }
}
END`);
  writeFileSync(
    file("sshd_config"),
    [
      `ListenAddress ${bastion}`,
      `HostKey ${file("bastion")}`,
      `AuthorizedKeysFile ${file("key.pub")}`,
      "StrictModes no",
      "UsePAM no",
      "PasswordAuthentication no",
      "PermitRootLogin yes",
      "PidFile none",
      "ForceCommand /bin/false",
      "",
    ].join("\n"),
  );
  const server = ["netns", "exec", netns, "/usr/sbin/sshd", "-D", "-f", file("sshd_config"), "-E", file("log")];
  running.push(spawn("ip", server, { stdio: "ignore" }));
}

function stopBastion(): void {
  for (const child of running.splice(0)) child.kill();
  here(`
    nft delete table inet tklab-bastion 2>/dev/null || true
    ip netns pids ${netns} 2>/dev/null | xargs -r kill || true
    ip link delete ${netns} 2>/dev/null || true
    ip netns delete ${netns} 2>/dev/null || true`);
}

/** The lab's stack by way of the bastion, as the user lab. */
function useBastion(ssh: Record<string, unknown>, more: Record<string, unknown> = {}): void {
  const hostKey = readFileSync(file("bastion.pub"), "utf8").trim();
  useStack({
    ssh: { via: [{ address: bastion, user: "root", hostKey }], user: "lab", sudoPasswordFile: file("sudo"), ...ssh },
    ...more,
  });
}

const withPassphrase = () => ({ privateKeyFile: file("key"), privateKeyPassphraseFile: file("passphrase") });

/** Who has logged in on a host, other than from the bastion. */
const directLogins = (host: lab.HostName) =>
  on(
    host,
    `journalctl --no-pager -o cat -t sshd -t sshd-session | grep '^Accepted ' | grep -v ' from ${bastion} ' || true`,
  );

describe("a cluster whose hosts are behind a bastion", function () {
  inSteps();
  this.timeout(90 * 60_000);

  before(function () {
    const missing = ["/usr/sbin/sshd", "/usr/sbin/nft"].find((path) => !existsSync(path));
    if (missing === undefined) return;
    console.log(`      skipped: there is no ${missing} on this machine (Debian's openssh-server and nftables)`);
    this.skip();
  });
  after(async () => {
    useOwnStack();
    stopBastion();
    await lab.run("lab/down", [], 300);
  });

  it("has hosts that let in one key with a passphrase, and whose sudo asks", async () => {
    await lab.bareHosts();
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", passphrase, "-f", file("key")]);
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file("bastion")]);
    writeFileSync(file("passphrase"), passphrase, { mode: 0o600 });
    writeFileSync(file("sudo"), password, { mode: 0o600 });
    for (const host of lab.hosts) {
      on(
        host,
        "cat >/home/lab/.ssh/authorized_keys; rm -f /root/.ssh/authorized_keys",
        readFileSync(file("key.pub"), "utf8"),
      );
      on(host, "chpasswd; echo 'lab ALL=(ALL:ALL) ALL' >/etc/sudoers.d/lab", `lab:${password}\n`);
    }
    // One that greets, and one with another login shell.
    on(
      "cp2",
      "echo 'echo welcome; (sleep 1; echo later) &' >/home/lab/.profile; sed -i '1i echo hello' /home/lab/.bashrc",
    );
    on("cp3", "usermod --shell /bin/sh lab");
    startBastion();
    await lab.until("the bastion answers", () => here(`ssh-keyscan ${bastion} 2>/dev/null || true`) !== "", 30);
    expect(lab.answersSsh("cp1"), "directly").to.equal(false);
  });

  it("comes up, with a passphrase and a password of sudo, and every login is from the bastion", async () => {
    const logins = new Map(lab.hosts.map((host) => [host, directLogins(host)]));
    useBastion(withPassphrase());
    const seconds = await engineOk(["up"], 45 * 60);
    console.log(`      first run: ${seconds.toFixed(0)} s`);
    refreshKubeconfig();
    expect(lab.readyNodes().map(({ name }) => name)).to.have.members([...lab.hosts]);
    for (const host of lab.hosts) expect(directLogins(host), host).to.equal(logins.get(host));
  });

  it("changes nothing in a second run, and opens no connection", async () => {
    const before = readFileSync(file("log"), "utf8");
    const { code, text } = await engine(["up"], 600);
    expect(code).to.equal(0);
    expect(text).to.match(/ Resources: \d+ unchanged/);
    expect(readFileSync(file("log"), "utf8")).to.equal(before);
  });

  it("shows no secret in its state", () => {
    const state = lab.output("lab/engine", ["stack", "export"]);
    expect(state.length).to.be.greaterThan(1000);
    for (const secret of [passphrase, password].flatMap((one) => [one, Buffer.from(one).toString("base64")])) {
      expect(state.includes(secret)).to.equal(false);
    }
  });

  it("goes on with an agent instead, and renews the control planes' certificates", async () => {
    const socket = file("agent");
    running.push(spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" }));
    await lab.until("the agent", () => existsSync(socket), 10);
    const askpass = file("askpass");
    writeFileSync(askpass, `#!/bin/sh\ncat ${file("passphrase")}\n`, { mode: 0o700 });
    process.env.SSH_AUTH_SOCK = socket;
    const env = { ...process.env, SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: "force", DISPLAY: ":0" };
    execFileSync("ssh-add", ["-q", file("key")], { env });
    useBastion({ agent: true, privateKeyFile: undefined });
    await engineOk(["up"], 45 * 60);
    useBastion({ agent: true, privateKeyFile: undefined }, { kubernetes: { certificateRenewal: "behind a bastion" } });
    const { code, text } = await engine(["preview"], 600);
    expect(code, text.slice(-2000)).to.equal(0);
    await engineOk(["up"], 45 * 60);
    expect(lab.readyNodes().map(({ name }) => name)).to.have.members([...lab.hosts]);
  });

  it("is refused by a bastion with another key, and nothing is removed", async () => {
    const key = readFileSync(file("bastion.pub"), "utf8");
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file("other")]);
    const server = running.shift()!;
    server.kill();
    await lab.sleep(1);
    writeFileSync(
      file("sshd_config"),
      readFileSync(file("sshd_config"), "utf8").replace(file("bastion"), file("other")),
    );
    const args = ["netns", "exec", netns, "/usr/sbin/sshd", "-D", "-f", file("sshd_config"), "-E", file("log")];
    running = [spawn("ip", args, { stdio: "ignore" }), ...running];
    await lab.sleep(2);
    const { code, text } = await engine(["destroy"], 900);
    expect(code).to.not.equal(0);
    expect(text).to.match(/none of the hosts can be reached, so nothing was removed/);
    expect(lab.readyNodes()).to.have.lengthOf(lab.hosts.length);
    running.shift()!.kill();
    await lab.sleep(1);
    writeFileSync(
      file("sshd_config"),
      readFileSync(file("sshd_config"), "utf8").replace(file("other"), file("bastion")),
    );
    running = [spawn("ip", args, { stdio: "ignore" }), ...running];
    await lab.sleep(2);
    expect(readFileSync(file("bastion.pub"), "utf8")).to.equal(key);
  });

  it("leaves hosts without a cluster after a destroy, which goes through the bastion", async () => {
    await engineOk(["destroy"], 30 * 60);
    for (const host of lab.hosts) {
      expect(lab.existing(host, "/etc/kubernetes/*.*", "/etc/kubernetes/pki", "/var/lib/tailkube"), host).to.deep.equal(
        [],
      );
    }
    expect(lab.devices()).to.deep.equal([]);
  });
});
