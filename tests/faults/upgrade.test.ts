import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import * as lab from "../lab/lab";
import { inSteps } from "../lab/steps";
import { ask, client, controlPlanes, eventually, freshNamespace, get, image, namespace, stopClients } from "./cluster";
import { command } from "./faults";
import { outage } from "./outage";
import { engine, engineOk, ownNodes, refreshKubeconfig, type StackNode, useOwnStack, useStack } from "./stack";

const w2: StackNode = { name: "w2", role: "worker", host: { kind: "ssh", address: "172.31.77.22" } };
const all = [...lab.hosts, "w2"] as lab.HostName[];
const workers = ["w1", "w2"] as lab.HostName[];

interface Release {
  kubernetesVersion: string;
  containerdVersion: string;
  tailscaleVersion: string;
  ciliumVersion: string;
}

interface Wanted extends Release {
  /** The config that asks for these versions, with further keys of `kubernetes`. */
  config(kubernetes: Record<string, unknown>): Record<string, unknown>;
  /** The config of Cilium, which stays what it is until it is asked for, too. */
  cilium: Record<string, unknown>;
}

/** Versions that the mirror has. */
function release(name: string): Wanted {
  const file = `lab/.state/${name === "default" ? "bundle" : `bundles/${name}`}/bundle.json`;
  const content = JSON.parse(readFileSync(join(lab.root, file), "utf8")) as Release;
  const { kubernetesVersion, containerdVersion, tailscaleVersion, ciliumVersion } = content;
  return {
    ...content,
    config: (kubernetes) => ({
      kubernetes: { version: kubernetesVersion, containerdVersion, ...kubernetes },
      tailnet: { tailscaleVersion },
    }),
    cilium: { cilium: { version: ciliumVersion } },
  };
}

/** A rolling upgrade under load, killed in the middle once. The tests build on each other. */
describe("a rolling upgrade", function () {
  inSteps();
  this.timeout(3 * 60 * 60_000);

  const nodes = [...ownNodes(), w2];
  let from: ReturnType<typeof release>;

  before(async () => {
    useOwnStack();
    process.env.MIRROR_BUNDLES = "default minor patch";
    await lab.bareHosts(all);
    from = release("minor");
    // Both workers start with what their Debian has, 1.6 and 1.7.
    command("w2" as lab.HostName, "apt-get update -q && apt-get install -y -q containerd", 300);
    useStack({ nodes, ...from.config({ containerdVersion: undefined, drainSeconds: 120 }), ...from.cilium });
    await engineOk(["up"], 900);
    refreshKubeconfig();
    await freshNamespace("cp2");
    await workload();
  });
  afterEach(stopClients);
  after(async () => {
    useOwnStack();
    delete process.env.MIRROR_BUNDLES;
    await lab.run("lab/down", [], 300);
  });

  /** Two replicas on the workers that answer with a word, a budget that keeps one of them, and a service. */
  async function workload(): Promise<void> {
    const labels = { app: "web" };
    const paths = ["/usr", "/bin", "/sbin", "/lib", "/lib64"];
    const objects: [string, object][] = [
      [
        `/apis/apps/v1/namespaces/${namespace}/deployments`,
        {
          metadata: { name: "web" },
          spec: {
            replicas: 2,
            selector: { matchLabels: labels },
            template: {
              metadata: { labels },
              spec: {
                terminationGracePeriodSeconds: 5,
                topologySpreadConstraints: [
                  {
                    maxSkew: 1,
                    topologyKey: "kubernetes.io/hostname",
                    whenUnsatisfiable: "ScheduleAnyway",
                    labelSelector: { matchLabels: labels },
                  },
                ],
                containers: [
                  {
                    name: "web",
                    // Both versions of Kubernetes have the same one.
                    image: pauseOf(from.kubernetesVersion),
                    imagePullPolicy: "IfNotPresent",
                    command: ["/usr/bin/socat", "TCP-LISTEN:8080,fork,reuseaddr", "SYSTEM:echo here"],
                    readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
                    // Out of the service before it stops to answer.
                    lifecycle: { preStop: { exec: { command: ["/bin/sleep", "3"] } } },
                    volumeMounts: paths.map((path) => ({ name: path.slice(1), mountPath: path, readOnly: true })),
                  },
                ],
                volumes: paths.map((path) => ({ name: path.slice(1), hostPath: { path } })),
              },
            },
          },
        },
      ],
      [
        `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`,
        { metadata: { name: "web" }, spec: { minAvailable: 1, selector: { matchLabels: labels } } },
      ],
      [
        `/api/v1/namespaces/${namespace}/services`,
        { metadata: { name: "web" }, spec: { selector: labels, ports: [{ port: 80, targetPort: 8080 }] } },
      ],
    ];
    for (const [path, object] of objects) {
      const { status, body } = await ask("cp2", "POST", path, object);
      if (status !== 201) throw new Error(`${path}: ${status} ${body.slice(0, 300)}`);
    }
    await eventually(
      "two replicas of the workload",
      async () => {
        const { status } = await get<{ status: { readyReplicas?: number } }>(
          "cp2",
          `/apis/apps/v1/namespaces/${namespace}/deployments/web`,
        );
        return status.readyReplicas === 2 ? undefined : `${status.readyReplicas ?? 0} are ready`;
      },
      120,
    );
  }

  /** The pause image that the nodes have. */
  function pauseOf(version: string): string {
    const list = readFileSync(join(lab.root, "lab/.state/bundles/minor/images.list"), "utf8");
    const found = list.split("\n").find((line) => line.includes("/pause:"));
    if (found === undefined) throw new Error(`there is no pause image of Kubernetes ${version}`);
    return found.split(" ")[0]!;
  }

  /** Asks the service from a host, ten times a second, until it is told to stop; then it says what it counted. */
  async function requests(host: lab.HostName) {
    const { spec } = await get<{ spec: { clusterIP: string } }>("cp2", `/api/v1/namespaces/${namespace}/services/web`);
    const file = "/run/tailkube-faults-requests";
    command(
      host,
      `rm -f ${file} ${file}.stop
      cat >${file}.sh <<'END'
all=0 failed=0 longest=0 last=$(date +%s%3N)
while [ ! -e ${file}.stop ]; do
    answer=$(timeout 2 bash -c 'exec 3<>/dev/tcp/${spec.clusterIP}/80 && head -n 1 <&3' 2>/dev/null)
    now=$(date +%s%3N) all=$((all + 1))
    if [ "$answer" = here ]; then last=$now; else failed=$((failed + 1)); fi
    [ $((now - last)) -le "$longest" ] || longest=$((now - last))
    echo "$all $failed $longest" >${file}.new; mv ${file}.new ${file}
    sleep 0.1
done
END
      systemd-run --quiet --collect --unit=tailkube-faults-requests bash ${file}.sh`,
    );
    return {
      stop: () => {
        const text = command(host, `touch ${file}.stop; sleep 3; cat ${file}; rm -f ${file} ${file}.*`);
        const [count, failed, longest] = text.trim().split(" ").map(Number);
        return { count: count!, failed: failed!, longest: longest! };
      },
    };
  }

  const unitStarts = () =>
    Object.fromEntries(
      all.map((host) => [host, lab.onHost(host, "systemctl show kubelet -p ActiveEnterTimestampMonotonic").trim()]),
    );

  async function expectVersions(wanted: ReturnType<typeof release>): Promise<void> {
    await eventually(
      `all nodes Ready at ${wanted.kubernetesVersion}`,
      async () => {
        const wrong = all.filter(
          (name) =>
            !lab.readyNodes().some((node) => node.name === name && node.version === `v${wanted.kubernetesVersion}`),
        );
        return wrong.length === 0 ? undefined : wrong.join(", ");
      },
      60,
    );
    for (const host of all) {
      expect(lab.onHost(host, "tailscaled --version | head -n 1").trim(), host).to.equal(wanted.tailscaleVersion);
      expect(lab.onHost(host, "containerd --version"), host).to.include(`v${wanted.containerdVersion}`);
      const { spec } = await get<{ spec: { unschedulable?: boolean } }>("cp2", `/api/v1/nodes/${host}`);
      expect(spec.unschedulable ?? false, `${host} is cordoned`).to.equal(false);
    }
    for (const host of controlPlanes) {
      expect((await ask(host, "GET", "/version")).body, host).to.include(`"v${wanted.kubernetesVersion}"`);
      expect(lab.hasEndpoint(host), `the endpoint on ${host}`).to.equal(true);
    }
  }

  /** An upgrade with requests to the service and to the API all the time, and what failed of them. */
  async function upgraded(what: string, upgrade: () => Promise<void>): Promise<void> {
    const [service, api] = [await requests("w1"), await client("w1", "read")];
    const fromControlPlane = await requests("cp3");
    const start = Date.now();
    await upgrade();
    const seconds = Math.round((Date.now() - start) / 1000);
    await lab.sleep(5);
    await api.stop();
    const [w1, cp3] = [service.stop(), fromControlPlane.stop()];
    const asked = outage(api.samples(), start);
    const apart = asked.apart.map((failure) => failure.replace(/ s:.*/, ""));
    const errors = new Map<string, number>();
    for (const { error, ok } of api.samples()) if (!ok) errors.set(`${error}`, (errors.get(`${error}`) ?? 0) + 1);
    console.log(
      `      ${what}: ${seconds} s; the service did not answer ${w1.failed} of ${w1.count} requests from w1 (longest ${w1.longest} ms) and ` +
        `${cp3.failed} of ${cp3.count} from cp3 (longest ${cp3.longest} ms), the API ${asked.failed} of ${asked.total} from w1 (longest ${asked.longest} ms: ${apart.length} failed apart from the longest row${apart.length > 0 ? `, ${apart.join(" ")} s after the start` : ""}; ${[...errors.entries()].map(([why, times]) => `${times} × ${why}`).join(", ")})`,
    );
    expect(asked.longest, "the API never goes away: longer than a switch of the endpoint").to.be.at.most(20_000);
    expect(w1.count).to.be.greaterThan(100);
    expect(cp3.count).to.be.greaterThan(100);
  }

  it("that skips a minor, or goes back, is refused in the preview", async () => {
    const minor = Number(from.kubernetesVersion.split(".")[1]);
    for (const [version, line] of [
      [`1.${minor + 2}.0`, /kubernetes\.version: .* Kubernetes allows one minor version at a time/],
      [`1.${minor - 1}.9`, /kubernetes\.version: cannot downgrade from /],
    ] as const) {
      useStack({ nodes, ...from.config({ containerdVersion: undefined, version }), ...from.cilium });
      const logins = all.map(lab.logins);
      const { code, text } = await engine(["preview"], 120);
      expect(code, version).to.not.equal(0);
      expect(text).to.match(line);
      expect(all.map(lab.logins)).to.deep.equal(logins);
    }
  });

  it("to the next minor, killed in the middle of a drain: it goes on where it was, and touches no finished node", async () => {
    const to = release("patch");
    useStack({ nodes, ...to.config({ drainSeconds: 120 }), ...from.cilium });
    await upgraded(`${from.kubernetesVersion} to ${to.kubernetesVersion}`, async () => {
      const draining = () =>
        workers.some((host) => lab.kubectl("get", "node", host, "-o", "jsonpath={.spec.unschedulable}") === "true");
      await lab.killUpWhen("the drain of a worker", draining, 1800);
      const before = unitStarts();
      const finished = [...controlPlanes];
      await engineOk(["up"], 1800);
      const after = unitStarts();
      for (const host of finished) expect(after[host], `the kubelet of ${host}`).to.equal(before[host]);
    });
    await expectVersions(to);
    expect(lab.onHost("cp1", "ls /var/lib/tailkube/snapshots"), "a snapshot of etcd").to.match(
      new RegExp(`^auto-\\S+-${from.kubernetesVersion}\\.db$`, "m"),
    );
  });

  it("to the next patch", async () => {
    const to = release("default");
    useStack({ nodes, ...to.config({ drainSeconds: 120 }), ...from.cilium });
    await upgraded(`${release("patch").kubernetesVersion} to ${to.kubernetesVersion}`, async () => {
      await engineOk(["up"], 1800);
    });
    await expectVersions(to);
  });

  it("of Cilium", async () => {
    const to = release("default");
    useStack({ nodes, ...to.config({ drainSeconds: 120 }), ...to.cilium });
    await upgraded(`Cilium ${from.ciliumVersion} to ${to.ciliumVersion}`, async () => {
      await engineOk(["up"], 900);
    });
    const images = lab.kubectl(
      "-n",
      "kube-system",
      "get",
      "pods",
      "-l",
      "k8s-app=cilium",
      "-o",
      "jsonpath={.items[*].spec.containers[*].image}",
    );
    expect(new Set(images.split(" "))).to.deep.equal(new Set([`quay.io/cilium/cilium:v${to.ciliumVersion}`]));
  });

  it("of the certificates alone: they are renewed one control plane after the other", async () => {
    const to = release("default");
    const expiry = (host: lab.HostName) =>
      lab
        .onHost(
          host,
          'date -d "$(openssl x509 -noout -enddate -in /etc/kubernetes/pki/apiserver.crt | cut -d= -f2)" +%s',
        )
        .trim();
    const before = controlPlanes.map(expiry);
    useStack({ nodes, ...to.config({ drainSeconds: 120, certificateRenewal: "once" }), ...to.cilium });
    await engineOk(["up"], 900);
    controlPlanes.forEach((host, i) => expect(Number(expiry(host)), host).to.be.greaterThan(Number(before[i])));
    const told = JSON.parse(lab.output("lab/engine", ["output", "certificates"])) as {
      name: string;
      expires: string;
    }[];
    console.log(`      certificates end at ${told.map(({ name, expires }) => `${expires} (${name})`).join(", ")}`);
    expect(told.map(({ name }) => name)).to.deep.equal([...controlPlanes]);
    for (const { expires } of told) expect(Date.parse(expires)).to.be.greaterThan(Date.now() + 300 * 86_400_000);
  });
});

describe("all control planes are lost", function () {
  inSteps();
  this.timeout(90 * 60_000);
  const objects = 50;

  before(async () => {
    useOwnStack();
    await lab.run("lab/down", [], 300);
    await lab.run("lab/up", [], 60 * 60);
    await freshNamespace("cp2");
  });
  after(async () => {
    useOwnStack();
    await lab.run("lab/down", [], 300);
  });

  it("etcd restored from a snapshot onto three rebuilt hosts: the objects are back, and the worker with them", async () => {
    const configMaps = `/api/v1/namespaces/${namespace}/configmaps`;
    const make = async (name: string) => {
      const { status } = await ask("cp2", "POST", configMaps, { metadata: { name }, data: { image } });
      expect(status).to.equal(201);
    };
    for (let number = 1; number <= objects; number++) await make(`before-${number}`);
    command("cp2", "/usr/local/lib/tailkube/etcd snapshot /root/snapshot.db");
    const snapshot = command("cp2", "base64 -w0 /root/snapshot.db", 120);
    await make("after-the-snapshot");

    for (const host of controlPlanes) await lab.run("lab/hosts/hosts", ["rebuild", host], 300);
    const nodes = ownNodes().map((node) =>
      node.role === "control-plane" ? { ...node, host: { ...node.host, identity: "rebuilt" } } : node,
    );
    useStack({ nodes });
    const refused = await engine(["up"], 900);
    expect(refused.code, "without a snapshot there is nothing to go on from").to.equal(1);
    expect(refused.text).to.match(/this run would replace every control plane \(.*\).*docs\/operate\/disaster\.md/);

    lab.writeOnHost("cp1", "/root/snapshot.db", Buffer.from(snapshot, "base64"));
    useStack({ nodes, kubernetes: { restoreSnapshot: "/root/snapshot.db" } });
    const seconds = await engineOk(["up"], 1200);
    refreshKubeconfig();
    await eventually(
      "four Ready nodes",
      async () => (lab.readyNodes().length === 4 ? undefined : `${lab.readyNodes().length} are`),
      180,
    );
    const { items } = await get<{ items: { metadata: { name: string } }[] }>("cp3", configMaps);
    const names = items.map(({ metadata }) => metadata.name);
    console.log(
      `      restored in ${seconds.toFixed(0)} s: ${names.filter((name) => name.startsWith("before-")).length} of ${objects} objects are back`,
    );
    for (let number = 1; number <= objects; number++) expect(names).to.include(`before-${number}`);
    expect(names).to.not.include("after-the-snapshot");
    console.log(`      checks after it: ${lab.repeatChecks().trim()}`);
  });
});
