/** Part "throughput": TCP from a pod to a pod on another host, beside the same between the hosts over tailscale0. */
import { kubectl, output, readyNodes, sleep } from "../tests/lab/lab";
import { image } from "../tests/faults/cluster";
import { type Figure, ratio } from "./figures";
import { measure } from "./machine";
import { capture, say } from "./shell";

const from = "w1";
const to = "cp2";
const port = 5201;
const rounds = 5;
const namespace = "tailkube-bench";
/** How long one measurement should take, in seconds. */
const wanted = 4;

/** A way from one host to the other: where the receiver is, and how a script is run at both ends. */
interface Path {
  name: string;
  address: string;
  run(end: typeof from | typeof to, script: string): Promise<string>;
}

/** Bounds on both ends, so that one is not left behind when the other fails. */
const bound = 60;

/** What is sent is made up and thrown away by one process at each end: what is measured is the way between. */
const receive = `timeout ${bound} socat -u -b 262144 TCP-LISTEN:${port},reuseaddr OPEN:/dev/null && echo "$EPOCHREALTIME"`;
const send = (bytes: number, address: string) =>
  `start=$EPOCHREALTIME
  timeout ${bound} socat -u -b 262144 OPEN:/dev/zero,readbytes=${bytes} TCP:${address}:${port},retry=200,interval=0.05 && echo "$start"`;

const onHost: Path["run"] = (host, script) =>
  capture(["lab/hosts/hosts", "exec", host, "bash", "-c", script], bound + 10);

const inPod: Path["run"] = (pod, script) =>
  capture(
    [
      ...(["lab/.state/bundle/operator/kubectl", "--kubeconfig", "lab/.state/kubeconfig"] as const),
      ...["-n", namespace, "exec", pod, "--", "/bin/bash", "-c", script],
    ],
    bound + 10,
  );

/** Mbit/s of sending so many bytes. Both ends read the same clock, for the lab's hosts share the machine's. */
async function rate(path: Path, bytes: number): Promise<number> {
  const [end, start] = await Promise.all([
    path.run(to, receive),
    // The receiver first, so that the sender's time has no waiting for it.
    sleep(1).then(() => path.run(from, send(bytes, path.address))),
  ]);
  const seconds = Number(end.trim().replace(",", ".")) - Number(start.trim().replace(",", "."));
  if (!(seconds > 0)) throw new Error(`${path.name}: no time was measured (${start.trim()} to ${end.trim()})`);
  return (bytes * 8) / seconds / 1e6;
}

/** A pod on that node which has nothing of its own: it runs the host's programs. */
function pod(node: string): object {
  const folders = ["usr", "bin", "sbin", "lib", "lib64"];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: node, namespace },
    spec: {
      nodeName: node,
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 0,
      automountServiceAccountToken: false,
      tolerations: [{ operator: "Exists" }],
      containers: [
        {
          name: "bench",
          image,
          imagePullPolicy: "IfNotPresent",
          command: ["/usr/bin/sleep", "infinity"],
          volumeMounts: folders.map((name) => ({ name, mountPath: `/${name}`, readOnly: true })),
        },
      ],
      volumes: folders.map((name) => ({ name, hostPath: { path: `/${name}` } })),
    },
  };
}

async function makePods(): Promise<void> {
  const objects = [{ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } }, pod(from), pod(to)];
  await apply(objects);
  const ready = kubectl("-n", namespace, "wait", "--for=condition=Ready", "--timeout=90s", "pods", "--all");
  if (!ready.includes(`pod/${to} condition met`)) throw new Error(`the pods for the measurement do not run: ${ready}`);
}

function apply(objects: readonly object[]): Promise<string> {
  const list = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
  return capture(
    ["lab/.state/bundle/operator/kubectl", "--kubeconfig", "lab/.state/kubeconfig", "apply", "-f", "-"],
    60,
    list,
  );
}

export async function throughputFigures(): Promise<Figure[]> {
  say(`throughput from ${from} to ${to}`);
  await makePods();
  const paths: Record<"pods" | "tailscale0" | "below", Path> = {
    pods: { name: "pods", address: podAddress(to), run: inPod },
    tailscale0: { name: "tailscale0", address: nodeAddress(to), run: onHost },
    below: { name: "the network below it", address: output("lab/hosts/hosts", ["ip", to]).trim(), run: onHost },
  };
  const rates = { pods: [] as number[], tailscale0: [] as number[], below: [] as number[] };
  try {
    const bytes = { pods: 0, tailscale0: 0, below: 0 };
    for (const key of ["pods", "tailscale0", "below"] as const) {
      // Also opens the way: the first packets over a tailnet may take another one.
      await rate(paths[key], 20e6);
      bytes[key] = Math.round(((await rate(paths[key], 50e6)) * 1e6 * wanted) / 8);
    }
    const { noisy } = await measure(async () => {
      for (let round = 1; round <= rounds; round++) {
        for (const key of ["tailscale0", "pods", "below"] as const) {
          rates[key].push(await rate(paths[key], bytes[key]));
        }
        const now = (["pods", "tailscale0", "below"] as const).map((key) => `${paths[key].name} ${shown(rates[key])}`);
        say(`throughput: round ${round} of ${rounds}: ${now.join(", ")} Mbit/s`);
      }
    });
    const part = "throughput";
    const { pods, tailscale0, below } = rates;
    return [
      {
        part,
        name: "pod to pod to plain tailscale0",
        value: ratio(pods, tailscale0),
        unit: "ratio",
        samples: { pods, tailscale0 },
        sampleUnit: "Mbit/s",
        noisy,
      },
      {
        part,
        name: "tailscale0 to the network below it",
        value: ratio(tailscale0, below),
        unit: "ratio",
        samples: { tailscale0, "below it": below },
        sampleUnit: "Mbit/s",
        noisy,
      },
    ];
  } finally {
    kubectl("delete", "namespace", namespace, "--wait=false");
  }
}

const shown = (values: readonly number[]) => values.at(-1)!.toFixed(0);

function podAddress(node: string): string {
  const address = kubectl("-n", namespace, "get", "pod", node, "-o", "jsonpath={.status.podIP}");
  if (address === "") throw new Error(`the pod on ${node} has no address`);
  return address;
}

function nodeAddress(name: string): string {
  const node = readyNodes().find((ready) => ready.name === name);
  if (node === undefined) throw new Error(`${name} is not Ready`);
  return node.address;
}
