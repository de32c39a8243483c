/**
 * A cluster without a tailnet and from the offline bundle, on the hosts' own network: their eth1, though eth0 comes first, has the default route and is
 * the same everywhere. The tests build on each other, and the suite stops at the first that fails.
 */
import { expect } from "chai";
import { command } from "../faults/faults";
import { engineOk, ownNodes, refreshKubeconfig, type StackNode, useOwnStack, useStack } from "../faults/stack";
import * as lab from "./lab";
import { inSteps } from "./steps";
import { allowed, difference, type HostState, stateOf } from "./leftovers";

const hosts = ["cp1", "w1", "w2"] as lab.HostName[];
const [cp1, w1, w2] = hosts as [lab.HostName, lab.HostName, lab.HostName];
const addresses: Record<string, string> = { cp1: "172.31.77.11", w1: "172.31.77.21", w2: "172.31.77.22" };

const nodes: StackNode[] = [
  ...ownNodes().filter(({ name }) => name === "cp1"),
  { name: "w1", role: "worker", host: { kind: "ssh", address: addresses.w1 }, checksumOffload: false } as StackNode,
  { name: "w2", role: "worker", host: { kind: "ssh", address: addresses.w2 } },
];

/** A stack that names nothing of a tailnet. */
function useLan(changes: Record<string, unknown> = {}): void {
  useStack({
    clusterName: "lan",
    nodes,
    nodeNetwork: "lan",
    lan: { cidr: "172.31.77.0/24" },
    endpoint: { address: addresses.cp1 },
    tailnet: undefined,
    ...changes,
  });
}

/** A bound on a first `up`, in seconds: images are imported on all hosts at once. */
const upSeconds = 45 * 60;

const ciliumConfig = (key: string) =>
  lab.kubectl("-n", "kube-system", "get", "configmap", "cilium-config", "-o", `jsonpath={.data.${key}}`);
const tunnelDevice = (host: lab.HostName) => lab.onHost(host, "ip -details link show cilium_vxlan");
const offload = (host: lab.HostName) =>
  lab.onHost(host, "ethtool -k eth1 | awk '$1 ~ /^[rt]x-checksumming:/ {print $2}' | paste -sd' '").trim();

/** The program's own checks, once more: what they say is wrong, or nothing. */
function failedChecks(): string {
  try {
    lab.repeatChecks();
    return "";
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    if (!stderr) throw error;
    return stderr;
  }
}

/** The cells of the matrix that the command checks prints, by the name of the node that the paths start from. */
function matrixOf(text: string): Record<string, string[]> {
  const rows = text.split("\n").filter((line) => /^ +\d+ {2}\S/.test(line));
  return Object.fromEntries(
    rows.map((row) => {
      const [, name, ...cells] = row.trim().split(/\s+/) as [string, string, ...string[]];
      return [name, cells];
    }),
  );
}

/** Drops a UDP port between a host and another address, both ways, on the host. */
function blockUdp(host: lab.HostName, other: string, port: number): void {
  command(
    host,
    `nft -f - <<'END'
table inet fault {
  chain input { type filter hook input priority -300; ip saddr ${other} udp dport ${port} counter drop; }
  chain output { type filter hook output priority -300; ip daddr ${other} udp dport ${port} counter drop; }
}
END`,
  );
}

describe("a cluster in a lan, on the lab's hosts", function () {
  inSteps();
  this.timeout(60 * 60_000);
  const before = new Map<string, HostState>();

  after(async () => {
    useOwnStack();
    await lab.run("lab/down", [], 300);
  });

  it("hosts are there whose first interface, with the default route, is a trap", async () => {
    await lab.bareHosts(hosts, "bundle");
    for (const host of hosts) {
      before.set(host, stateOf(host));
      expect(lab.onHost(host, "ip -o -4 address show dev eth0"), host).to.include("10.0.2.15/24");
      expect(lab.onHost(host, "ip -4 route show default"), host).to.match(/^default via 10\.0\.2\.2 dev eth0/);
    }
  });

  it("one control plane and two workers, all on eth1, and the checks pass; no tailnet is anywhere", async () => {
    useLan();
    const seconds = await engineOk(["up"], upSeconds);
    console.log(`      up in ${seconds.toFixed(0)} s`);
    refreshKubeconfig();
    const found = lab.readyNodes();
    expect(Object.fromEntries(found.map(({ name, address }) => [name, address]))).to.deep.equal(addresses);
    expect([ciliumConfig("devices"), ciliumConfig("direct-routing-device"), ciliumConfig("mtu")]).to.deep.equal([
      "eth1",
      "eth1",
      "1500",
    ]);
    for (const host of hosts) {
      expect(tunnelDevice(host), host).to.include("dstport 8472");
      expect(lab.onHost(host, "pgrep -x tailscaled; ls /var/lib/tailscale 2>/dev/null; true"), host).to.equal("");
    }
    const checks = JSON.parse(lab.repeatChecks()) as { nodes: string; paths: string };
    expect(checks.nodes).to.equal("3");
    expect(Number(checks.paths)).to.be.greaterThan(30);
    const command = lab.checksCommand(cp1);
    expect(command.status, command.stdout + command.stderr).to.equal(0);
    expect(matrixOf(command.stdout)).to.deep.equal({ cp1: [".", ".", "."], w1: [".", ".", "."], w2: [".", ".", "."] });
    expect(command.stdout).to.include(`3 nodes, 6 of 6 pairs, ${checks.paths} paths: all is well`);
  });

  it("a second run changes nothing and opens no SSH connection", async () => {
    const logins = hosts.map(lab.logins);
    await engineOk(["up"], 300);
    expect(Math.min(...logins)).to.be.greaterThan(0);
    expect(hosts.map(lab.logins)).to.deep.equal(logins);
  });

  it("checksum offload is off where it is wanted, also after a reboot", async () => {
    expect(offload(w2)).to.equal("on on");
    expect(offload(w1)).to.equal("off off");
    await lab.run("lab/hosts/hosts", ["reboot", w1], 400);
    const up = Date.now();
    await lab.until("w1 back", () => lab.nodesAliveSince(up).includes("w1") && lab.readyNodes().length === 3, 300);
    expect(offload(w1)).to.equal("off off");
    const rolledOut = () => ["daemonset/cilium", "deployment/coredns"].every(lab.isRolledOut);
    await lab.until("Cilium and CoreDNS", rolledOut, 300);
    console.log(`      checks after it: ${lab.repeatChecks().trim()}`);
  });

  it("with UDP 8472 blocked between two hosts, the checks name that path and that port, and no other", () => {
    blockUdp(w1, addresses.w2!, 8472);
    // One run of them, as a person sees it without Pulumi: each path that is lost takes its time.
    const checks = lab.checksCommand(cp1);
    expect(checks.status, checks.stdout + checks.stderr).to.equal(1);
    const text = checks.stdout;
    console.log(text.replace(/^/gm, "      "));
    for (const [from, to] of [
      ["w1", "w2"],
      ["w2", "w1"],
    ]) {
      expect(text).to.match(
        new RegExp(`pod from ${from} to ${to}: .*UDP 8472 (is lost|open) between ${from} and ${to}`),
      );
    }
    expect(text).to.not.match(/pod from (cp1 to w[12]|w[12] to cp1)/);
    const matrix = matrixOf(text);
    expect([matrix.w1![2], matrix.w2![1]].join(" ")).to.match(/^p\S* p\S*$/);
    expect([matrix.w1![0], matrix.w2![0], matrix.cp1![1], matrix.cp1![2]].join(" ")).to.not.include("p");
    expect(text).to.match(/^- pod from w1 to w2: /m);
    const dropped = lab.onHost(w1, "nft list table inet fault");
    expect(dropped, "the tunnel's packets were dropped").to.match(/dport 8472 counter packets [1-9]/);
  });

  it("with tunnel port 8473 they are green again", async () => {
    useLan({ network: { tunnelPort: 8473 } });
    const seconds = await engineOk(["up"], 30 * 60);
    console.log(`      another port in ${seconds.toFixed(0)} s`);
    expect(ciliumConfig("tunnel-port")).to.equal("8473");
    for (const host of hosts) expect(tunnelDevice(host), host).to.include("dstport 8473");
    expect(failedChecks()).to.equal("");
    expect(lab.onHost(w1, "nft list table inet fault"), "the block still stands").to.include("dport 8472");
  });

  it("a destroy leaves the hosts as they were", async () => {
    command(w1, "nft delete table inet fault");
    await engineOk(["destroy"], 900);
    for (const host of [cp1, w1, w2]) {
      const now = stateOf(host);
      const { files, network } = before.get(host)!;
      expect(files, host).to.not.equal("");
      expect(difference(files, now.files, allowed), `the file system of ${host}`).to.deep.equal([]);
      expect(difference(network, now.network), `the network of ${host}`).to.deep.equal([]);
    }
    expect(offload(w1)).to.equal("on on");
  });
});
