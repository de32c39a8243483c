/**
 * A host stays reachable: from nothing to a cluster and back, each host, with its own network manager, has the rules, routes,
 * filters and kernel settings that it had, and answers from outside, also after its network manager has been restarted. A step
 * that is made to cut a host off is taken back by the host itself.
 */
import { connect } from "node:net";
import { expect } from "chai";
import {
  bareHosts,
  existing,
  type HostName,
  hosts,
  okOnHost,
  onHost,
  output,
  restartNetworkManager,
  run,
  sleep,
  until,
  writeOnHost,
} from "../lab/lab";
import { difference } from "../lab/leftovers";
import { ciliumMarks, identities } from "../lab/proxies";
import { inSteps } from "../lab/steps";
import { eventually } from "./cluster";
import { engine, ownNodes, useOwnStack, useStack } from "./stack";

/**
 * Everything of the network: what the lab compares anyway (lab/hosts/lib/netstate: links, addresses, routes and rules of both families with their
 * metrics and protocols, filters, sysctls of each interface), without what is another after each boot, and beside it the two keys
 * that stages set outside of it. Only ages and counters are left out there, and the local routes of link-local addresses, which come late.
 */
const network = (host: HostName) =>
  output("lab/hosts/hosts", ["netstate", host]) +
  onHost(
    host,
    `for key in net.core.fb_tunnels_only_for_init_net net.ipv6.conf.eth1.forwarding; do sysctl "$key" 2>/dev/null; done`,
  );

/** Where the operator's machine reaches a host: a new connection, not the lab's own way into it. */
const addresses: Record<HostName, string> = {
  cp1: "172.31.77.11",
  cp2: "172.31.77.12",
  cp3: "172.31.77.13",
  w1: "172.31.77.21",
};

/** The operator's machine, as the hosts see it. */
const operator = "172.31.77.1";

/** Whether an SSH server greets at the host's address within 3 s. */
function answers(host: HostName): Promise<boolean> {
  const socket = connect({ host: addresses[host], port: 22, timeout: 3_000 });
  return new Promise<boolean>((resolve) => {
    socket.on("data", (data) => resolve(data.toString("latin1").startsWith("SSH-")));
    for (const event of ["timeout", "error", "close"]) socket.on(event, () => resolve(false));
  }).finally(() => socket.destroy());
}

/** How many connections in a row have to come to the same: a busy host may miss one. */
const inARow = 3;

/**
 * Seconds between two of them. sshd holds each connection without a login against its source for one second, and refuses all from there
 * once that comes to 15 s (PerSourcePenalties, since OpenSSH 9.8): more than one a second would itself cut the host off.
 */
const between = 2;

/**
 * Waits until the host answers from outside, or no longer does, several times in a row. Resolves to when the first of them began, in
 * milliseconds; rejects after the bound.
 */
async function whenReached(host: HostName, isReached: boolean, seconds: number): Promise<number> {
  let found: number[] = [];
  for (const start = Date.now(); found.length < inARow; await sleep(between)) {
    if (Date.now() - start > seconds * 1000)
      throw new Error(`${host} ${isReached ? "answers" : "is cut off"}: not within ${seconds} s`);
    const at = Date.now();
    found = (await answers(host)) === isReached ? [...found, at] : [];
  }
  return found[0]!;
}

const began = "/run/cut-off.began";
/** What sends every answer nowhere, as `ip rule` and the guard print it. */
const cut = `to ${operator} prohibit`;

/**
 * Cuts the host off, once, as soon as a path is there or gone: a unit of the test's own, which no script of the program knows.
 * It holds until the host's guard begins to put the network back: systemd-networkd takes foreign rules away when it is restarted, as
 * a clean-up does, and the host must not come back by that.
 */
function cutOffWhen(host: HostName, isThere: boolean, path: string): void {
  const script = `${isThere ? "until" : "while"} [ -e ${path} ]; do sleep 0.1; done
    date +%s.%N >${began}
    SECONDS=0
    until [ "$SECONDS" -gt 120 ] || [ -e /var/lib/tailkube/guard/restored ] ||
      [ "$(systemctl show -P ActiveState tailkube-guard.service)" = activating ]; do
      ip rule show pref 1 | grep -q prohibit || ip rule add pref 1 ${cut}
      sleep 0.2
    done`;
  expect(existing(host, path), `${path} on ${host}`).to.deep.equal(isThere ? [] : [path]);
  writeOnHost(host, "/run/cut-off", Buffer.from(script));
  okOnHost(host, `rm -f ${began}; systemd-run --quiet --collect --unit=cut-off bash /run/cut-off`);
}

/** When the host's guard took the rule away, in milliseconds, as its own journal has it since a time. */
function takenBackAt(host: HostName, since: number): number {
  const journal = onHost(
    host,
    `journalctl --no-pager -o short-unix -u tailkube-guard.service --since @${since / 1000}`,
  );
  const lines = journal.split("\n");
  const at = (what: string) => Number(lines.find((line) => line.endsWith(what))?.split(" ")[0]) * 1000;
  expect(journal, `the guard's journal on ${host}`).to.include(
    "no connection has come in for 40 s: putting the network back",
  );
  const removed = at(`: rule removed: 1: from all ${cut}`);
  expect(removed, `when the guard took the rule away, in its journal on ${host}:\n${journal}`).to.be.greaterThan(since);
  expect(at(": done"), `when the guard was done, in its journal on ${host}:\n${journal}`).to.be.at.least(removed);
  return removed;
}

/**
 * A run of the engine that has to fail because these hosts are cut off meanwhile, each put back by its own guard within a minute, and has
 * to say so of each.
 */
async function cutOffIn(verb: "up" | "destroy", names: readonly HostName[]): Promise<void> {
  const away = async (host: HostName) => {
    const from = await whenReached(host, false, 600);
    return { host, from, to: await whenReached(host, true, 120) };
  };
  const [{ code, text }, ...all] = await Promise.all([engine([verb], 1_200), ...names.map(away)]);
  expect(code, `${verb} has to fail`).not.to.equal(0);
  for (const { host, from, to } of all) {
    const since = Number(okOnHost(host, `cat ${began}`)) * 1000;
    const by = takenBackAt(host, since);
    const seconds = (ms: number) => ((ms - since) / 1000).toFixed(0);
    console.log(
      `      ${host}: seen to be cut off after ${seconds(from)} s, taken back by its guard after ${seconds(by)} s, answers after ${seconds(to)} s`,
    );
    expect(by - since, `milliseconds until ${host}'s guard took it back`).to.be.below(60_000);
    expect(to - from, `milliseconds without ${host}`).to.be.below(60_000);
    // Only then: had it come back before, something else than the guard would have done it. A try takes up to 3 s.
    expect(to - by, `milliseconds from the guard's work to an answer of ${host}`).to.be.greaterThan(-4_000);
    expect(text).to.include(`${host}: this step cut the host off from ${addresses[host]} port 22`);
    expect(onHost(host, "ip rule show pref 1; systemctl is-active cut-off.service").trim(), host).to.equal("inactive");
  }
}

describe("a host stays reachable", function () {
  inSteps();
  this.timeout(3_600_000);
  const former = new Map<HostName, string>();

  /** Addresses and routes come some seconds after a network manager has started. */
  const isAsBefore = (host: HostName, when: string) =>
    eventually(
      `the network of ${host} is as it was ${when}`,
      () => Promise.resolve(difference(former.get(host)!, network(host)).join("\n") || undefined),
      30,
    ).catch((error: Error) => {
      throw new Error(`${error.message}\nIts journal: ${onHost(host, "journalctl -t tailkube -o cat -n 15")}`);
    });
  const asBefore = async (names: readonly HostName[] = hosts) => {
    for (const host of names) {
      await whenReached(host, true, 30);
      await isAsBefore(host, "after the run");
      restartNetworkManager(host);
      await sleep(5);
      await whenReached(host, true, 30);
      await isAsBefore(host, "after a restart of its network manager");
      expect(onHost(host, "ip -d rule show pref 0"), host).to.match(/lookup local.* proto kernel/);
    }
  };

  before(async () => {
    useOwnStack();
    await bareHosts([], "bundle");
  });
  after(async () => {
    useOwnStack();
    await run("lab/down", [], 300);
  });

  it("starts from hosts that have never been touched", async () => {
    for (const host of hosts) {
      expect(await answers(host), host).to.equal(true);
      former.set(host, network(host));
      expect(former.get(host), host).to.include("lookup local").and.to.include("net.ipv4.conf.eth1.rp_filter");
    }
  });

  it("a stage that cuts each host off: all are back within a minute, and the run fails and says so", async () => {
    for (const host of hosts) cutOffWhen(host, true, "/usr/local/lib/tailkube/network");
    await cutOffIn("up", hosts);
    for (const host of hosts) {
      expect(existing(host, "/var/lib/tailkube/joined"), host).to.deep.equal([]);
    }
  });

  it("the next run finishes it", async () => {
    await run("lab/engine", ["up"], 2_400);
    for (const host of hosts) {
      expect(onHost(host, "cat /proc/sys/net/ipv4/conf/all/src_valid_mark").trim(), host).to.equal("0");
      restartNetworkManager(host);
      await whenReached(host, true, 30);
      okOnHost(host, "systemctl restart tailscaled");
      await until(
        `${host}: src_valid_mark`,
        () => onHost(host, "cat /proc/sys/net/ipv4/conf/all/src_valid_mark") === "0\n",
        15,
      );
      expect(existing(host, "/var/lib/tailkube/guard", "/etc/systemd/system/tailkube-guard.timer"), host).to.deep.equal(
        [],
      );
    }
  });

  it("every mark of Cilium's finds the way to another node's pods, before and after a restart of tailscaled", async () => {
    const ways = () => {
      const script = `for cidr in $(ip -4 route show table 52 | grep -oE '^10\\.50\\.[0-9]+\\.0/24'); do
        for mark in ${ciliumMarks.join(" ")}; do for identity in ${identities.join(" ")}; do
          ip route get "\${cidr%0/24}7" mark $((mark | identity)) | grep -o 'dev [^ ]*'
        done; done; done | sort | uniq -c | tr -s ' '`;
      return onHost("w1", script).trim();
    };
    expect(ways()).to.equal(`${3 * ciliumMarks.length * identities.length} dev tailscale0`);
    okOnHost("w1", "systemctl restart tailscaled");
    await until("w1's routes", () => ways() === `${3 * ciliumMarks.length * identities.length} dev tailscale0`, 60);
  });

  // With these three runs, every host and its network manager is removed once.
  for (const removed of [["cp3", "w1"], ["cp2"], ["cp1"]] as const) {
    it(`a removal leaves ${removed.join(" and ")} as before, reachable, and again after a restart of the network manager`, async () => {
      useStack({ nodes: ownNodes().filter(({ name }) => !removed.some((one) => one === name)) });
      await run("lab/engine", ["up"], 2_400);
      await asBefore(removed);
    });
  }

  it("a clean-up that cuts each host off: all are back within a minute, and the run fails and says so", async () => {
    // cp1, the only one with netplan, has been removed: it comes back as the last of the list, so that the cluster's steps run on a member.
    const nodes = ownNodes();
    useStack({ nodes: [...nodes.filter(({ name }) => name !== "cp1"), ...nodes.filter(({ name }) => name === "cp1")] });
    await run("lab/engine", ["up"], 2_400);
    for (const host of hosts) cutOffWhen(host, false, "/etc/tailkube/node.env");
    await cutOffIn("destroy", hosts);
  });

  it("the next destroy leaves every host as it was, reachable, and again after its network manager restarts", async () => {
    await run("lab/engine", ["destroy"], 1_200);
    await asBefore();
  });

  it("so does one after the network managers were restarted by hand under the cluster", async () => {
    useOwnStack();
    await run("lab/engine", ["up"], 2_400);
    for (const host of hosts) restartNetworkManager(host);
    await run("lab/engine", ["destroy"], 1_200);
    await asBefore();
  });
});
