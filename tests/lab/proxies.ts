/** What depends on Cilium's proxies and marks over the tailnet, on a cluster that is there. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { pauseImage } from "../../components/kubernetes/containerd";
import * as lab from "./lab";

const namespace = "tailkube-proxies";
const external = "outside.tailkube.test";
const nameOf = (node: string) => `${node}.pods.tailkube.test`;
/** The pod on a node that no policy is for. */
const freeOf = (node: string) => `${node}-free`;
/** This machine as the hosts reach it: outside of the cluster, and something answers there. */
const outside = { address: "172.31.77.1", port: 3340 };

/**
 * Marks that Cilium puts on packets (MARK_MAGIC_* in bpf/lib/common.h, and pkg/datapath/linux/linux_defaults/mark.go). 0x200 is missing: it leads to
 * the proxy on the same host; and 0x4000 and 0x8000, which are kube-proxy's.
 */
export const ciliumMarks = [0x300, 0x400, 0x500, 0x800, 0x900, 0xa00, 0xb00, 0xc00, 0xd00, 0x1d00, 0xe00, 0xf00];

/** Parts of a security identity, in the upper 16 bits of a mark, that Tailscale's rules look at: 0x04 and 0x08 in bits 16 to 23. */
export const identities = [0, 0x40000, 0x80000, 0x8080000];

const marks = ciliumMarks.flatMap((mark) => identities.map((identity) => mark | identity));

function manifest(version: string): string {
  const paths = ["/usr", "/bin", "/sbin", "/lib", "/lib64"];
  const pod = (node: string, name = node, app = "asks") => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: { app } },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 0,
      tolerations: [{ operator: "Exists" }],
      containers: [
        {
          name: "main",
          image: pauseImage(version),
          imagePullPolicy: "IfNotPresent",
          command: ["/usr/bin/socat", "TCP-LISTEN:8080,fork,reuseaddr", `SYSTEM:echo ${node}`],
          volumeMounts: paths.map((path) => ({ name: path.slice(1), mountPath: path, readOnly: true })),
        },
      ],
      volumes: paths.map((path) => ({ name: path.slice(1), hostPath: { path } })),
    },
  });
  const dns = {
    toEndpoints: [{ matchLabels: { "k8s:io.kubernetes.pod.namespace": "kube-system", "k8s-app": "kube-dns" } }],
    toPorts: [{ ports: [{ port: "53", protocol: "ANY" }], rules: { dns: [{ matchPattern: "*" }] } }],
  };
  const policy = {
    apiVersion: "cilium.io/v2",
    kind: "CiliumNetworkPolicy",
    metadata: { name: "dns-and-one-name", namespace },
    spec: {
      endpointSelector: { matchLabels: { app: "asks" } },
      egress: [
        dns,
        { toFQDNs: [{ matchName: external }] },
        // toFQDNs is for what is no pod.
        { toEndpoints: [{ matchLabels: { app: "asks" } }], toPorts: [{ ports: [{ port: "8080", protocol: "TCP" }] }] },
      ],
    },
  };
  return JSON.stringify({
    apiVersion: "v1",
    kind: "List",
    items: [
      { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
      ...lab.hosts.map((node) => pod(node)),
      ...lab.hosts.map((node) => pod(node, freeOf(node), "free")),
      policy,
    ],
  });
}

const podAddresses = () =>
  new Map(
    lab.hosts.map((node) => [node, lab.kubectl("-n", namespace, "get", "pod", node, "-o", "jsonpath={.status.podIP}")]),
  );

/** CoreDNS answers for the name outside and for the pods' names, beside what it answered before. */
function teachNames(): void {
  const corefile = lab.kubectl("-n", "kube-system", "get", "configmap", "coredns", "-o", "jsonpath={.data.Corefile}");
  expect(corefile).to.contain("kubernetes ");
  if (corefile.includes(external)) return;
  const names = [[external, outside.address], ...[...podAddresses()].map(([node, address]) => [nameOf(node), address])];
  const lines = names.map(([name, address]) => `$1    ${address} ${name}\n`).join("");
  const taught = corefile.replace(/\n(\s*)kubernetes /, `\n$1hosts {\n${lines}$1    fallthrough\n$1}\n$1kubernetes `);
  const patch = JSON.stringify({ data: { Corefile: taught } });
  lab.kubectl("-n", "kube-system", "patch", "configmap", "coredns", "--type", "merge", "--patch", patch);
  lab.kubectl("-n", "kube-system", "rollout", "restart", "deployment/coredns");
}

/** What a command in a pod prints. */
async function inPod(pod: string, script: string): Promise<string> {
  const kubectl = ["--kubeconfig", join(lab.state, "kubeconfig"), "-n", namespace];
  const { stdout } = await promisify(execFile)(
    join(lab.state, "kubectl"),
    [...kubectl, "exec", pod, "--", "/bin/bash", "-c", script],
    { timeout: 120_000 },
  );
  return stdout.trim();
}

/** The API's own service: the policy does not allow it. */
const forbidden = "10.96.0.1/443";

/**
 * Of each pod: how many of six lookups were answered, whether the name outside, and only it, may be reached, and the nodes whose pods
 * answer by their names. At the end, whether the node's pod without a policy reaches what the policy forbids.
 */
function policyHolds(): Promise<string[]> {
  const ask = (name: string) => `timeout 5 getent ahostsv4 ${name} >/dev/null && n=$((n+1));`;
  const lookups = [1, 2, 3].map(() => ask("kubernetes.default.svc.cluster.local.") + ask(`${external}.`)).join(" ");
  const reaches = (to: string) => `timeout 5 bash -c 'exec 3<>/dev/tcp/${to}' 2>/dev/null && echo -n yes || echo -n no`;
  const answers = lab.hosts
    .map((node) => `timeout 5 bash -c 'exec 3<>/dev/tcp/${nameOf(node)}/8080 && head -n 1 <&3' | tr '\\n' ' '`)
    .join("; ");
  const script = `n=0; ${lookups} echo -n "$n "; ${reaches(`${external}/${outside.port}`)}; echo -n ' '; ${reaches(forbidden)}; echo -n ' '; ${answers}`;
  return Promise.all(
    lab.hosts.map(async (node) => {
      const [bound, free] = await Promise.all([inPod(node, script), inPod(freeOf(node), reaches(forbidden))]);
      return `${bound} free ${free}`;
    }),
  );
}

const wanted = lab.hosts.map(() => `6 yes no ${lab.hosts.join(" ")} free yes`);
/** How often in a row a policy has to hold once it has held, each time at the first try. */
const inARow = 5;

/** Pairs of nodes between which a mark loses the way: the route of a packet to the other's pod, and an echo with that mark. */
function lostMarks(): string[] {
  const ips = podAddresses();
  return lab.hosts
    .flatMap((from) => {
      const script = lab.hosts
        .filter((to) => to !== from)
        .flatMap((to) =>
          marks.map(
            (mark) =>
              `[[ $(ip route get ${ips.get(to)} mark ${mark}) == *tailscale0* ]] || echo 'route ${from} ${to} 0x${mark.toString(16)}';` +
              `ping -q -c 1 -W 3 -m ${mark} ${ips.get(to)} >/dev/null || echo 'echo ${from} ${to} 0x${mark.toString(16)}'`,
          ),
        )
        .join("\n");
      return lab.onHost(from, `${script}\necho end`).trim().split("\n");
    })
    .filter((line) => line !== "end");
}

/** Registers the tests; the cluster is the lab's own, of this version of Kubernetes. */
export function proxyTests(version: string): void {
  const everywhere = async (when: string) => {
    const what = `a DNS policy and a name's policy ${when}`;
    for (const start = Date.now(); ; await lab.sleep(1)) {
      const found = await policyHolds().catch((error: Error) => [error.message]);
      if (JSON.stringify(found) === JSON.stringify(wanted)) break;
      if (Date.now() - start > 120_000) throw new Error(`${what}: not within 120 s: ${found.join(", ")}`);
    }
    for (let i = 1; i <= inARow; i++) expect(await policyHolds(), `${what}, asked again, ${i}`).to.deep.equal(wanted);
    expect(lostMarks(), `marks that lose their way ${when}`).to.deep.equal([]);
  };

  it("policies by DNS name hold, and no mark of Cilium loses its way, before and after tailscaled restarts", async () => {
    lab.apply(manifest(version));
    const running = () =>
      lab
        .kubectl("-n", namespace, "get", "pods", "--field-selector", "status.phase=Running", "-o", "name")
        .trim()
        .split("\n").length ===
      2 * lab.hosts.length;
    await lab.until("the pods", running, 180);
    teachNames();
    await everywhere("at first");
    for (const host of lab.hosts) lab.okOnHost(host, "systemctl restart tailscaled");
    await lab.sleep(20);
    await everywhere("after every tailscaled was restarted");
    for (const host of lab.hosts) {
      expect(lab.onHost(host, "sysctl -n net.ipv4.conf.all.src_valid_mark").trim(), host).to.equal("0");
    }
    lab.kubectl("delete", "namespace", namespace, "--wait=false");
  });
}
