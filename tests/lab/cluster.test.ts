/**
 * The cluster on the lab's real hosts, from nothing to nothing. The tests build on each other, in this order, and the suite
 * stops at the first that fails: after it, nothing said about the rest would mean anything.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { expectKept, keep } from "./kept";
import * as lab from "./lab";
import { inSteps } from "./steps";
import { proxyTests } from "./proxies";
import { requestTests } from "./requests";
import { routeTests } from "./routes";
import { interrupt, kubeadm } from "./traps";
import { allowed, difference, expectAsBefore, type HostState, stateOf, takePackagesBack } from "./leftovers";

const project = parse(readFileSync(join(lab.root, "Pulumi.dev.yaml"), "utf8")) as {
  config: { "tailkube:kubernetes": { version: string } };
};
const version = `v${project.config["tailkube:kubernetes"].version}`;

describe("a cluster on the lab's hosts", function () {
  inSteps();
  this.timeout(90 * 60_000);

  const before = new Map<string, HostState>();

  async function expectCluster() {
    await lab.run("lab/up", [], 45 * 60);
    const nodes = lab.readyNodes();
    expect(nodes.map((node) => node.name)).to.have.members([...lab.hosts]);
    for (const node of nodes) {
      expect(node.version, `kubelet of ${node.name}`).to.equal(version);
      expect(node.address, `INTERNAL-IP of ${node.name}`).to.match(/^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./);
    }
  }

  const unreadyWorkloads = () =>
    ["daemonset/cilium", "deployment/cilium-operator", "deployment/coredns"].filter((one) => !lab.isRolledOut(one));

  it("bare hosts are there", async () => {
    await lab.bareHosts();
    for (const host of lab.hosts) before.set(host, stateOf(host));
    expect([...before.values()].every(({ files, network }) => files !== "" && network !== "")).to.equal(true);
  });

  it("one command makes four Ready nodes of the wanted version, all on the tailnet, and its checks pass", async () => {
    await expectCluster();
    expect(unreadyWorkloads()).to.deep.equal([]);
    const checks = lab.output("lab/engine", ["export"]);
    expect(checks, "the resource of the checks is in the state").to.match(/::cluster-checks"/);
    // The same without Pulumi, on a control plane on which the stage has not run.
    const command = lab.checksCommand("cp2");
    expect(command.status, command.stdout + command.stderr).to.equal(0);
    expect(command.stdout).to.match(/^4 nodes, 12 of 12 pairs, \d+ paths: all is well$/m);
  });

  it("the git tree is as clean as before", () => {
    const changes = execFileSync("git", ["status", "--porcelain", "--", "lab", "Pulumi.dev.yaml"], {
      cwd: lab.root,
      encoding: "utf8",
    });
    expect(changes.split("\n").filter((line) => line.includes(".state"))).to.deep.equal([]);
  });

  it("no token and no certificate key is usable after it, and no secret lies open", () => {
    const tokens = lab.kubectl(
      "-n",
      "kube-system",
      "get",
      "secrets",
      "--field-selector",
      "type=bootstrap.kubernetes.io/token",
      "-o",
      "name",
    );
    expect(tokens).to.equal("");
    expect(lab.kubectl("-n", "kube-system", "get", "secrets", "-o", "name")).not.to.contain("kubeadm-certs");
    const keys = ["authkey", "authkey-control-plane"].map((name) => lab.read(`tailnet/${name}`).trim());
    const sshKey = lab.read("ssh/id_ed25519").split("\n")[1]!;
    for (const key of keys) expect(key).to.have.length.greaterThan(30);
    expect(new Set(keys).size).to.equal(2);
    const state = lab.output("lab/engine", ["export"]);
    expect(state).not.to.equal("");
    for (const secret of [...keys, sshKey, "BEGIN OPENSSH PRIVATE KEY", "client-key-data"]) {
      expect(state.includes(secret), "a secret in the plain state").to.equal(false);
    }
    for (const host of lab.hosts) {
      // Of a key's own text, only a part is asked for: the question itself is in the host's process list.
      const parts = keys.map((key) => `-e '${key.slice(-24, -12)}'`).join(" ");
      const found = lab.onHost(
        host,
        `grep -rlF ${parts} /etc /var/log /usr/local /root /run/tailkube /var/lib/tailkube 2>/dev/null; journalctl --no-pager | grep -cF ${parts} | grep -v '^0$'; true`,
      );
      expect(found.trim(), `an auth key on ${host}`).to.equal("");
      // kubeadm prints a certificate key as 64 hex digits on a line of their own, and a token after --token.
      const log = lab.onHost(host, "cat /var/log/tailkube-kubeadm.log");
      expect(log, `kubeadm's log on ${host}`).not.to.equal("");
      expect(log, `a certificate key in kubeadm's log on ${host}`).not.to.match(/^\s*[0-9a-f]{64}\s*$/m);
      expect(log, `a token in kubeadm's log on ${host}`).not.to.match(/[a-z0-9]{6}\.[a-z0-9]{16}\b/);
      expect(lab.onHost(host, "ls /run/tailkube")).not.to.match(/^(auth-key|kubeadm\.yaml)$/m);
    }
  });

  it("a second run changes nothing and opens no SSH connection", async () => {
    const logins = lab.hosts.map(lab.logins);
    const start = Date.now();
    await lab.run("lab/engine", ["up"], 300);
    console.log(`      second run: ${((Date.now() - start) / 1000).toFixed(1)} s`);
    expect(
      logins.every((n) => n > 0),
      "the hosts' journals show the first run's logins",
    ).to.equal(true);
    expect(lab.hosts.map(lab.logins)).to.deep.equal(logins);
  });

  requestTests();
  routeTests();

  it("after a reboot of all hosts at once the cluster is back by itself", async () => {
    const boots = lab.hosts.map((host) => lab.onHost(host, "cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1"));
    await lab.run("lab/hosts/hosts", ["reboot", ...lab.hosts], 400);
    expect(
      lab.hosts.map((host) => lab.onHost(host, "cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1")),
    ).not.to.deep.equal(boots);
    const up = Date.now();
    const back = () =>
      lab.nodesAliveSince(up).length === 4 && lab.readyNodes().length === 4 && unreadyWorkloads().length === 0;
    const seconds = await lab.until("four live and Ready nodes, Cilium and CoreDNS", back, 300);
    console.log(`      back ${seconds} s after the last host was up`);
    // Each control plane has the endpoint again as soon as its own API server is ready.
    for (const host of ["cp1", "cp2", "cp3"] as const) {
      await lab.until(`the endpoint on ${host}'s loopback`, () => lab.hasEndpoint(host), 120);
    }
    // The worker has no endpoint of its own: it reaches one over the tailnet.
    const readyz = "curl -sk --max-time 5 https://10.200.0.1:6443/readyz";
    await lab.until("the endpoint as the worker sees it", () => lab.onHost("w1", readyz) === "ok", 30);
    console.log(`      checks after it: ${lab.repeatChecks().trim()}`);
  });

  it("the endpoint leaves a control plane whose API server stops, and comes back to it", async () => {
    const holder = () => lab.devices().find((device) => device.primaryRoutes?.includes("10.200.0.1/32"))?.name;
    const sick = holder() as lab.HostName;
    expect(sick).to.match(/^cp[123]$/);
    expect(lab.hasEndpoint(sick)).to.equal(true);
    const outages = Promise.all([lab.longestOutage("w1", 25), lab.longestOutage(sick, 25)]);
    await lab.sleep(3);
    lab.onHost(
      sick,
      "mv /etc/kubernetes/manifests/kube-apiserver.yaml /etc/kubernetes/ && pkill -KILL -x kube-apiserver",
    );
    const stopped = Date.now();
    const [fromWorker, fromItself] = await outages;
    console.log(
      `      API server of ${sick} stopped: no answer for ${fromWorker} ms from w1, ${fromItself} ms from ${sick} itself`,
    );
    // Without the watch the endpoint would stay with the sick host for as long as it is sick.
    expect(Math.max(fromWorker, fromItself)).to.be.lessThan(15_000);
    expect(lab.hasEndpoint(sick)).to.equal(false);
    expect(holder()).not.to.equal(sick);
    // Asked on a healthy control plane: this machine may reach the API by the sick one.
    const healthy = sick === "cp1" ? "cp2" : "cp1";
    const lease = `KUBECACHEDIR=/run/kube-cache kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-node-lease get lease ${sick} -o 'jsonpath={.spec.renewTime}'`;
    const renewed = () => Date.parse(lab.onHost(healthy, lease)) > stopped + 15_000;
    await lab.until("the sick host's own kubelet reports again", renewed, 90);
    lab.onHost(sick, "mv /etc/kubernetes/kube-apiserver.yaml /etc/kubernetes/manifests/");
    const back = await lab.until("the endpoint is on the recovered host again", () => lab.hasEndpoint(sick), 180);
    console.log(`      the endpoint was back on ${sick} ${back} s after its API server was let run`);
    await lab.until("four Ready nodes", () => lab.readyNodes().length === 4, 120);
  });

  it("pods reach other nodes again after tailscaled was restarted on one host and killed on another", async () => {
    const agents = () => (["cp2", "w1"] as const).map((host) => lab.onHost(host, "pgrep -x cilium-agent || true"));
    const former = agents();
    lab.okOnHost("w1", "systemctl restart tailscaled");
    lab.okOnHost("cp2", "pkill -KILL -x tailscaled");
    const others = () => agents().every((agent, index) => agent !== "" && agent !== former[index]);
    const anew = await lab.until("both hosts' agents of Cilium are others", others, 120);
    await lab.until("Cilium is ready", () => unreadyWorkloads().length === 0, 180);
    console.log(`      agents ended and back after ${anew} s; checks after it: ${lab.repeatChecks().trim()}`);
  });

  proxyTests(project.config["tailkube:kubernetes"].version);

  it("a destroy leaves the hosts as they were, but for packages, and no device in the tailnet", async () => {
    for (const host of lab.hosts) {
      // Files of a running cluster come and go while they are listed: only the network is.
      const network = lab.output("lab/hosts/hosts", ["netstate", host]);
      expect(network, `Cilium's ipset on ${host}`).to.contain("Name: cilium_node_set_v4");
    }
    await lab.run("lab/engine", ["destroy"], 900);
    expect(lab.devices()).to.deep.equal([]);
    for (const host of lab.hosts) {
      const { network } = before.get(host)!;
      // tailscaled runs on, logged out, with its interface.
      const filters = difference(network, lab.output("lab/hosts/hosts", ["netstate", host])).filter((line) =>
        /^. (table|chain|\*|:|-A)/.test(line),
      );
      expect(filters, `filters of ${host}`).to.deep.equal([]);
      takePackagesBack(host, before.get(host)!);
      expectAsBefore(host, before.get(host)!, allowed);
      expect(lab.answersSsh(host), `SSH to ${host}`).to.equal(true);
    }
    // NetworkManager would take it down when the next up tells it to leave it alone.
    expect(lab.onHost("cp3", "nmcli -g GENERAL.STATE device show tailscale0")).not.to.contain("disconnected");
  });

  it("they are reached from outside also after their network managers restart", async () => {
    for (const host of lab.hosts) lab.restartNetworkManager(host);
    await lab.sleep(5);
    for (const host of lab.hosts) {
      await lab.until(`SSH to ${host}`, () => lab.answersSsh(host), 30);
      expect(difference(before.get(host)!.network, stateOf(host).network), `the network of ${host}`).to.deep.equal([]);
    }
  });

  it("runs killed in the middle of init, of a join and of Cilium's install are finished by the next", async () => {
    await lab.killUpWhen(
      "init",
      () =>
        lab
          .onHost(
            "cp1",
            "test -s /etc/kubernetes/manifests/etcd.yaml && test ! -e /var/lib/tailkube/joined && echo yes",
          )
          .trim() === "yes",
      300,
    );
    // The worst moment of it: Helm is done, and the state does not know.
    const releases =
      "KUBECACHEDIR=/run/kube-cache KUBECONFIG=/etc/kubernetes/admin.conf kubectl -n kube-system get secrets -l owner=helm";
    await lab.killUpWhen(
      "Cilium's install",
      () => /cilium/.test(lab.onHost("cp1", `${releases},status=deployed -o name 2>/dev/null`)),
      600,
      `grep -qm1 cilium < <(timeout 300 env ${releases} --watch -o name 2>/dev/null)`,
    );
    const unknown = lab.pendingOperations().some((urn) => urn.endsWith("::cilium-release"));
    console.log(
      `      of it the state knows ${unknown ? "that it was begun" : "the end: the CLI was stopped too late"}`,
    );
    await lab.until("the API takes a ConfigMap", () => keep(), 60);
    await lab.killUpWhen(
      "a join",
      () =>
        lab
          .onHost(
            "cp2",
            "pgrep -x kubeadm >/dev/null && test -e /etc/kubernetes/pki/ca.crt && test ! -e /var/lib/tailkube/joined && echo yes",
          )
          .trim() === "yes",
      600,
    );
    await expectCluster();
    expectKept(["cp1", "cp2", "cp3"]);
    expect(unreadyWorkloads()).to.deep.equal([]);
    expect(
      lab
        .devices()
        .map((device) => device.name)
        .sort(),
    ).to.deep.equal([...lab.hosts].sort());
  });

  it("joins killed on the host itself, when etcd has promoted the second and the third member, are finished by the next", async () => {
    await lab.run("lab/engine", ["destroy"], 900);
    await interrupt(kubeadm("cp2", "^join --config", "after"), "kill", "up");
    // Before the third member: cp1's and cp2's etcd, whose joins are not recorded yet, have it.
    await lab.until("the API takes a ConfigMap", () => keep(), 60);
    await interrupt(kubeadm("cp3", "^join --config", "after"), "power", "up");
    await expectCluster();
    expectKept(["cp1", "cp2", "cp3"]);
    const members = lab.onHost("cp1", "/usr/local/lib/tailkube/etcd ctl member list").trim().split("\n");
    expect(members.map((line) => line.split(", ").slice(1, 3).join(" ")).sort()).to.deep.equal(
      ["cp1", "cp2", "cp3"].map((name) => `started ${name}`),
    );
  });

  it("down leaves nothing of the lab on this machine", async () => {
    await lab.run("lab/down", [], 300);
    const sh = (script: string) => execFileSync("bash", ["-c", script], { encoding: "utf8" }).trim();
    // By the programs' own names, which the kernel cuts after 15 letters: a build's command line may have them, too. What has
    // ended and only waits for its parent to ask how is not there any more.
    const running =
      "ps -eo stat=,pid=,comm= | grep -E '(systemd-nspawn|tailscaled|kubelet|containerd.*)$' | grep -v '^Z' || true";
    expect(sh(running)).to.equal("");
    expect(sh(`awk '$2 ~ "${lab.state}" {print $2}' /proc/mounts`)).to.equal("");
    expect(sh("ip netns list; ip -o link show | grep tklab || true")).to.equal("");
    expect(sh("find /sys/fs/cgroup -maxdepth 3 -type d -name '*tklab*'")).to.equal("");
  });
});
