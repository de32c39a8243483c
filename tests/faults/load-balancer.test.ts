/**
 * Services of type LoadBalancer, reached from outside of the cluster: from a device of the tailnet that is no node, and in a lan from
 * another machine on it. Three services share one pool. The node with the route, or the one that answers ARP, loses its cable or its
 * kubelet; all nodes reboot; and when the option is switched off, nothing of it is left. The tests of each suite build on each other.
 */
import { spawn, spawnSync } from "node:child_process";
import { expect } from "chai";
import * as lab from "../lab/lab";
import { inSteps } from "../lab/steps";
import { approve } from "../lab/tailnet";
import { image } from "./cluster";
import { command, pullCable } from "./faults";
import { engineOk, ownNodes, refreshKubeconfig, type StackNode, useOwnStack, useStack } from "./stack";

const namespace = "load-balancer-fault";
const services = ["red", "green", "blue"] as const;
/** One more, which keeps source addresses. */
const local = "local";

/** Runs a script where the requests come from. */
type Client = readonly [command: string, ...args: string[]];

/** Two pods that say which node they are on and who asks, by the host's own socat, and one on each node for the service `local`. */
function manifest(): string {
  const pod = (name: string, spread: string) => `
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      terminationGracePeriodSeconds: 0
      tolerations: [{operator: Exists, effect: NoSchedule}]
      ${spread}
      containers:
      - name: web
        image: ${image}
        imagePullPolicy: IfNotPresent
        env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
        command: [/usr/bin/socat, "TCP-LISTEN:8080,fork,reuseaddr", 'SYSTEM:echo $NODE $SOCAT_PEERADDR']
        volumeMounts: [${["usr", "bin", "sbin", "lib", "lib64"].map((path) => `{name: ${path}, mountPath: /${path}, readOnly: true}`).join(", ")}]
      volumes: [${["usr", "bin", "sbin", "lib", "lib64"].map((path) => `{name: ${path}, hostPath: {path: /${path}}}`).join(", ")}]`;
  const apart =
    "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: web}}}]}}";
  const service = (name: string, app: string, policy: string) => `
---
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: ${namespace}}
spec: {type: LoadBalancer, externalTrafficPolicy: ${policy}, selector: {app: ${app}}, ports: [{port: 80, targetPort: 8080}]}`;
  return `apiVersion: v1
kind: Namespace
metadata: {name: ${namespace}, labels: {pod-security.kubernetes.io/enforce: privileged}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: ${namespace}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}${pod("web", apart)}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: everywhere, namespace: ${namespace}}
spec:
  selector: {matchLabels: {app: everywhere}}${pod("everywhere", "")}
${services.map((name) => service(name, "web", "Cluster")).join("")}${service(local, "everywhere", "Local")}
`;
}

const kubectl = (...args: string[]) => lab.kubectl(...args);

const addressOf = (service: string) =>
  kubectl("-n", namespace, "get", "service", service, "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}");

/** One request: the node of the pod that answers, and the source address that it sees; undefined without an answer. */
function ask(client: Client, address: string): { node: string; source: string } | undefined {
  // Without a request line socat answers all the same.
  const script = `exec 3<>/dev/tcp/${address}/80 && read -r -t 3 line <&3 && echo "$line"`;
  const run = spawnSync(client[0], [...client.slice(1), "timeout", "4", "bash", "-c", script], {
    cwd: lab.root,
    encoding: "utf8",
    timeout: 15_000,
  });
  const said = run.stdout.trim();
  const found = /^(\S+) (\S+)$/.exec(said);
  return found === null ? undefined : { node: found[1]!, source: found[2]! };
}

/**
 * The longest time in milliseconds that each address did not answer, while all were asked for that many seconds, five times a second.
 * Each request has a new connection: what is open breaks in a failover.
 */
function outages(client: Client, addresses: readonly string[], seconds: number): Promise<number[]> {
  const script = `watch() {
      last=$(date +%s%3N) worst=0 end=$((SECONDS + ${seconds}))
      while [ "$SECONDS" -lt "$end" ]; do
        if timeout 1 bash -c "exec 3<>/dev/tcp/$1/80 && read -r -t 1 line <&3 && [ -n \\"\\$line\\" ]" 2>/dev/null; then
          now=$(date +%s%3N); [ $((now - last)) -le "$worst" ] || worst=$((now - last)); last=$now
        fi
        sleep 0.2
      done
      now=$(date +%s%3N); [ $((now - last)) -le "$worst" ] || worst=$((now - last))
      echo "$1 $worst"
    }
    for address in ${addresses.join(" ")}; do watch "$address" & done; wait`;
  return new Promise((resolve, reject) => {
    const child = spawn(client[0], [...client.slice(1), "bash", "-c", script], {
      cwd: lab.root,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.on("data", (data: Buffer) => (text += data.toString()));
    child.on("error", reject);
    child.on("close", () => {
      const found = new Map(
        text
          .trim()
          .split("\n")
          .map((line) => line.split(" ") as [string, string]),
      );
      const each = addresses.map((address) => Number(found.get(address)));
      if (each.some(Number.isNaN)) reject(new Error(`${client.join(" ")} said ${text}`));
      else resolve(each);
    });
  });
}

/** The outages that a fault causes, in seconds; it begins when requests have been answered for a while. */
async function during(
  client: Client,
  addresses: readonly string[],
  seconds: number,
  fault: () => void,
): Promise<number> {
  const measured = outages(client, addresses, seconds);
  await lab.sleep(5);
  fault();
  const each = await measured;
  console.log(`      without an answer for ${each.map((one) => (one / 1000).toFixed(1)).join(", ")} s`);
  return Math.max(...each) / 1000;
}

async function servicesAnswer(client: Client, seconds: number): Promise<string[]> {
  const all = [...services, local];
  await lab.until("every service has an address", () => all.every((name) => addressOf(name) !== ""), 60);
  const addresses = all.map(addressOf);
  await lab.until("every service answers", () => addresses.every((one) => ask(client, one) !== undefined), seconds);
  return addresses;
}

/** What is left of the option in the cluster and on a host, in words. */
function leftInCluster(): string[] {
  const objects = kubectl(
    ...["get", "ciliumloadbalancerippools.cilium.io,ciliuml2announcementpolicies.cilium.io", "-o", "name"],
  );
  const leases = kubectl("-n", "kube-system", "get", "leases", "-o", "name");
  return [...objects.split("\n"), ...leases.split("\n").filter((line) => line.includes("l2announce"))].filter(Boolean);
}
/** What has to do with a network of addresses on a host: routes, rules, filters, what is advertised. */
const networkOnHost = (host: lab.HostName, cidr: string) =>
  lab
    .onHost(
      host,
      `ip -4 route show table all | grep -F '${cidr}'; ip -4 rule show | grep -F '${cidr}'
      nft list ruleset | grep -F '${cidr}'
      tailscale debug prefs 2>/dev/null | grep -F '${cidr}'; true`,
    )
    .split("\n")
    .filter(Boolean);
/** The same, and all else of the option on a host. */
const leftOnHost = (host: lab.HostName, cidr: string) => [
  ...networkOnHost(host, cidr),
  ...lab
    .onHost(
      host,
      "nft list tables | grep load_balancer; systemctl is-active --quiet tailkube-load-balancer && echo active; true",
    )
    .split("\n")
    .filter(Boolean),
  ...lab.existing(
    host,
    "/etc/tailkube/load-balancer.env",
    "/etc/tailkube/routes.d/load-balancer",
    "/usr/local/lib/tailkube/load-balancer",
    "/etc/systemd/system/tailkube-load-balancer.service",
    "/etc/systemd/system/*/tailkube-load-balancer.service",
  ),
];

/** Waits until all nodes are heard of again, from now on. */
const allBack = (count: number, seconds: number) => {
  const from = Date.now();
  return lab.until("all nodes are back", () => lab.nodesAliveSince(from).length === count, seconds);
};

const upSeconds = 45 * 60;

describe("LoadBalancer services in a tailnet", function () {
  inSteps();
  this.timeout(60 * 60_000);
  const cidr = "10.201.0.0/24";
  // Three nodes take the traffic, and w1 is none: it is the device that asks.
  const nodes = ownNodes().filter(({ role }) => role === "control-plane");
  const names = nodes.map(({ name }) => name as lab.HostName);
  const stranger = "w1";
  const client: Client = ["lab/hosts/hosts", "exec", stranger];
  let addresses: string[] = [];

  /** The node that has the route. */
  const holder = () => {
    const found = lab.devices().find(({ primaryRoutes }) => primaryRoutes?.includes(cidr))?.name;
    return names.find((name) => name === found);
  };
  const tailnetAddress = (host: lab.HostName) => lab.onHost(host, "tailscale ip -4").trim();
  const stay = (balanced: boolean) => useStack({ nodes, ...(balanced && { loadBalancer: { cidr } }) });

  before(async () => {
    useOwnStack();
    await lab.bareHosts([], "bundle");
    approve(cidr);
  });
  after(async () => {
    useOwnStack();
    await lab.run("lab/down", [], 300);
  });

  it("a cluster without them: nothing of the option is on any host", async () => {
    stay(false);
    await engineOk(["up"], upSeconds);
    refreshKubeconfig();
    for (const name of names) expect(leftOnHost(name, cidr), name).to.deep.equal([]);
    expect(leftInCluster()).to.deep.equal([]);
  });

  it("switched on, a node has the route, and the checks have a service answer", async () => {
    stay(true);
    await engineOk(["up"], upSeconds);
    await lab.until("a node has the route", () => holder() !== undefined, 30);
  });

  it("three services answer a device of the tailnet that is no node", async () => {
    const key = lab.read("tailnet/authkey").trim();
    lab.writeOnHost(stranger, "/run/key", Buffer.from(key));
    command(
      stranger,
      `cp /opt/tailkube-bundle/bin/tailscale* /usr/local/bin/
      systemd-run --unit=stranger /usr/local/bin/tailscaled --state=/var/lib/stranger.state --socket=/run/tailscale/tailscaled.sock
      sleep 3
      tailscale up --auth-key=file:/run/key --login-server=http://172.31.77.1:3340 --hostname=stranger --accept-dns=false --accept-routes`,
      120,
    );
    lab.apply(manifest());
    addresses = await servicesAnswer(client, 180);
    expect(new Set(addresses).size).to.equal(services.length + 1);
    for (const address of addresses) expect(address).to.match(/^10\.201\.0\.\d+$/);
  });

  it("a pod on the node with the route sees the device's own address; one elsewhere sees that node's", () => {
    const own = tailnetAddress(stranger);
    const at = holder()!;
    const asked = Array.from({ length: 40 }, () => ask(client, addresses[0]!)!);
    expect(new Set(asked.map(({ node }) => node)).size, "nodes that answer").to.equal(2);
    for (const { node, source } of asked) {
      expect(source, `a pod on ${node}, while ${at} has the route`).to.equal(node === at ? own : tailnetAddress(at));
    }
  });

  it("with externalTrafficPolicy Local, every pod sees the device's own address", () => {
    const own = tailnetAddress(stranger);
    const at = holder()!;
    const asked = Array.from({ length: 20 }, () => ask(client, addresses.at(-1)!));
    expect(asked).to.deep.equal(asked.map(() => ({ node: at, source: own })));
  });

  it("an address without a service gets no answer, and its packets leave by no other interface", () => {
    const unused = "10.201.0.250";
    expect(ask(client, unused)).to.equal(undefined);
    const at = holder()!;
    const counted = () =>
      Number(/packets (\d+)/.exec(lab.onHost(at, "nft list chain inet tailkube_load_balancer forward"))![1]);
    const former = counted();
    ask(client, unused);
    expect(counted()).to.be.greaterThan(former);
  });

  it("the cable of the node with the route is pulled: answered again within 20 s", async () => {
    const at = holder()!;
    let fault: ReturnType<typeof pullCable> | undefined;
    const seconds = await during(client, addresses.slice(0, 3), 60, () => (fault = pullCable(at)));
    await fault!.undo();
    expect(seconds).to.be.below(20);
    await allBack(names.length, 300);
    await servicesAnswer(client, 60);
  });

  it("the kubelet of the node with the route is stopped: another has it, and answers within 5 s", async () => {
    const at = holder()!;
    const seconds = await during(client, addresses.slice(0, 3), 40, () => void command(at, "systemctl stop kubelet"));
    const now = holder();
    command(at, "systemctl start kubelet");
    expect(seconds).to.be.below(5);
    expect(now).to.not.equal(undefined).and.not.equal(at);
  });

  it("a restart of tailscaled on the node with the route: answered again within 20 s", async () => {
    const at = holder()!;
    const restart = () => void command(at, "systemctl restart tailscaled");
    expect(await during(client, addresses.slice(0, 3), 60, restart)).to.be.below(20);
    await allBack(names.length, 300);
  });

  it("after a reboot of all nodes all services answer as before, and the checks find nothing", async () => {
    await Promise.all(names.map((name) => lab.run("lab/hosts/hosts", ["reboot", name], 400)));
    await allBack(names.length, 600);
    expect(await servicesAnswer(client, 300)).to.deep.equal(addresses);
    console.log(`      ${lab.repeatChecks().trim()}`);
  });

  it("another network: the services get other addresses, and the former route is gone", async () => {
    const other = "10.201.1.0/24";
    approve(cidr, other);
    useStack({ nodes, loadBalancer: { cidr: other } });
    await engineOk(["up"], upSeconds);
    await lab.until("the services have other addresses", () => addressOf("red").startsWith("10.201.1."), 60);
    await lab.until("one answers", () => ask(client, addressOf("red")) !== undefined, 60);
    for (const name of names) expect(networkOnHost(name, cidr), name).to.deep.equal([]);
    stay(true);
    await engineOk(["up"], upSeconds);
    await servicesAnswer(client, 60);
  });

  it("switched off, no route, rule, filter, unit or pool is left, and the services lose their addresses", async () => {
    stay(false);
    await engineOk(["up"], upSeconds);
    for (const name of names) expect(leftOnHost(name, cidr), name).to.deep.equal([]);
    expect(leftInCluster()).to.deep.equal([]);
    await lab.until("no service has an address", () => services.every((name) => addressOf(name) === ""), 60);
    expect(holder()).to.equal(undefined);
  });

  it("a destroy with the option on leaves nothing of it", async () => {
    stay(true);
    await engineOk(["up"], upSeconds);
    await engineOk(["destroy"], 1_200);
    for (const name of names) expect(leftOnHost(name, cidr), name).to.deep.equal([]);
  });
});

describe("LoadBalancer services in a lan", function () {
  inSteps();
  this.timeout(60 * 60_000);
  const cidr = "172.31.77.192/28";
  const machines: Record<string, string> = { cp1: "172.31.77.11", w1: "172.31.77.21", w2: "172.31.77.22" };
  const nodes = Object.entries(machines).map(([name, address]): StackNode => ({
    name,
    role: name === "cp1" ? "control-plane" : "worker",
    host: { kind: "ssh", address },
  }));
  const workers = ["w1", "w2"] as lab.HostName[];
  // The lab's own machine is on the same bridge.
  const client: Client = ["env"];
  let addresses: string[] = [];

  const stay = (balanced: boolean) =>
    useStack({
      clusterName: "lan",
      nodes,
      nodeNetwork: "lan",
      lan: { cidr: "172.31.77.0/24" },
      endpoint: { address: machines.cp1 },
      tailnet: undefined,
      ...(balanced && { loadBalancer: { cidr } }),
    });
  /** The node that answers ARP for a service. */
  const holder = (service: string) =>
    kubectl(
      ...["-n", "kube-system", "get", "lease", `cilium-l2announce-${namespace}-${service}`],
      ...["-o", "jsonpath={.spec.holderIdentity}"],
    ) as lab.HostName;

  before(async () => {
    useOwnStack();
    await lab.bareHosts(Object.keys(machines), "bundle");
  });
  after(async () => {
    useOwnStack();
    await lab.run("lab/down", [], 300);
  });

  it("three services answer another machine of the lan", async () => {
    stay(true);
    await engineOk(["up"], upSeconds);
    refreshKubeconfig();
    lab.apply(manifest());
    addresses = await servicesAnswer(client, 180);
    for (const name of services) expect(workers).to.include(holder(name));
  });

  it("a pod on the node that answers ARP sees the machine's own address", () => {
    const at = holder("red");
    const asked = Array.from({ length: 40 }, () => ask(client, addresses[0]!)!);
    for (const { node, source } of asked) {
      expect(source, `a pod on ${node}, while ${at} answers ARP`).to.equal(node === at ? "172.31.77.1" : machines[at]);
    }
  });

  it("the cable of the node that answers ARP is pulled: answered again within 5 s", async () => {
    const at = holder(local);
    let fault: ReturnType<typeof pullCable> | undefined;
    // Of the other services, the pod on the dead node stays a backend until Kubernetes knows that it is.
    const seconds = await during(client, [addresses.at(-1)!], 40, () => (fault = pullCable(at)));
    await fault!.undo();
    expect(seconds).to.be.below(5);
    await allBack(nodes.length, 300);
    await servicesAnswer(client, 60);
  });

  it("the kubelet of the node that answers ARP is stopped: answered all the time", async () => {
    const at = holder("red");
    const seconds = await during(client, addresses.slice(0, 3), 30, () => void command(at, "systemctl stop kubelet"));
    command(at, "systemctl start kubelet");
    expect(seconds).to.be.below(5);
  });

  it("after a reboot of all nodes all services answer as before", async () => {
    await Promise.all(Object.keys(machines).map((name) => lab.run("lab/hosts/hosts", ["reboot", name], 400)));
    await allBack(nodes.length, 600);
    expect(await servicesAnswer(client, 300)).to.deep.equal(addresses);
  });

  it("switched off, no policy, lease or pool is left, and Cilium's values are as before", async () => {
    stay(false);
    await engineOk(["up"], upSeconds);
    expect(leftInCluster()).to.deep.equal([]);
    expect(
      kubectl(
        "-n",
        "kube-system",
        "get",
        "configmap",
        "cilium-config",
        "-o",
        "jsonpath={.data.enable-l2-announcements}",
      ),
    ).to.equal("");
    await lab.until("no service has an address", () => services.every((name) => addressOf(name) === ""), 60);
  });
});
