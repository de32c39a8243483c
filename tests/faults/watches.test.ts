import { execFileSync, spawn } from "node:child_process";
import { expect } from "chai";
import * as lab from "../lab/lab";
import {
  ask,
  client,
  type ControlPlane,
  eventually,
  freshNamespace,
  get,
  image,
  namespace,
  others,
  primary,
  removeNamespace,
  worker,
} from "./cluster";
import { command, type Fault, faultSuite, killHost, pullCable, reboot, stopApiServer } from "./faults";

/** An idle watch notices within 30 s that nobody is at its other end (client-go's HTTP/2 ping), and lists anew. */
const bound = 90;
const replicas = 8;

/**
 * What depends on watches that were open when the endpoint moved: a `kubectl rollout status` that waits; the rollout itself;
 * the kubelet and Cilium's agent of the worker, which start a new pod and serve a new service. kubectl's `get --watch` is not
 * among them: it ends with its connection, by design.
 */
describe("open watches and a rollout in progress", function () {
  faultSuite(this);
  beforeEach(async () => {
    await freshNamespace();
    execFileSync(
      "lab/hosts/hosts",
      ["exec", worker, "bash", "-c", "umask 077; mkdir -p /run/tailkube-faults; cat >/run/tailkube-faults/kubeconfig"],
      { cwd: lab.root, input: lab.output("lab/engine", ["output", "kubeconfig"]) },
    );
  });
  after(async () => {
    command(worker, "rm -rf /run/tailkube-faults");
    await removeNamespace();
  });

  const deployments = `/apis/apps/v1/namespaces/${namespace}/deployments`;

  function deployment() {
    return {
      metadata: { name: "rolling" },
      spec: {
        replicas,
        // One after the other, five seconds each: it outlasts the switch.
        minReadySeconds: 5,
        strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
        selector: { matchLabels: { app: "rolling" } },
        template: {
          metadata: { labels: { app: "rolling" } },
          spec: {
            terminationGracePeriodSeconds: 0,
            containers: [{ name: "pause", image, imagePullPolicy: "IfNotPresent" }],
          },
        },
      },
    };
  }

  /** A pod that answers with its name, by the host's own socat, and a service for it. */
  function answering(name: string) {
    const paths = ["/usr", "/bin", "/sbin", "/lib", "/lib64"];
    return {
      pod: {
        metadata: { name, labels: { app: name } },
        spec: {
          terminationGracePeriodSeconds: 0,
          containers: [
            {
              name,
              image,
              imagePullPolicy: "IfNotPresent",
              command: ["/usr/bin/socat", "TCP-LISTEN:8080,fork,reuseaddr", `SYSTEM:echo ${name}`],
              volumeMounts: paths.map((path) => ({ name: path.slice(1), mountPath: path, readOnly: true })),
            },
          ],
          volumes: paths.map((path) => ({ name: path.slice(1), hostPath: { path } })),
        },
      },
      service: { metadata: { name }, spec: { selector: { app: name }, ports: [{ port: 80, targetPort: 8080 }] } },
    };
  }

  async function make(host: ControlPlane, path: string, object: object): Promise<string> {
    const { status, body } = await ask(host, "POST", path, object);
    if (status !== 201) throw new Error(`${path}: ${status} ${body}`);
    return body;
  }

  /** `kubectl rollout status` on the worker through the endpoint. Resolves when it ends. */
  function rolloutStatus(): Promise<{ code: number | null; text: string; ended: number }> {
    const child = spawn(
      "lab/hosts/hosts",
      [
        "exec",
        worker,
        "env",
        "KUBECACHEDIR=/run/tailkube-faults/cache",
        "kubectl",
        "--kubeconfig=/run/tailkube-faults/kubeconfig",
        `--namespace=${namespace}`,
        "rollout",
        "status",
        "deployment/rolling",
        "--timeout=240s",
      ],
      { cwd: lab.root, stdio: ["ignore", "pipe", "pipe"] },
    );
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (text += data.toString()));
    return new Promise((resolve) => child.on("close", (code) => resolve({ code, text, ended: Date.now() })));
  }

  async function survive(what: string, make_: (host: ControlPlane) => Fault | Promise<Fault>) {
    const host = primary();
    const [through] = others(host);
    const rolled = async () => {
      interface Status {
        spec: { replicas: number };
        status: { updatedReplicas?: number; availableReplicas?: number; replicas?: number };
      }
      return (await get<Status>(through, `${deployments}/rolling`)).status;
    };
    await make(through, deployments, deployment());
    await eventually(
      "the deployment",
      async () => {
        const { availableReplicas = 0 } = await rolled();
        return availableReplicas === replicas ? undefined : `${availableReplicas} of ${replicas} available`;
      },
      120,
    );
    await ask(through, "PATCH", `${deployments}/rolling`, {
      spec: { template: { metadata: { annotations: { "tailkube.dev/round": "2" } } } },
    });
    await eventually(
      "the rollout's begin",
      async () => {
        const { updatedReplicas = 0 } = await rolled();
        return updatedReplicas >= 2 && updatedReplicas < replicas ? undefined : `${updatedReplicas} are new`;
      },
      60,
    );
    const waiting = rolloutStatus();
    const asking = await client(worker, "read");
    await lab.sleep(2);
    const fault = await make_(host);
    const at = (await rolled()).updatedReplicas ?? 0;
    const seconds = (end: number) => ((end - fault.at) / 1000).toFixed(1);
    // To a healthy API server itself: the watches of the worker alone are between this and the answer.
    const { pod, service } = answering("after");
    await make(through, `/api/v1/namespaces/${namespace}/pods`, pod);
    const { spec } = JSON.parse(await make(through, `/api/v1/namespaces/${namespace}/services`, service)) as {
      spec: { clusterIP: string };
    };
    await eventually(
      "an answer from a service made after the fault",
      async () => {
        const answer = lab.onHost(worker, `timeout 2 bash -c 'exec 3<>/dev/tcp/${spec.clusterIP}/80 && head -n 1 <&3'`);
        return answer.trim() === "after" ? undefined : "no answer";
      },
      bound + 60,
    );
    const served = Date.now();
    const { code, text, ended } = await waiting;
    const end = await rolled();
    await asking.stop();
    await fault.undo();
    const last = text.trim().split("\n").at(-1);
    const figures = `${host} ${what}, with ${at} of ${replicas} pods rolled out: a service made after it answered on ${worker} after ${seconds(served)} s; kubectl rollout status ended after ${seconds(ended)} s with ${code}: ${last}`;
    console.log(`      ${figures}`);
    expect(at, `the rollout was in progress; ${figures}`).to.be.within(1, replicas - 1);
    expect(code, `${figures}\n${text}`).to.equal(0);
    expect(last, figures).to.match(/successfully rolled out/);
    expect(end, figures).to.include({ updatedReplicas: replicas, availableReplicas: replicas, replicas });
    expect((served - fault.at) / 1000, figures).to.be.at.most(bound);
  }

  it("survive a stop of the primary's API server", () => survive("stopped its API server", stopApiServer));
  it("survive the loss of the primary's cable", () => survive("lost its cable", pullCable));
  it("survive the loss of the primary's power", () => survive("lost its power", killHost));
  it("survive a reboot of the primary", () => survive("was rebooted", reboot));
});
