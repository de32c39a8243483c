import { expect } from "chai";
import * as lab from "../lab/lab";
import { inSteps } from "../lab/steps";
import {
  ask,
  type ControlPlane,
  controlPlanes,
  ensureCluster,
  eventually,
  freshNamespace,
  get,
  image,
  namespace,
  settle,
} from "./cluster";
import { command } from "./faults";
import { engine, engineOk, ownNodes, refreshKubeconfig, type StackNode, useOwnStack, useStack } from "./stack";

/** Seconds for one `up` of the changed stack. */
const upSeconds = 900;
const objects = 200;

/** Machines that are lost, replaced, added and removed. The tests build on each other. */
describe("hosts that come and go", function () {
  inSteps();
  this.timeout(90 * 60_000);

  let nodes: StackNode[] = [];
  let generation = 1;

  before(async () => {
    await lab.run("lab/down", [], 300);
    useOwnStack();
    await ensureCluster();
    nodes = ownNodes();
    await freshNamespace();
  });
  after(async () => {
    useOwnStack();
    await lab.run("lab/down", [], 300);
  });

  /** The stack with these nodes, the drain's bound short. */
  const use = (wanted: StackNode[]) => useStack({ nodes: wanted, kubernetes: { drainSeconds: 20 } });

  /** The same nodes, with another machine behind this name. */
  function renewed(name: string): StackNode[] {
    generation++;
    return nodes.map((node) =>
      node.name === name ? { ...node, host: { ...node.host, identity: `${generation}` } } : node,
    );
  }

  async function create(path: string, object: object, through: ControlPlane = "cp2"): Promise<void> {
    const { status, body } = await ask(through, "POST", path, object);
    if (status !== 201) throw new Error(`POST ${path}: ${status} ${body.slice(0, 300)}`);
  }

  const configMaps = `/api/v1/namespaces/${namespace}/configmaps`;

  async function countData(through: ControlPlane): Promise<number> {
    const { items } = await get<{ items: { data?: { number?: string } }[] }>(through, configMaps);
    return new Set(items.map(({ data }) => data?.number).filter((number) => number !== undefined)).size;
  }

  /** What etcd says its members are: name, and whether it is a learner. */
  function etcdMembers(on: ControlPlane): string[] {
    const certificates =
      "--cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key";
    return command(
      on,
      `KUBECACHEDIR=/run/kube-cache kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system exec etcd-${on} -- etcdctl --endpoints=https://127.0.0.1:2379 ${certificates} member list`,
    )
      .trim()
      .split("\n")
      .map((line) => line.split(", "))
      .map(([, state, name, , , learner]) => `${name} ${state}${learner === "true" ? " learner" : ""}`)
      .sort();
  }

  const deviceNames = () =>
    lab
      .devices()
      .map((device) => device.name)
      .sort();

  it("control plane 1 destroyed and rebuilt, then 2, then 3: three members of etcd, and all data there", async () => {
    for (let number = 1; number <= objects; number++) {
      await create(configMaps, { metadata: { name: `data-${number}` }, data: { number: `${number}` } });
    }
    for (const host of controlPlanes) {
      await lab.run("lab/hosts/hosts", ["rebuild", host], 300);
      nodes = renewed(host);
      use(nodes);
      const seconds = await engineOk(["up"], upSeconds);
      refreshKubeconfig();
      await settle();
      const members = etcdMembers(host);
      console.log(`      ${host} was another machine ${seconds.toFixed(0)} s later; etcd: ${members.join(", ")}`);
      expect(members).to.deep.equal(controlPlanes.map((name) => `${name} started`));
      expect(await countData(host), `objects in ${host}'s etcd`).to.equal(objects);
      expect(deviceNames()).to.deep.equal([...lab.hosts].sort());
      expect(lab.readyNames()).to.deep.equal([...lab.hosts].sort());
    }
    console.log(`      checks after it: ${lab.repeatChecks().trim()}`);
  });

  it("a rebuilt host with another pod CIDR: the old route is gone, the new one in use, nothing lost between the others", async () => {
    interface Node {
      spec: { podCIDR: string };
    }
    const cidrOf = async (name: string) => (await get<Node>("cp2", `/api/v1/nodes/${name}`)).spec.podCIDR;
    const old = await cidrOf("w1");
    const paths = ["/usr", "/bin", "/sbin", "/lib", "/lib64"];
    const pod = (name: string, on: string, script: string) => ({
      metadata: { name },
      spec: {
        nodeName: on,
        restartPolicy: "Never",
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: "main",
            image,
            imagePullPolicy: "IfNotPresent",
            command: ["/bin/bash", "-c", script],
            volumeMounts: paths.map((path) => ({ name: path.slice(1), mountPath: path, readOnly: true })),
          },
        ],
        volumes: paths.map((path) => ({ name: path.slice(1), hostPath: { path } })),
      },
    });
    const pods = `/api/v1/namespaces/${namespace}/pods`;
    await create(pods, pod("server", "cp2", "exec socat TCP-LISTEN:8080,fork,reuseaddr SYSTEM:'echo here'"));
    let address = "";
    await eventually(
      "the server's address",
      async () => {
        address = (await get<{ status: { podIP?: string } }>("cp2", `${pods}/server`)).status.podIP ?? "";
        return address === "" ? "it has none" : undefined;
      },
      60,
    );
    // Ten requests a second, each a connection of its own; it says how many there were and how many had no answer.
    const client = `lost=0 all=0; trap 'exit 0' TERM; while :; do all=$((all+1)); [ "$(timeout 2 bash -c 'exec 3<>/dev/tcp/${address}/8080 && head -n 1 <&3')" = here ] || lost=$((lost+1)); echo "$all $lost"; sleep 0.1; done`;
    await create(pods, pod("client", "cp3", client));
    const traffic = async () => {
      const { body } = await ask("cp2", "GET", `${pods}/client/log?tailLines=1`);
      const [all, lost] = body.trim().split(" ").map(Number);
      return { all: all ?? NaN, lost: lost ?? NaN };
    };
    await eventually("traffic between pods", async () => ((await traffic()).all > 5 ? undefined : "none yet"), 60);
    const before = await traffic();

    await lab.run("lab/hosts/hosts", ["rebuild", "w1"], 300);
    // While w1 is away somebody else has its pod CIDR.
    await ask("cp2", "DELETE", "/api/v1/nodes/w1");
    await create("/api/v1/nodes", { metadata: { name: "placeholder" }, spec: { podCIDR: old, podCIDRs: [old] } });
    nodes = renewed("w1");
    use(nodes);
    await engineOk(["up"], upSeconds);
    await ask("cp2", "DELETE", "/api/v1/nodes/placeholder");

    const now = await cidrOf("w1");
    const after = await traffic();
    console.log(
      `      w1 had ${old} and has ${now}; between two other nodes ${after.lost - before.lost} of ${after.all - before.all} requests were lost`,
    );
    expect(now).to.not.equal(old);
    interface Device {
      name: string;
      advertisedRoutes: string[] | null;
      primaryRoutes: string[] | null;
    }
    const devices = lab.devices() as unknown as Device[];
    expect(devices.filter(({ advertisedRoutes }) => advertisedRoutes?.includes(old))).to.deep.equal([]);
    expect(devices.filter(({ primaryRoutes }) => primaryRoutes?.includes(now)).map(({ name }) => name)).to.deep.equal([
      "w1",
    ]);
    expect(after.all - before.all).to.be.greaterThan(100);
    expect(after.lost - before.lost).to.equal(0);
    expect(deviceNames()).to.deep.equal([...lab.hosts].sort());
    console.log(`      checks after it: ${lab.repeatChecks().trim()}`);
    await freshNamespace("cp2");
  });

  const w2: StackNode = { name: "w2", role: "worker", host: { kind: "ssh", address: "172.31.77.22" } };

  it("a worker is added, and removed only when its pods may leave", async () => {
    await lab.run("lab/hosts/hosts", ["up", "w2"], 300);
    use([...nodes, w2]);
    const added = await engineOk(["up"], upSeconds);
    await eventually(
      "w2 Ready",
      async () => (lab.readyNodes().some(({ name }) => name === "w2") ? undefined : "it is not"),
      60,
    );
    const labels = { app: "held" };
    await create(`/apis/apps/v1/namespaces/${namespace}/deployments`, {
      metadata: { name: "held" },
      spec: {
        replicas: 1,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            nodeSelector: { "kubernetes.io/hostname": "w2" },
            containers: [{ name: "pause", image, imagePullPolicy: "IfNotPresent" }],
          },
        },
      },
    });
    const budgets = `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`;
    await create(budgets, { metadata: { name: "hold" }, spec: { minAvailable: 1, selector: { matchLabels: labels } } });
    await eventually(
      "the held pod",
      async () => void lab.kubectl("-n", namespace, "rollout", "status", "deployment/held", "--timeout=2s"),
      60,
    );

    use(nodes);
    const refused = await engine(["up"], upSeconds);
    expect(refused.code, "the run that may not drain").to.equal(1);
    expect(refused.text).to.match(
      new RegExp(
        `w2 is no longer declared, but could not be drained within 20 s, so it stays as it was: pod ${namespace}/held-\\S+ .*PodDisruptionBudgets that allow none at the moment: ${namespace}/hold`,
      ),
    );
    const still = await get<{ spec: { unschedulable?: boolean } }>("cp2", "/api/v1/nodes/w2");
    expect(still.spec.unschedulable ?? false).to.equal(false);
    expect(lab.onHost("w2" as lab.HostName, "systemctl is-active kubelet").trim()).to.equal("active");

    await ask("cp2", "DELETE", `${budgets}/hold`);
    const removed = await engineOk(["up"], upSeconds);
    console.log(`      added in ${added.toFixed(0)} s; removed, with a drain, in ${removed.toFixed(0)} s`);
    expect((await ask("cp2", "GET", "/api/v1/nodes/w2")).status).to.equal(404);
    expect(deviceNames()).to.deep.equal([...lab.hosts].sort());
    expect(lab.onHost("w2" as lab.HostName, "ls -d /etc/kubernetes /var/lib/tailkube 2>/dev/null; true")).to.equal("");
  });

  it("a dead worker is removed, and what could not be cleaned is said", async () => {
    use([...nodes, w2]);
    await engineOk(["up"], upSeconds);
    await lab.run("lab/hosts/hosts", ["kill", "w2"], 60);
    await eventually(
      "w2 NotReady",
      async () => (lab.readyNodes().some(({ name }) => name === "w2") ? "it is Ready" : undefined),
      120,
    );
    use(nodes);
    const run = await engine(["up"], upSeconds);
    console.log(`      removed, though dead, in ${run.seconds.toFixed(0)} s`);
    expect(run.code).to.equal(0);
    expect(run.text).to.match(/w2: no answer at 172\.31\.77\.22 port 22, so nothing was cleaned there/);
    expect((await ask("cp2", "GET", "/api/v1/nodes/w2")).status).to.equal(404);
    expect(deviceNames()).to.deep.equal([...lab.hosts].sort());
  });

  it("a dead control plane is removed while another comes in its place", async () => {
    await lab.run("lab/hosts/hosts", ["rebuild", "w2"], 300);
    await lab.run("lab/hosts/hosts", ["kill", "cp1"], 60);
    await eventually(
      "cp1 NotReady",
      async () => {
        const { status } = await get<{ status: { conditions: { type: string; status: string }[] } }>(
          "cp2",
          "/api/v1/nodes/cp1",
        );
        return status.conditions.some(({ type, status: is }) => type === "Ready" && is !== "True")
          ? undefined
          : "it is Ready";
      },
      120,
    );
    const successor: StackNode = { ...w2, role: "control-plane" };
    use([...nodes.filter(({ name }) => name !== "cp1"), successor]);
    const seconds = await engineOk(["up"], upSeconds);
    refreshKubeconfig();
    const members = etcdMembers("cp2");
    console.log(`      done in ${seconds.toFixed(0)} s; etcd: ${members.join(", ")}`);
    expect(members).to.deep.equal(["cp2 started", "cp3 started", "w2 started"]);
    expect(deviceNames()).to.deep.equal(["cp2", "cp3", "w1", "w2"]);
    expect(lab.readyNames()).to.deep.equal(["cp2", "cp3", "w1", "w2"]);
  });

  it("a destroy with hosts gone ends, cleans the others, and says what it could not clean", async () => {
    await lab.run("lab/hosts/hosts", ["kill", "cp3"], 60);
    const run = await engine(["destroy"], 400);
    console.log(`      destroyed in ${run.seconds.toFixed(0)} s`);
    expect(run.code).to.equal(0);
    expect(run.text).to.match(/cp3: no answer at 172\.31\.77\.13 port 22, so nothing was cleaned there/);
    expect(lab.devices()).to.deep.equal([]);
    for (const host of ["cp2", "w1", "w2"] as lab.HostName[]) {
      expect(lab.onHost(host, "ls -d /etc/kubernetes /var/lib/tailkube 2>/dev/null; echo looked"), host).to.equal(
        "looked\n",
      );
    }
  });
});
