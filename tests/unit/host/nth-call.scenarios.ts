/**
 * The stages that can remove, drain, forget, found, restore or upgrade, each with a cluster and a host that it works on; and the
 * scripts of the operator's machine that delete, or let the engine delete.
 */
import { chmodSync, rmSync } from "node:fs";
import { containerdConfig } from "../../../components/kubernetes/containerd";
import { checksCommand } from "../../../components/hosts/checks-command";
import {
  balancerWatchScript,
  endpointWatchScript,
  networkScript,
  scriptText,
} from "../../../components/hosts/script-text";
import type { Stage } from "../../../components/hosts/stages";
import { noSettings } from "./bash";
import { FakeCluster, merge } from "./fake-cluster";
import { stub, untouchedPrefs } from "./fake-host";

export interface Scenario {
  title: string;
  stage: Stage | "tailnet-device" | "online";
  /** A script of the operator's machine instead of a stage: its text, what runs it, its environment and stdin, and what follows. */
  operator?: {
    script: string;
    shell: readonly string[];
    environment: Readonly<Record<string, string>>;
    stdin: string;
    then?: string;
  };
  /** It ends well in any case, and says with one line on stderr what it could not do. */
  warns?: boolean;
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
  /** Questions that the stage does without, each for the reason that is given. */
  advisory?: readonly [RegExp, string][];
  /** Questions to others, each answered in place of one that got no answer, for the reason that is given. */
  instead?: readonly { of: RegExp; asks: RegExp; why: string }[];
  /** A fault that leads to another way out by design: the call, in any mode, the changes of that way, and the reason. */
  otherWay?: { fault: RegExp; changes: RegExp; why: string };
  /** Differences of the end that a run may leave although it ends well, each for the reason that is given. */
  mayDiffer?: readonly [RegExp, string][];
  /** As `mayDiffer`, of a run after one that failed. */
  nextMayDiffer?: readonly [RegExp, string][];
  /**
   * The stage changes the host's network or packages: however it ends, an undo after it leaves the host as it was before, but
   * for these, each for the reason that is given.
   */
  undoLeaves?: readonly [RegExp, string][];
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
  ...noSettings,
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
  TK_ROUND_TRIP_LIMIT: "500",
  TK_TOKENS: "w1=aaaaa1.0123456789abcdef w2=aaaaa2.0123456789abcdef",
  TK_HOST_ENDPOINT: endpointWatchScript(),
  TK_HOST_ETCD: scriptText("installed/etcd.sh"),
  TK_HOST_CHECKS: checksCommand(),
  TK_HOST_ROUTES: scriptText("installed/routes.sh"),
  TK_HOST_GUARD: scriptText("installed/guard.sh"),
  TK_HOST_NETWORK: networkScript(),
  TK_HOST_WAIT_ADDRESS: scriptText("installed/wait-address.sh"),
  TK_HOST_CILIUM: scriptText("installed/cilium.sh"),
  TK_HOST_OFFLOAD: scriptText("installed/offload.sh"),
  TK_AUTH_KEY: "tskey-auth-1",
  TK_LOGIN_SERVER: "https://login.example.com",
  TK_TAGS: "tag:k8s",
  TK_CHECKSUM_OFFLOAD: "on",
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

/** The undo of a node on which only this stage has run, or has failed. */
export const undoOf = (scenario: Scenario): Scenario => ({
  ...scenario,
  stage: "cleanup",
  verb: "remove",
});

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
/** Before its own API server stops. */
const anotherAnswers: [RegExp, string][] = [
  [/^curl .* https:\/\/100\.64\.0\.[23]:6443\/readyz$/, "one of the other control planes has to answer"],
];
/** A silent endpoint, in place of which the other control planes are asked at their own addresses. */
const othersAreAsked = (why: string): Scenario["instead"] => [
  {
    of: /^curl -sv .* https:\/\/10\.200\.0\.1:6443\/readyz$/,
    asks: /^curl -sv .* https:\/\/100\.64\.0\.[23]:6443\/readyz$/,
    why,
  },
];
/** Where the cluster is founded. */
const othersRefuse = othersAreAsked(
  "no host may have the endpoint yet: every other declared control plane has to refuse at its own address",
);
/** Where a cluster that is there is found. */
const oneIsThere = othersAreAsked("an API server of the cluster that answers at its own address is there to join");
/** In an upgrade that goes on. */
const othersSuffice: Scenario["instead"] = [
  {
    of: /^ctr -n k8s\.io (containers ls -q labels\."io\.kubernetes\.container\.name"==etcd,\S+|tasks ls)$/,
    asks: /^kubectl .* exec etcd-cp[23] .* endpoint health --cluster$/,
    why: "the upgrade that was killed may have stopped containerd, which only going on starts again: all other members are healthy, and are a majority without this one's",
  },
];
const uncordons: [RegExp, string][] = [
  [/^kubectl .*\buncordon /, "a drain that failed leaves the node as it was"],
  [/^curl .*-X PATCH .*"unschedulable":null/, "a drain that failed leaves the node as it was"],
  [/^kubectl .* patch node .*"unschedulable":null/, "a drain that failed leaves the node as it was"],
];

/** What a changed setting has restarted. */
const formerSettings: [RegExp, string][] = [
  [/^systemctl restart kubelet\.service$/, "the kubelet has its former configuration again"],
  [/^ctr -n k8s\.io tasks kill --signal SIGTERM kube-apiserver-/, "the API server has its former files again"],
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

/** A host on which nothing of ours has run, with a network and services of its own. */
function bare(c: FakeCluster, manager: "systemd-networkd" | "NetworkManager" = "systemd-networkd"): void {
  c.addresses = new Set(["127.0.0.1/8 lo", "192.0.2.11/24 eth0"]);
  c.links = ["lo", "eth0"];
  c.routes = ["default via 192.0.2.1 dev eth0", "192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.11"];
  c.rules.push("7000 from all lookup 7000");
  c.sysctls = {
    "net.ipv4.ip_forward": "0",
    "net/ipv4/conf/eth0/rp_filter": "2",
    "fs.inotify.max_user_instances": "128",
    "fs.inotify.max_user_watches": "8192",
  };
  for (const unit of [manager, "ssh"]) runs(c, `${unit}.service`);
  c.put("/etc/apt/sources.list.d/debian.sources", "Types: deb\nURIs: http://deb.debian.org\nSuites: bookworm\n", 0o644);
  c.put("/etc/sysctl.d/50-theirs.conf", "net.ipv4.conf.all.log_martians = 1\n", 0o644);
  c.put("/usr/share/keyrings/theirs.gpg", "key\n", 0o644);
  c.put("/etc/systemd/system/theirs.service", "[Unit]\n", 0o644);
  c.put("/var/lib/other/data", "theirs\n");
  c.host.tables["inet theirs"] =
    "\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t\ttcp dport 22 accept\n\t}\n";
  for (const name of ["curl", "gnupg", "iptables"]) c.host.packages[name] = "1.0.0";
  loggedOut(c);
}

function loggedOut(c: FakeCluster): void {
  Object.assign(c.host.tailscale, { state: "NeedsLogin", key: false, prefs: { ...untouchedPrefs } });
}

/** A login of the user's, to which this host is a subnet router. */
function theirLogin(c: FakeCluster): void {
  runs(c, "tailscaled.service");
  c.host.packages.tailscale = "1.90.0";
  Object.assign(c.host.tailscale, {
    state: "Running",
    key: true,
    routes: ["192.0.2.0/24"],
    prefs: { ...untouchedPrefs, Hostname: "theirs", WantRunning: true },
  });
  c.addresses.add(`${c.node.ip}/32 tailscale0`);
  c.put("/var/lib/tailscale/tailscaled.state", "{}\n");
}

/** The stages before runtime have run. */
function inTailnet(c: FakeCluster): void {
  runs(c, "tailscaled.service");
  c.addresses.add(`${c.node.ip}/32 tailscale0`);
  Object.assign(c.host.tailscale, {
    state: "Running",
    key: true,
    prefs: {
      ...untouchedPrefs,
      RouteAll: true,
      CorpDNS: false,
      Hostname: c.node.name,
      NoSNAT: true,
      WantRunning: true,
    },
  });
  c.put("/var/lib/tailkube/logged-in", "https://login.example.com\nn1\n");
  c.put("/var/lib/tailkube/owned.tailnet", "/var/lib/tailkube/logged-in\n");
}

/** Programs without a network, as docs/install/offline.md has them. */
function bundle(c: FakeCluster): void {
  for (const name of [
    "tailscale",
    "tailscaled",
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "kubelet",
    "kubeadm",
    "kubectl",
  ])
    c.put(`/srv/bundle/bin/${name}`, stub(name), 0o755);
  c.put(
    "/srv/bundle/images.list",
    "registry.k8s.io/pause images/pause.tar control-plane,worker\nregistry.k8s.io/etcd images/etcd.tar control-plane\n",
  );
}

/** A unit of ours that runs, by the name of what made it. */
function ours(c: FakeCluster, unit: string): void {
  c.units[unit] = { enabled: true, active: true };
  c.put(`/etc/systemd/system/${unit}`, "[Unit]\n", 0o644);
}

/** A worker that has joined, with what the kubelet, Cilium and the stages have left on it. */
function worker(c: FakeCluster, network: "tailnet" | "lan"): void {
  joined(c);
  for (const name of ["tailkube-address.service", "tailkube-network.service"]) delete c.units[name];
  if (network === "lan") {
    delete c.units["tailscaled.service"];
    c.addresses.delete(`${c.node.ip}/32 tailscale0`);
  }
  c.put("/etc/tailkube/node.env", "TAILKUBE_ADDRESS=x\nTAILKUBE_POD_CIDR=10.50.0.0/16\n", 0o644);
  c.links.push("cilium_host", "lxc0a1b2c3d4e5f", "lxcbr0");
  c.rules[0] = "100 from all lookup local";
  c.rules6[0] = "100 from all lookup local";
  c.rules.push("9 from all fwmark 0x200/0xf00 lookup 2004");
  c.routesOf = { "-4 2004": ["local default dev lo"], "-6 2005": ["default via fe80::1 dev cilium_host"] };
  c.programs.add("eth0");
  c.iptables = {
    iptables: "-A INPUT -p tcp --dport 22 -j ACCEPT\n:KUBE-FORWARD - [0:0]\n-A FORWARD -j CILIUM_FORWARD\n",
  };
  const chain = (name: string) => `\tchain ${name} {\n\t\ttype filter hook x priority filter; policy accept;\n\t}\n`;
  c.host.tables["ip mangle"] = chain("PREROUTING");
  c.host.tables["ip filter"] =
    `${chain("INPUT")}\tchain FORWARD {\n\t\ttype filter hook x priority filter; policy drop;\n\t}\n`;
  c.sysctls["net.ipv4.ip_forward"] = "1";
  const units = network === "tailnet" ? ["address", "network", "cilium", "routes"] : ["address", "offload"];
  const state = (name: string) => `/var/lib/tailkube/${name}`;
  const owned = [
    ...["ip-rules", "sysctls", "nft-tables", "nft-chains"].map(state),
    "/etc/systemd/networkd.conf.d",
    "/etc/systemd/networkd.conf.d/50-tailkube.conf",
    "/etc/tailkube",
    "/etc/tailkube/node.env",
    "/usr/local/lib/tailkube",
    "/usr/local/lib/tailkube/routes",
    ...units.map((name) => `/etc/systemd/system/tailkube-${name}.service`),
    ...(network === "tailnet" ? [state("logged-in")] : []),
  ];
  c.put("/etc/systemd/networkd.conf.d/50-tailkube.conf", "[Network]\nManageForeignRoutes=no\n", 0o644);
  c.put(state(`owned.${network}`), `${owned.join("\n")}\n`);
  if (network === "lan") rmSync(`${c.root}${state("owned.tailnet")}`);
  c.put(
    state("ip-rules"),
    "-4 0: from all lookup local\n-4 32766: from all lookup main\n-4 32767: from all lookup default\n-6 0: from all lookup local\n-6 32766: from all lookup main\n",
  );
  c.put(state("sysctls"), "net.ipv4.ip_forward=0\nfs.inotify.max_user_instances=128\n");
  c.put(state("nft-tables"), "table inet theirs\ntable ip filter\n");
  c.put(state("nft-chains"), "ip filter FORWARD\n");
  c.put(
    state("owned.runtime"),
    `/etc/containerd/config.toml\n${["containerd-config", "holds-before", "checked", "join-nonce"].map(state).join("\n")}\n`,
  );
  c.put(state("containerd-config"), "ours\n");
  c.put(state("holds-before"), "\n");
  c.put(state("checked"), "then\n");
  c.put(state("join-nonce"), "0123\n");
  c.put("/etc/cni/net.d/05-cilium.conflist", "{}\n", 0o644);
  c.put("/opt/cni/bin/cilium-cni", "binary\n", 0o755);
}

const packagesStay: [RegExp, string][] = [
  [/^cluster (packages|binaries)$/, "packages stay: others may need them by now"],
];
const tailscaleStays: [RegExp, string][] = [
  ...packagesStay,
  [/^cluster (units|running)$/, "tailscaled's package starts it"],
];
/** What the stage before runtime has written down of the kernel's settings. */
function rememberedSettings(c: FakeCluster): void {
  c.put(
    "/var/lib/tailkube/sysctls",
    "net.ipv4.ip_forward=0\nfs.inotify.max_user_instances=128\nfs.inotify.max_user_watches=8192\n",
  );
  c.put("/var/lib/tailkube/owned.tailnet", "/var/lib/tailkube/sysctls\n");
}

const nextGuarded: [RegExp, string][] = [
  [/tailkube\/guard\/(endpoint|pods)$/, "the next one knows them when it begins"],
];
/** What the guard of a clean-up does without (save_tailscale in host/installed/guard.sh). */
const guardedCleanup: [RegExp, string][] = [
  [
    /^(systemctl show --property=ActiveState --value -- tailscaled\.service|tailscale debug prefs)$/,
    "only a stage changes what Tailscale does",
  ],
];
const guarded: [RegExp, string][] = [[/tailkube\/guard\/process$/, "it is the number of a process"]];

const containerd1 = containerdConfig(1, { pauseImage: "registry.k8s.io/pause:3.10.2", restrictOomScoreAdj: false });
const runtimeVariables = { TK_CONTAINERD_V1: containerd1.replace(/\n$/, ""), TK_REGISTRIES: "" };
const joins3 = { name: "w3", ip: "100.64.0.13", role: "worker" } as const;

/** Of the stage tailnet, on a node that takes traffic for LoadBalancer services. */
const loadBalancerVariables = {
  TK_LOAD_BALANCER: "10.201.0.0/24",
  TK_LOAD_BALANCER_ALONE: "no",
  TK_HOST_LOAD_BALANCER: balancerWatchScript(),
  TK_KUBELET_HEALTH: "10248",
  TK_CILIUM_HEALTH: "9879",
};

/** A cluster with which finalize has nothing to do, and with Cilium's kinds for load balancers. */
function settled(c: FakeCluster): void {
  cluster(c);
  joined(c);
  note(c, "encryption-key", "key-1");
  note(c, "secrets-stored", "key-1");
  c.objects.push({ kind: "PodDisruptionBudget", metadata: { name: "tailkube-coredns", namespace: "kube-system" } });
  for (const name of ["ciliumloadbalancerippools.cilium.io", "ciliuml2announcementpolicies.cilium.io"])
    c.objects.push({ kind: "CustomResourceDefinition", metadata: { name } });
}

/** As components/network/tailnet/device.ts has it. */
function deletesDevice(oauth: Readonly<Record<string, string>>): Pick<Scenario, "operator" | "warns" | "before"> {
  return {
    warns: true,
    operator: {
      script: scriptText("operator/tailnet-device.sh"),
      shell: ["/bin/sh", "-c"],
      environment: {
        TK_API: "https://api.example.com",
        TK_DEVICE: "nLab7CNTRL",
        TK_LOGIN: "ours",
        TK_NODE: "cp1",
        ...oauth,
      },
      stdin: "tskey-1",
    },
    before: (c) => {
      c.devices = ["nLab7CNTRL", "nLab8CNTRL"];
    },
  };
}

/** As components/cluster/online.ts has it, and what the engine does if the script ends well. */
const asksHosts = {
  script: ["operator/answers.sh", "operator/online.sh"].map(scriptText).join("\n"),
  shell: ["bash", "--norc", "-c"],
  environment: {
    TAILKUBE_HOSTS:
      "cp1=cp1.example.com:22,ssh-ed25519,AAAA1= cp2=192.0.2.21:22,ssh-ed25519,AAAA2= w1=192.0.2.22:2222,ssh-ed25519,AAAA3=",
  },
  stdin: "",
  then: " && destroy",
};

export const scenarios: readonly Scenario[] = [
  { title: "with an access token", stage: "tailnet-device", verb: "remove", node: cp1, ...deletesDevice({}) },
  {
    title: "as an OAuth client",
    stage: "tailnet-device",
    verb: "remove",
    node: cp1,
    ...deletesDevice({ TK_OAUTH_CLIENT: "kCLIENT" }),
  },
  {
    title: "one host answers, the others are gone or other machines",
    stage: "online",
    verb: "remove",
    node: cp1,
    operator: asksHosts,
    before: (c) => {
      c.hostKeys = { "192.0.2.21": "AAAA9=", "192.0.2.22": "AAAA3=" };
    },
  },
  {
    title: "all hosts answer",
    stage: "online",
    verb: "remove",
    node: cp1,
    operator: asksHosts,
    before: (c) => {
      c.hostKeys = { "cp1.example.com": "AAAA1=", "192.0.2.21": "AAAA2=", "192.0.2.22": "AAAA3=" };
    },
  },
  {
    title: "a host with nothing of Tailscale's logs in",
    stage: "tailnet",
    verb: "apply",
    node: joins3,
    before: (c) => {
      bare(c);
      c.host.without("tailscale", "tailscaled");
    },
    mayDiffer: guarded,
    nextMayDiffer: nextGuarded,
    undoLeaves: tailscaleStays,
  },
  {
    title: "a node that begins to take traffic for LoadBalancer services",
    stage: "tailnet",
    verb: "apply",
    node: w1,
    variables: loadBalancerVariables,
    before: (c) => {
      bare(c);
      c.host.without("tailscale", "tailscaled");
    },
    mayDiffer: guarded,
    nextMayDiffer: nextGuarded,
    undoLeaves: tailscaleStays,
  },
  {
    title: "from a bundle, with pods tunnelled",
    stage: "tailnet",
    verb: "apply",
    node: joins3,
    variables: { TK_BUNDLE: "/srv/bundle", TK_POD_ROUTING: "vxlan" },
    before: (c) => {
      bare(c, "NetworkManager");
      bundle(c);
      c.host.without("tailscale", "tailscaled");
    },
    mayDiffer: guarded,
    nextMayDiffer: nextGuarded,
    undoLeaves: [],
  },
  {
    title: "a subnet router of the user's",
    stage: "tailnet",
    verb: "apply",
    node: joins3,
    before: (c) => {
      bare(c, "NetworkManager");
      theirLogin(c);
    },
    mayDiffer: guarded,
    nextMayDiffer: nextGuarded,
    undoLeaves: [],
  },
  {
    title: "a node that an earlier version of this program has made",
    stage: "tailnet",
    verb: "apply",
    node: w1,
    before: (c) => {
      bare(c);
      inTailnet(c);
      for (const name of ["routes", "network", "wait-address", "cilium"])
        c.put(`/usr/local/lib/tailkube/${name}`, `#!/bin/bash\n# earlier ${name}\n`, 0o755);
      for (const name of ["address", "network", "cilium", "routes"]) {
        const unit = `tailkube-${name}.service`;
        c.units[unit] = { enabled: true, active: true };
        c.put(
          `/etc/systemd/system/${unit}`,
          `[Service]\nExecStart=/usr/local/lib/tailkube/${name.replace("address", "wait-address")}\n`,
          0o644,
        );
      }
      c.put("/etc/tailkube/node.env", "TAILKUBE_ADDRESS=100.64.0.11\n", 0o644);
      c.put("/etc/systemd/networkd.conf.d/50-tailkube.conf", "[Network]\nManageForeignRoutes=no\n", 0o644);
      const files = [
        "/usr/local/lib/tailkube",
        ...["routes", "network", "wait-address", "cilium"].map((name) => `/usr/local/lib/tailkube/${name}`),
        ...["address", "network", "cilium", "routes"].map((name) => `/etc/systemd/system/tailkube-${name}.service`),
        "/etc/tailkube",
        "/etc/tailkube/node.env",
        "/etc/systemd/networkd.conf.d",
        "/etc/systemd/networkd.conf.d/50-tailkube.conf",
        "/var/lib/tailkube/logged-in",
      ];
      c.put("/var/lib/tailkube/owned.tailnet", `${files.join("\n")}\n`);
      c.put("/var/lib/tailkube/joined", `${mark("w1")}\n`);
    },
    mayDiffer: guarded,
    nextMayDiffer: nextGuarded,
  },
  {
    title: "checksum offload is turned off",
    stage: "lan",
    verb: "apply",
    node: { ...joins3, ip: "192.0.2.11" },
    variables: { TK_NODE_NETWORK: "lan", TK_ADDRESS: "192.0.2.11", TK_CHECKSUM_OFFLOAD: "off" },
    before: (c) => {
      bare(c);
      c.host.without("ethtool", "tailscale", "tailscaled");
    },
    mayDiffer: guarded,
    nextMayDiffer: nextGuarded,
    undoLeaves: packagesStay,
  },
  {
    title: "checksum offload is as it was again",
    stage: "lan",
    verb: "apply",
    node: { ...w1, ip: "192.0.2.11" },
    variables: { TK_NODE_NETWORK: "lan", TK_ADDRESS: "192.0.2.11" },
    before: (c) => {
      bare(c, "NetworkManager");
      c.put("/usr/local/lib/tailkube/offload", "#!/bin/bash\n", 0o755);
      c.units["tailkube-offload.service"] = { enabled: true, active: true };
      c.put(
        "/etc/systemd/system/tailkube-offload.service",
        "[Service]\nExecStart=/usr/local/lib/tailkube/offload off\n",
        0o644,
      );
      c.put(
        "/var/lib/tailkube/owned.lan",
        "/usr/local/lib/tailkube\n/usr/local/lib/tailkube/offload\n/etc/systemd/system/tailkube-offload.service\n",
      );
    },
    mayDiffer: guarded,
    nextMayDiffer: nextGuarded,
  },
  {
    title: "a host without containerd",
    stage: "runtime",
    verb: "apply",
    node: joins3,
    variables: runtimeVariables,
    before: (c) => {
      bare(c);
      rememberedSettings(c);
      c.host.without("containerd", "ctr", "kubelet", "kubeadm", "kubectl");
      // A hold of the user's, of a package that is not there yet.
      c.host.holds.add("linux-image-amd64");
    },
    undoLeaves: [
      ...packagesStay,
      [/^cluster (units|running)$/, "containerd's package starts it"],
      [/^\/etc\/containerd/, "containerd's package brings it"],
    ],
  },
  {
    title: "a host with a containerd and holds of its own",
    stage: "runtime",
    verb: "apply",
    node: joins3,
    variables: runtimeVariables,
    before: (c) => {
      bare(c);
      rememberedSettings(c);
      runs(c, "containerd.service");
      Object.assign(c.host.packages, { "containerd.io": "1.7.24", kubectl: "1.30.0" });
      c.binaries.kubectl = "1.30.0";
      c.host.holds = new Set(["containerd.io", "kubectl"]);
      c.host.addImage("docker.io/library/theirs");
      c.put(
        "/etc/containerd/config.toml",
        'version = 2\nroot = "/data/containerd"\n[plugins."io.containerd.grpc.v1.cri"]\n  sandbox_image = "theirs"\n',
        0o640,
      );
      c.put("/etc/cni/net.d/87-podman.conflist", "{}\n", 0o644);
      c.put("/var/lib/containerd/theirs", "data\n");
      c.host.without("kubelet", "kubeadm");
    },
    putsBack: [[/^systemctl restart containerd\.service$/, "containerd has its former configuration again"]],
    undoLeaves: packagesStay,
  },
  {
    title: "from a bundle",
    stage: "runtime",
    verb: "apply",
    node: joins3,
    variables: { ...runtimeVariables, TK_BUNDLE: "/srv/bundle" },
    before: (c) => {
      bare(c);
      rememberedSettings(c);
      bundle(c);
      c.host.without("containerd", "ctr", "kubelet", "kubeadm", "kubectl");
    },
    undoLeaves: [],
  },
  {
    title: "a worker and a control plane leave, labels change, a pod is older than the network",
    stage: "finalize",
    verb: "apply",
    node: cp1,
    variables: {
      TK_NODES: "cp1 cp2 w1",
      TK_CONTROL_PLANES: "cp1 cp2",
      TK_LABELS: "w1 rack=b2",
      TK_TAINTS: "w1 gpu=yes:NoExecute",
    },
    before: (c) => {
      cluster(c);
      merge(c.find("Node", "w1")!, {
        metadata: { labels: { disk: "ssd" }, annotations: { "tailkube.dev/taints": "theirs:NoSchedule" } },
        spec: { taints: [{ key: "theirs", effect: "NoSchedule" }] },
      });
      c.objects.push({
        kind: "ConfigMap",
        metadata: { name: "tailkube-node-settings", namespace: "kube-system" },
        data: { "w1.labels": "disk=ssd", "w2.labels": "disk=ssd" },
      });
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
    stage: "finalize",
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
    title: "LoadBalancer services get addresses",
    stage: "finalize",
    verb: "apply",
    node: cp1,
    variables: { TK_LOAD_BALANCER: "10.201.0.0/24", TK_LOAD_BALANCER_NODES: "workers" },
    before: (c) => {
      settled(c);
      // A pool of the user's own stays as it is.
      c.objects.push({ kind: "CiliumLoadBalancerIPPool", metadata: { name: "theirs" }, spec: { blocks: [] } });
    },
    putsBack: uncordons,
  },
  {
    title: "LoadBalancer services have no addresses of ours any more, nor does a node announce them",
    stage: "finalize",
    verb: "apply",
    node: cp1,
    variables: { TK_NODE_NETWORK: "lan" },
    before: (c) => {
      settled(c);
      const labels = { "app.kubernetes.io/managed-by": "tailkube" };
      for (const kind of ["CiliumLoadBalancerIPPool", "CiliumL2AnnouncementPolicy"]) {
        c.objects.push({ kind, metadata: { name: "tailkube", labels }, spec: {} });
        c.objects.push({ kind, metadata: { name: "theirs" }, spec: {} });
      }
      for (const name of ["cilium-l2announce-web-shop", "cilium-operator-resource-lock"])
        c.objects.push({ kind: "Lease", metadata: { name, namespace: "kube-system" } });
      c.objects.push({ kind: "ConfigMap", metadata: { name: "cilium-config", namespace: "kube-system" }, data: {} });
    },
    putsBack: uncordons,
  },
  {
    title: "a dead control plane leaves",
    stage: "dead-members",
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
    stage: "dead-members",
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
    instead: othersRefuse,
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
    instead: othersRefuse,
  },
  {
    title: "the cluster's founder on a new machine joins, with the snapshot still in the config",
    stage: "control-plane",
    verb: "apply",
    node: cp1,
    variables: { TK_RESTORE: "/root/snapshot.db" },
    instead: oneIsThere,
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
    advisory: anotherAnswers,
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
      c.host.packages.kubeadm = "1.36.4";
      c.put("/var/lib/tailkube/upgrading/apply", "");
      (c.find("Node", "cp1")!.metadata.annotations as Record<string, string>)["tailkube.dev/cordoned"] =
        "2026-01-01T00:00:00Z";
      c.find("Node", "cp1")!.spec = { podCIDR: "10.50.1.0/24", unschedulable: true };
    },
    instead: othersSuffice,
    advisory: anotherAnswers,
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
    advisory: anotherAnswers,
    putsBack: [...uncordons, returnsTheEndpoint, ...formerSettings],
    nextMayDiffer: [resumed],
  },
  {
    title: "a control plane gets settings of Kubernetes",
    stage: "upgrade",
    verb: "apply",
    node: cp1,
    variables: {
      TK_SECURITY: "set",
      TK_KUBEADM_DOCUMENT: "kind: UpgradeConfiguration",
      TK_KUBELET_PATCH: "maxPods: 50",
      TK_KUBELET_CHECK: "kind: KubeletConfiguration\nmaxPods: 50",
      TK_ARGUMENTS: "etcd --quota-backend-bytes=1\nkube-apiserver --event-ttl=2h",
      TK_ETCD_ARGUMENTS: "--quota-backend-bytes=1",
      TK_EXTRA_FILES: `api-server/new.yaml ${Buffer.from("new").toString("base64")}`,
    },
    before: (c) => {
      cluster(c);
      joined(c);
      note(c, "encryption-key", "key-1");
      c.put("/etc/kubernetes/tailkube/api-server/old.yaml", "old\n");
    },
    advisory: anotherAnswers,
    putsBack: [...uncordons, returnsTheEndpoint, ...formerSettings],
    nextMayDiffer: [resumed],
  },
  {
    title: "a worker gets settings of its kubelet",
    stage: "upgrade",
    verb: "apply",
    node: w1,
    variables: {
      TK_SECURITY: "set",
      TK_KUBEADM_DOCUMENT: "kind: UpgradeConfiguration",
      TK_KUBELET_PATCH: "maxPods: 50",
      TK_KUBELET_CHECK: "kind: KubeletConfiguration\nmaxPods: 50",
    },
    before: (c) => {
      cluster(c);
      joined(c);
    },
    putsBack: [...uncordons, ...formerSettings],
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
    advisory: anotherAnswers,
    putsBack: [...uncordons, returnsTheEndpoint],
    nextMayDiffer: [resumed],
  },
  {
    title: "Secrets are encrypted from here on",
    stage: "start-encryption",
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
    stage: "cleanup",
    verb: "remove",
    advisory: guardedCleanup,
    node: cp1,
    before: (c) => {
      cluster(c);
      joined(c);
      c.put("/var/lib/tailkube/owned.runtime", "/etc/containerd/config.toml\n");
      // As an earlier version has recorded it.
      c.put("/var/lib/tailkube/logged-in", "https://login.example.com\n");
      c.put("/var/lib/tailkube/owned.tailnet", "/usr/local/lib/tailkube/routes\n/var/lib/tailkube/logged-in\n");
      c.links = ["lo", "eth0", "cilium_host", "lxc0a1b2c3d4e5f"];
      c.rules[0] = "100 from all lookup local";
    },
    otherWay: {
      fault: /^kubeadm reset /,
      changes: /^ctr -n k8s\.io (tasks (kill|rm)|containers (info|rm)) /,
      why: "what kubeadm's reset would have ended is ended container by container",
    },
    mayDiffer: guarded,
  },
  {
    title: "a worker is taken off its host",
    stage: "cleanup",
    verb: "remove",
    advisory: guardedCleanup,
    node: w1,
    before: (c) => {
      bare(c);
      c.otherApis = true;
      inTailnet(c);
      runs(c, "containerd.service");
      worker(c, "tailnet");
      for (const name of ["address", "network", "cilium", "routes"]) ours(c, `tailkube-${name}.service`);
      c.host.tailscale.routes = ["10.50.7.0/24", "192.0.2.0/24"];
      c.put("/etc/tailkube/routes.d/pod-cidr", "10.50.7.0/24\n", 0o644);
      c.put("/var/lib/tailkube/advertised", "10.50.7.0/24\n", 0o644);
    },
    mayDiffer: guarded,
  },
  {
    title: "a worker is taken off its host, whose login and containerd were there before",
    stage: "cleanup",
    verb: "remove",
    advisory: guardedCleanup,
    node: w1,
    before: (c) => {
      bare(c, "NetworkManager");
      c.otherApis = true;
      theirLogin(c);
      c.put(
        "/var/lib/tailkube/tailscale-prefs",
        `${JSON.stringify({ ...c.host.tailscale.prefs, Config: { NodeID: "n1" } }, undefined, "\t")}\n`,
      );
      Object.assign(c.host.tailscale.prefs, { RouteAll: true, CorpDNS: false, Hostname: "w1", NoSNAT: true });
      c.put("/var/lib/tailkube/found-logged-in", "https://login.example.com\n");
      runs(c, "containerd.service");
      worker(c, "tailnet");
      for (const name of ["address", "network", "cilium", "routes"]) ours(c, `tailkube-${name}.service`);
      c.put("/etc/tailkube/masquerade.nft", "table inet tailkube_masquerade {\n}\n", 0o644);
      c.put(
        "/var/lib/tailkube/owned.tailnet",
        `${c.file("/var/lib/tailkube/owned.tailnet")}/etc/tailkube/masquerade.nft\n/var/lib/tailkube/tailscale-prefs\n/var/lib/tailkube/found-logged-in\n`,
      );
      c.host.tables["inet tailkube_masquerade"] = "";
      c.host.tailscale.routes = ["10.50.7.0/24", "192.0.2.0/24"];
      c.put("/etc/tailkube/routes.d/pod-cidr", "10.50.7.0/24\n", 0o644);
      c.put("/var/lib/tailkube/advertised", "10.50.7.0/24\n", 0o644);
      Object.assign(c.host.packages, { containerd: "1.7.24", kubelet: "1.36.3", kubeadm: "1.36.3", kubectl: "1.36.3" });
      c.host.holds = new Set(["kubelet", "kubeadm", "kubectl", "containerd"]);
      c.put("/var/lib/tailkube/holds-before", "containerd\nkubectl\n");
      for (const image of ["docker.io/library/theirs", "registry.k8s.io/pause"]) c.host.addImage(image);
      c.put("/var/lib/tailkube/images-before", "docker.io/library/theirs\n");
      c.put("/var/lib/tailkube/backup.runtime/etc/containerd/config.toml", "version = 2\n# theirs\n");
    },
    mayDiffer: guarded,
  },
  {
    title: "a worker in a lan is taken off its host",
    stage: "cleanup",
    verb: "remove",
    advisory: guardedCleanup,
    node: { ...w1, ip: "192.0.2.11" },
    variables: { TK_NODE_NETWORK: "lan" },
    before: (c) => {
      bare(c);
      c.otherApis = true;
      runs(c, "containerd.service");
      worker(c, "lan");
      for (const name of ["address", "offload"]) ours(c, `tailkube-${name}.service`);
      c.routes.push("10.50.8.0/24 via 192.0.2.12 dev eth0");
    },
    mayDiffer: [...guarded, [/\/guard\/tailscale-down$/, "only what puts an `apply` back reads it"]],
  },
];
