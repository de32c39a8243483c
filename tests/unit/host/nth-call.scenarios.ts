/** The stages that can remove, drain, forget, found, restore or upgrade, each with a cluster and a host that it works on. */
import { chmodSync } from "node:fs";
import { scriptText } from "../../../components/hosts/script-text";
import type { Stage } from "../../../components/hosts/stages";
import { FakeCluster } from "./fake-cluster";

export interface Scenario {
  title: string;
  stage: Stage;
  verb: "apply" | "remove";
  node: { name: string; ip: string; role: "control-plane" | "worker" };
  variables?: Readonly<Record<string, string>>;
  /** Makes the cluster and the host's files as they are before the run. */
  before: (cluster: FakeCluster) => void;
  /**
   * Changes that a faulty run may issue although the good one does not, each for the reason that is given: what puts
   * back what the same run has changed.
   */
  putsBack?: readonly [RegExp, string][];
  /** A fault that leads to another way out by design: the call, in any mode, the changes of that way, and the reason. */
  otherWay?: { fault: RegExp; changes: RegExp; why: string };
  /** Differences of the end that a run may leave although it ends well, each for the reason that is given. */
  mayDiffer?: readonly [RegExp, string][];
  /** As `mayDiffer`, of a run after one that failed. */
  nextMayDiffer?: readonly [RegExp, string][];
}

const cp1 = { name: "cp1", ip: "100.64.0.1", role: "control-plane" } as const;
const cp2 = { name: "cp2", ip: "100.64.0.2", role: "control-plane" } as const;
const w1 = { name: "w1", ip: "100.64.0.11", role: "worker" } as const;

export const mark = (name: string) => `stack/${name}/machine-1`;

/** What all stages are given. */
export const variables: Readonly<Record<string, string>> = {
  TK_NODE_NETWORK: "tailnet",
  TK_ENDPOINT: "10.200.0.1",
  TK_ENDPOINT_PORT: "6443",
  TK_API_PORT: "6443",
  TK_POD_ROUTING: "native",
  TK_POD_CIDR: "10.50.0.0/16",
  TK_KUBEADM_SECONDS: "60",
  TK_KUBERNETES_VERSION: "1.36.3",
  TK_NODES: "cp1 cp2 cp3 w1",
  TK_CONTROL_PLANES: "cp1 cp2 cp3",
  TK_LABELS: "",
  TK_TAINTS: "",
  TK_DRAIN_SECONDS: "60",
  TK_READY_SECONDS: "60",
  TK_JOIN_SECONDS: "100",
  // Its calls would come between the others at any time.
  TK_BEAT_SECONDS: "0",
  TK_ENDPOINT_ADVICE: "Is the route approved?",
  TK_BUNDLE: "",
  TK_CONTAINERD_VERSION: "",
  TK_TAILSCALE_VERSION: "",
  TK_CONTAINERD_V1: "version = 2",
  TK_CONTAINERD_V2: "version = 3",
  TK_IMAGE_PULL_POLICY: "IfNotPresent",
  TK_CERTIFICATE_RENEWAL: "",
  TK_SECURITY: "secured",
  TK_CLUSTER_DOCUMENT: "kind: ClusterConfiguration",
  TK_KUBEADM_DOCUMENT: "kind: JoinConfiguration",
  TK_INIT_DOCUMENT: "kind: InitConfiguration",
  TK_JOIN_DOCUMENT: "kind: JoinConfiguration",
  TK_DISCOVERY: "kind: Config\ntoken: abcdef.0123456789abcdef",
  TK_ENCRYPTION_KEY: "key-1",
  TK_ENCRYPTS: "1",
  TK_ENCRYPTION: "encrypts: a-key",
  TK_ENCRYPTION_READ: "reads: a-key",
  TK_AUTHENTICATION: "",
  TK_ADMISSION: "",
  TK_AUDIT_POLICY: "",
  TK_FOUNDER: mark("cp1"),
  TK_RESTORE: "",
  TK_TOKENS: "w1=aaaaa1.0123456789abcdef w2=aaaaa2.0123456789abcdef",
  TK_HOST_ENDPOINT: scriptText("installed/endpoint.sh"),
  TK_HOST_ETCD: scriptText("installed/etcd.sh"),
  TK_HOST_ROUTES: scriptText("installed/routes.sh"),
  TK_HOST_GUARD: scriptText("installed/guard.sh"),
  TK_HOST_APPROVE: "#!/bin/bash\napprove",
  ...Object.fromEntries(
    [
      "CA_CRT",
      "CA_KEY",
      "ETCD_CA_CRT",
      "ETCD_CA_KEY",
      "FRONT_PROXY_CA_CRT",
      "FRONT_PROXY_CA_KEY",
      "SA_PUB",
      "SA_KEY",
    ].map((name) => [`TK_${name}`, name]),
  ),
};

/** Three control planes and a worker, all in and well. */
function cluster(c: FakeCluster): void {
  c.seed();
  c.otherApis = true;
  for (const [name, ip] of [
    ["cp1", "100.64.0.1"],
    ["cp2", "100.64.0.2"],
    ["cp3", "100.64.0.3"],
  ] as const) {
    c.addNode(name, ip, "control-plane", mark(name));
  }
  c.addNode("w1", "100.64.0.11", "worker", mark("w1"), {
    metadata: { annotations: { "tailkube.dev/token": "aaaaa1" } },
  });
  c.addPod("kube-system", "coredns-1", "w1", { labels: { "k8s-app": "kube-dns" } });
  c.addPod("web", "shop", "w1");
  const ips = c.objects.flatMap(({ kind, metadata, status }) =>
    kind === "Node"
      ? [[metadata.name, (status as { addresses: { address: string }[] }).addresses[0]!.address] as const]
      : [],
  );
  c.objects.push({
    kind: "ConfigMap",
    metadata: { name: "tailkube-nodes", namespace: "kube-system" },
    data: Object.fromEntries(ips),
  });
  c.objects.push({ kind: "Secret", type: "Opaque", metadata: { name: "password", namespace: "web" } });
}

/** A unit with its file, without which systemctl has nothing to disable; below /run it is none of the files compared. */
function runs(c: FakeCluster, unit: string): void {
  c.units[unit] = { enabled: true, active: true };
  c.put(`/run/systemd/system/${unit}`, "[Unit]\n");
}

/** What any host has that is in the tailnet and has its runtime. */
function host(c: FakeCluster): void {
  c.addresses.add(`${c.node.ip}/32 tailscale0`);
  for (const unit of ["tailscaled", "containerd", "tailkube-address", "tailkube-network"]) runs(c, `${unit}.service`);
  c.put("/usr/local/lib/tailkube/routes", `${scriptText("installed/routes.sh")}\n`, 0o755);
  c.put("/var/lib/tailkube/owned.tailnet", "/usr/local/lib/tailkube/routes\n");
  c.put("/etc/containerd/config.toml", "version = 2\n", 0o644);
  c.put("/var/lib/tailkube/peers", "cp1 100.64.0.1\ncp2 100.64.0.2\ncp3 100.64.0.3\n");
  // Of other services on the machine.
  c.put("/var/lib/other/data", "theirs\n");
}

/** This host is a node of the cluster already. */
function joined(c: FakeCluster): void {
  host(c);
  c.put("/var/lib/tailkube/joined", `${mark(c.node.name)}\n`);
  c.put("/var/lib/tailkube/secured", "secured\n");
  if (c.node.role === "control-plane") {
    c.ownApi = true;
    c.controlPlaneFiles();
    c.put("/etc/kubernetes/tailkube/encryption.yaml", "encrypts: a-key\n");
    c.put("/var/lib/tailkube/owned.control-plane", "/var/lib/tailkube/joined\n");
    c.put("/var/lib/tailkube/certificates-renewed", "\n", 0o644);
    c.put("/var/lib/tailkube/owned.upgrade", "/var/lib/tailkube/certificates-renewed\n", 0o644);
    c.put("/usr/local/lib/tailkube/etcd", `${scriptText("installed/etcd.sh")}\n`, 0o755);
    c.put("/usr/local/lib/tailkube/approve", "#!/bin/bash\napprove\n", 0o755);
    runs(c, "tailkube-endpoint.service");
    c.addresses.add("10.200.0.1/32 lo");
  } else {
    c.nodeFiles();
    c.put("/var/lib/tailkube/owned.join", "/var/lib/tailkube/joined\n");
  }
  c.put("/etc/kubernetes/kubelet.conf", "kind: Config\nserver: https://10.200.0.1:6443\n");
}

const note = (c: FakeCluster, name: string, value: string) => {
  (c.find("Namespace", "kube-system")!.metadata.annotations as Record<string, string>)[`tailkube.dev/${name}`] = value;
};

const returnsTheEndpoint: [RegExp, string] = [
  /^systemctl start (--no-block )?tailkube-endpoint\.service/,
  "the endpoint comes back to a control plane however its upgrade ends",
];
const uncordons: [RegExp, string][] = [
  [/^kubectl .*\buncordon /, "a drain that failed leaves the node as it was"],
  [/^curl .*-X PATCH .*"unschedulable":null/, "a drain that failed leaves the node as it was"],
  [/^kubectl .* patch node .*"unschedulable":null/, "a drain that failed leaves the node as it was"],
];

/** A resumed upgrade looks at containerd in any case, and its stage makes what others would make. */
const resumed: [RegExp, string] = [
  /^\/(etc\/cni|etc\/containerd|etc\/systemd\/system\/cri-|opt\/containerd|usr\/libexec|lib\/modules|var\/lib\/tailkube\/(owned|backup|cni|containerd|snapshots))/,
  "a resumed upgrade looks at containerd, and makes the folders that it would make",
];

/** A worker that cannot join deletes its own token. */
const givesUp: Scenario["putsBack"] = [
  [/^kubectl .* delete --raw \S+\/bootstrap-token-abcdef$/, "the admission is not to wait for who has failed"],
];

export const scenarios: readonly Scenario[] = [
  {
    title: "a worker and a control plane leave, labels change, a pod is older than the network",
    stage: "settle",
    verb: "apply",
    node: cp1,
    variables: { TK_NODES: "cp1 cp2 w1", TK_CONTROL_PLANES: "cp1 cp2", TK_LABELS: "w1 rack=b2" },
    before: (c) => {
      cluster(c);
      c.addNode("w2", "100.64.0.12", "worker", mark("w2"));
      (c.find("ConfigMap", "tailkube-nodes")!.data as Record<string, string>).w2 = "100.64.0.12";
      c.addNode("guest", "100.64.0.50", "worker", undefined);
      c.addPod("web", "cart", "w2");
      c.addPod("web", "batch", "cp3");
      c.addPod("web", "early", "w1", { managed: false, owner: "ReplicaSet" });
      joined(c);
      note(c, "encryption-key", "key-1");
    },
    putsBack: uncordons,
  },
  {
    title: "nothing is to be done",
    stage: "settle",
    verb: "apply",
    node: cp1,
    before: (c) => {
      cluster(c);
      joined(c);
      note(c, "encryption-key", "key-1");
      note(c, "secrets-stored", "key-1");
      c.objects.push({ kind: "PodDisruptionBudget", metadata: { name: "tailkube-coredns", namespace: "kube-system" } });
    },
    putsBack: uncordons,
  },
  {
    title: "a dead control plane leaves",
    stage: "departures",
    verb: "apply",
    node: cp1,
    variables: { TK_NODES: "cp1 cp2 w1", TK_CONTROL_PLANES: "cp1 cp2" },
    before: (c) => {
      cluster(c);
      c.addPod("web", "batch", "cp3");
      joined(c);
      c.kill("cp3");
    },
    putsBack: uncordons,
  },
  {
    title: "control planes that are alive stay",
    stage: "departures",
    verb: "apply",
    node: cp1,
    variables: { TK_NODES: "cp1 cp2 w1", TK_CONTROL_PLANES: "cp1 cp2" },
    before: (c) => {
      cluster(c);
      joined(c);
    },
    putsBack: uncordons,
  },
  {
    title: "one worker is in, one comes on a new machine under a former one's name",
    stage: "admit",
    verb: "apply",
    node: cp1,
    variables: {
      TK_JOINERS: `w1=${mark("w1")} w2=${mark("w2")}`,
      TK_JOINER_ADDRESSES: "w1=100.64.0.11 w2=100.64.0.12",
    },
    before: (c) => {
      cluster(c);
      c.addNode("w2", "100.64.0.99", "worker", "stack/w2/machine-0");
      c.addPod("web", "cart", "w2");
      c.kill("w2");
      c.joiners.w2 = mark("w2");
      joined(c);
    },
    putsBack: [
      [
        /^kubectl .* delete secret,configmap,role,rolebinding --selector tailkube\.dev\/admission/,
        "the token is revoked however the admission ends",
      ],
    ],
  },
  {
    title: "one worker was cleaned while its Node stayed, and one has a new token",
    stage: "admit",
    verb: "apply",
    node: cp1,
    variables: {
      TK_JOINERS: `w1=${mark("w1")} w2=${mark("w2")}`,
      TK_JOINER_ADDRESSES: "w1=100.64.0.11 w2=100.64.0.12",
      TK_TOKENS: "w1=aaaaa3.0123456789abcdef w2=aaaaa2.0123456789abcdef",
    },
    before: (c) => {
      cluster(c);
      c.addNode("w2", "100.64.0.12", "worker", mark("w2"), {
        metadata: { annotations: { "tailkube.dev/token": "aaaaa0" } },
      });
      c.addPod("web", "cart", "w2");
      c.joiners = { w1: mark("w1"), w2: mark("w2") };
      c.cleaned.add("w2");
      joined(c);
    },
    putsBack: [
      [
        /^kubectl .* delete secret,configmap,role,rolebinding --selector tailkube\.dev\/admission/,
        "the token is revoked however the admission ends",
      ],
    ],
  },
  {
    title: "founds the cluster",
    stage: "control-plane",
    verb: "apply",
    node: cp1,
    before: (c) => host(c),
  },
  {
    title: "joins, under the name of a former machine",
    stage: "control-plane",
    verb: "apply",
    node: cp2,
    before: (c) => {
      cluster(c);
      c.find("Node", "cp2")!.metadata.annotations = { "tailkube.dev/joined": "stack/cp2/machine-0" };
      c.kill("cp2");
      host(c);
      note(c, "encryption-key", "key-1");
    },
  },
  {
    title: "founds it again from a snapshot",
    stage: "control-plane",
    verb: "apply",
    node: cp1,
    variables: { TK_RESTORE: "/root/snapshot.db" },
    before: (c) => {
      host(c);
      c.put("/root/snapshot.db", "snapshot\n");
    },
  },
  {
    title: "the cluster's founder on a new machine joins, with the snapshot still in the config",
    stage: "control-plane",
    verb: "apply",
    node: cp1,
    variables: { TK_RESTORE: "/root/snapshot.db" },
    before: (c) => {
      cluster(c);
      c.find("Node", "cp1")!.metadata.annotations = { "tailkube.dev/joined": "stack/cp1/machine-0" };
      c.kill("cp1");
      host(c);
      c.put("/root/snapshot.db", "snapshot\n");
      note(c, "encryption-key", "key-1");
    },
  },
  {
    title: "joins again after a kill within kubeadm join",
    stage: "control-plane",
    verb: "apply",
    node: cp2,
    before: (c) => {
      cluster(c);
      c.find("Node", "cp2")!.metadata.annotations = {};
      host(c);
      c.controlPlaneFiles();
      c.ownApi = true;
      // What join_cluster has written down before it runs kubeadm.
      const records = ["joined", "etcd-ours", "attempt"].map((name) => `/var/lib/tailkube/${name}`);
      c.put("/var/lib/tailkube/owned.control-plane", `${records.join("\n")}\n`);
      c.put("/var/lib/tailkube/etcd-ours", `${mark("cp2")}\n`, 0o644);
      c.put("/var/lib/tailkube/attempt", "join\n");
      c.put("/etc/kubernetes/tailkube/encryption.yaml", "encrypts: a-key\n");
      chmodSync(`${c.root}/etc/kubernetes/tailkube`, 0o700);
      note(c, "encryption-key", "key-1");
    },
    otherWay: {
      fault: /^(curl .* https:\/\/100\.64\.0\.2:6443\/readyz|kubectl .* get node cp2)$/,
      changes:
        /etcdctl .* member remove |^systemctl (stop|reset-failed|disable .*) (kubelet|tailkube-endpoint\.service)$|^kubeadm (reset|join|init phase upload-config) |^pkill -KILL -x cilium-agent$|^ipset destroy |^ip -[46] route flush table |^kubectl .* (patch|create|apply|annotate|delete) /,
      why: "a voter of etcd whose host is not healthy leaves etcd, is reset and joins again",
    },
  },
  {
    title: "is in",
    stage: "control-plane",
    verb: "apply",
    node: cp2,
    before: (c) => {
      cluster(c);
      joined(c);
      note(c, "encryption-key", "key-1");
    },
  },
  {
    title: "a worker joins",
    stage: "join",
    verb: "apply",
    node: { name: "w3", ip: "100.64.0.13", role: "worker" },
    before: (c) => {
      cluster(c);
      host(c);
    },
    putsBack: givesUp,
  },
  {
    title: "a worker joins after an attempt that failed",
    stage: "join",
    verb: "apply",
    node: { name: "w3", ip: "100.64.0.13", role: "worker" },
    before: (c) => {
      cluster(c);
      host(c);
      c.nodeFiles();
      c.put("/var/lib/tailkube/owned.join", "/var/lib/tailkube/joined\n");
    },
    putsBack: givesUp,
  },
  {
    title: "a worker to a newer Kubernetes",
    stage: "upgrade",
    verb: "apply",
    node: w1,
    variables: { TK_KUBERNETES_VERSION: "1.36.4", TK_KUBEADM_DOCUMENT: "kind: UpgradeConfiguration" },
    before: (c) => {
      c.clusterVersion = "1.36.4";
      cluster(c);
      joined(c);
    },
    putsBack: uncordons,
    nextMayDiffer: [resumed],
  },
  {
    title: "a control plane, the first, to a newer Kubernetes",
    stage: "upgrade",
    verb: "apply",
    node: cp1,
    variables: { TK_KUBERNETES_VERSION: "1.36.4", TK_KUBEADM_DOCUMENT: "kind: UpgradeConfiguration" },
    before: (c) => {
      cluster(c);
      c.addPod("web", "batch", "cp1");
      joined(c);
      note(c, "encryption-key", "key-1");
    },
    putsBack: [...uncordons, returnsTheEndpoint],
    nextMayDiffer: [resumed],
  },
  {
    title: "a control plane's upgrade that was killed goes on",
    stage: "upgrade",
    verb: "apply",
    node: cp1,
    variables: { TK_KUBERNETES_VERSION: "1.36.4", TK_KUBEADM_DOCUMENT: "kind: UpgradeConfiguration" },
    before: (c) => {
      cluster(c);
      c.addPod("web", "batch", "cp1");
      joined(c);
      note(c, "encryption-key", "key-1");
      c.binaries.kubeadm = "1.36.4";
      c.packages.kubeadm = "1.36.4";
      c.put("/var/lib/tailkube/upgrading/apply", "");
      (c.find("Node", "cp1")!.metadata.annotations as Record<string, string>)["tailkube.dev/cordoned"] =
        "2026-01-01T00:00:00Z";
      c.find("Node", "cp1")!.spec = { podCIDR: "10.50.1.0/24", unschedulable: true };
    },
    putsBack: [...uncordons, returnsTheEndpoint],
    nextMayDiffer: [resumed],
  },
  {
    title: "a control plane gets another hardening",
    stage: "upgrade",
    verb: "apply",
    node: cp1,
    variables: { TK_SECURITY: "hardened", TK_KUBEADM_DOCUMENT: "kind: UpgradeConfiguration" },
    before: (c) => {
      cluster(c);
      joined(c);
      note(c, "encryption-key", "key-1");
    },
    putsBack: [...uncordons, returnsTheEndpoint],
    nextMayDiffer: [resumed],
  },
  {
    title: "a control plane's certificates are renewed",
    stage: "upgrade",
    verb: "apply",
    node: cp1,
    variables: { TK_CERTIFICATE_RENEWAL: "2", TK_KUBEADM_DOCUMENT: "kind: UpgradeConfiguration" },
    before: (c) => {
      cluster(c);
      joined(c);
      note(c, "encryption-key", "key-1");
    },
    putsBack: [...uncordons, returnsTheEndpoint],
    nextMayDiffer: [resumed],
  },
  {
    title: "Secrets are encrypted from here on",
    stage: "encryption",
    verb: "apply",
    node: cp1,
    before: (c) => {
      cluster(c);
      joined(c);
      c.put("/etc/kubernetes/tailkube/encryption.yaml", "reads: a-key\n");
    },
  },
  {
    title: "a control plane is taken off its host",
    stage: "undo",
    verb: "remove",
    node: cp1,
    before: (c) => {
      cluster(c);
      joined(c);
      c.put("/var/lib/tailkube/owned.runtime", "/etc/containerd/config.toml\n");
      c.put("/var/lib/tailkube/logged-in", "");
      c.put("/var/lib/tailkube/owned.tailnet", "/usr/local/lib/tailkube/routes\n/var/lib/tailkube/logged-in\n");
      c.links = ["lo", "eth0", "cilium_host", "lxc0a1b2c3d4e5f"];
      c.rules[0] = "100 from all lookup local";
    },
    mayDiffer: [[/tailkube\/guard\/process$/, "it is the number of a process"]],
  },
];
