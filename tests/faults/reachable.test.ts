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
  restartNetworkManager,
  run,
  sleep,
  until,
} from "../lab/lab";
import { inSteps } from "../lab/steps";
import { eventually } from "./cluster";
import { engine, ownNodes, useOwnStack, useStack } from "./stack";

/** Everything of the network that is not a counter, an age or a process's. */
const network = (host: HostName) =>
  onHost(
    host,
    `ip -d -4 rule show; ip -d -6 rule show
    ip -4 route show table all | sed -E 's/ (expires|metric) [0-9a-z]+//g' | sort
    nft list ruleset | sed -E 's/packets [0-9]+ bytes [0-9]+//'
    for key in net.ipv4.ip_forward net.ipv4.conf.all.rp_filter net.ipv4.conf.default.rp_filter net.ipv4.conf.all.src_valid_mark \\
      net.ipv4.ip_early_demux net.ipv4.fib_multipath_use_neigh net.ipv4.ip_local_reserved_ports net.core.fb_tunnels_only_for_init_net \\
      net.ipv6.conf.all.forwarding; do sysctl "$key" 2>/dev/null; done`,
  );

/** Where the operator's machine reaches a host: a new connection, not the lab's own way into it. */
const addresses: Record<HostName, string> = {
  cp1: "172.31.77.11",
  cp2: "172.31.77.12",
  cp3: "172.31.77.13",
  w1: "172.31.77.21",
};

/** Whether an SSH server greets at the host's address within 3 s. */
function answers(host: HostName): Promise<boolean> {
  const socket = connect({ host: addresses[host], port: 22, timeout: 3_000 });
  return new Promise<boolean>((resolve) => {
    socket.on("data", (data) => resolve(data.toString("latin1").startsWith("SSH-")));
    for (const event of ["timeout", "error", "close"]) socket.on(event, () => resolve(false));
  }).finally(() => socket.destroy());
}

/** Waits until the host answers from outside, or no longer does. */
const whenReached = (host: HostName, isReached: boolean, seconds: number) =>
  eventually(
    `${host} ${isReached ? "answers" : "is cut off"}`,
    async () => ((await answers(host)) === isReached ? undefined : "not yet"),
    seconds,
  );

/**
 * Cuts the host off, once, as soon as a path is there or gone: a unit of the test's own, which no script of the program knows. The rule
 * sends every answer nowhere. It is held for some seconds: systemd-networkd takes foreign rules away when it is restarted, as a
 * clean-up does.
 */
function cutOffWhen(host: HostName, isThere: boolean, path: string): void {
  const wait = `${isThere ? "until" : "while"} [ -e ${path} ]; do sleep 0.1; done`;
  const hold = "ip rule show pref 1 | grep -q prohibit || ip rule add pref 1 to 172.31.77.1 prohibit";
  const script = `${wait}; for ((i = 0; i < 75; i++)); do ${hold}; sleep 0.2; done`;
  expect(existing(host, path), `${path} on ${host}`).to.deep.equal(isThere ? [] : [path]);
  onHost(host, `systemd-run --quiet --collect --unit=cut-off bash -c '${script}'`);
}

const endCutOff = (host: HostName) => onHost(host, "systemctl stop cut-off.service 2>/dev/null");

/**
 * A run of the engine that has to fail because these hosts are cut off meanwhile, each back within a minute, and has to say so of each.
 */
async function cutOffIn(verb: "up" | "destroy", names: readonly HostName[]): Promise<void> {
  const away = async (host: HostName) => {
    await whenReached(host, false, 600);
    return { host, seconds: await whenReached(host, true, 120) };
  };
  const [{ code, text }, ...all] = await Promise.all([engine([verb], 1_200), ...names.map(away)]);
  console.log(`      cut off: ${all.map(({ host, seconds }) => `${host} for ${seconds.toFixed(0)} s`).join(", ")}`);
  expect(code, `${verb} has to fail`).not.to.equal(0);
  for (const { host, seconds } of all) {
    expect(seconds, `seconds without ${host}`).to.be.below(60);
    expect(text).to.include(`${host}: this step cut the host off from ${addresses[host]} port 22`);
  }
}

describe("a host stays reachable", function () {
  inSteps();
  this.timeout(3_600_000);
  const former = new Map<HostName, string>();

  const asBefore = async (names: readonly HostName[] = hosts) => {
    for (const host of names) {
      await whenReached(host, true, 30);
      expect(network(host), host).to.equal(former.get(host));
      restartNetworkManager(host);
      await sleep(5);
      await whenReached(host, true, 30);
      expect(network(host), `${host} after a restart of its network manager`).to.equal(former.get(host));
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
      expect(former.get(host), host).to.include("lookup local");
    }
  });

  it("a stage that cuts each host off: all are back within a minute, and the run fails and says so", async () => {
    for (const host of hosts) cutOffWhen(host, true, "/usr/local/lib/tailkube/network");
    await cutOffIn("up", hosts);
    for (const host of hosts) {
      endCutOff(host);
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
    // 0x200, to the proxy on this host, is Cilium's own rule's.
    const marks = ["0x300", "0x400", "0x800", "0x900", "0xa00", "0xb00", "0xc00", "0xd00", "0xe00", "0xf00"];
    const ways = () => {
      // Identity 8 in bits 16 to 31 is what Tailscale takes for its own mark.
      const script = `for cidr in $(ip -4 route show table 52 | grep -oE '^10\\.50\\.[0-9]+\\.0/24'); do
        for mark in ${marks.join(" ")}; do for identity in 0 0x80000 0x40000 0x8080000; do
          ip route get "\${cidr%0/24}7" mark $((mark | identity)) | grep -o 'dev [^ ]*'
        done; done; done | sort | uniq -c | tr -s ' '`;
      return onHost("w1", script).trim();
    };
    expect(ways()).to.equal(`${3 * marks.length * 4} dev tailscale0`);
    okOnHost("w1", "systemctl restart tailscaled");
    await until("w1's routes", () => ways() === `${3 * marks.length * 4} dev tailscale0`, 60);
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
    const left = hosts.filter((host) => host !== "cp1");
    for (const host of left) cutOffWhen(host, false, "/etc/tailkube/node.env");
    await cutOffIn("destroy", left);
    for (const host of left) endCutOff(host);
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
