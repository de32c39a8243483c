/** Three control planes and a worker, as their hosts answer; tests change what is wrong. */
import { type Answer, type Answers, type Asked } from "../../../command/answers";
import type { ClusterAccess } from "../../../command/stack";
import { apiNodes, hostFacts } from "../../../command/status/facts";
import type { ClusterState } from "../../../command/status/state";
import { certificate } from "./certificate";

export const now = new Date("2026-11-29T02:00:00Z");
const days = (count: number) => new Date(now.getTime() + count * 86_400_000);

export type Raw = Record<string, Answer>;
export interface Host {
  name: string;
  role: string;
  address: string;
  where: string;
  /** A reason if it does not answer. */
  answers: Raw | string;
}

export interface Fixture {
  hosts: Host[];
  nodeNetwork: "tailnet" | "lan";
  /** In a lan: whether the program keeps the endpoint's address. */
  hasVip?: true;
  here: { nodes: Asked<string>; endpoint: Asked<string> };
}

export const endpoint = { address: "10.200.0.1", port: 6443 };
const memberId = (i: number) => `1064714411734713034${i}`;
const said = (output: string, status = 0, error = ""): Answer => ({ output, status, error });
export const answer = said;
export const json = (value: unknown): Answer => said(JSON.stringify(value));
/** etcd's numbers of 64 bits, which JSON.stringify would round. */
const bigJson = (value: unknown): Answer => said(JSON.stringify(value).replace(/"(\d{16,})"/g, "$1"));

export const names = ["cp1", "cp2", "cp3", "w1"];
const addressOf = (i: number) => `100.64.0.${i + 1}`;
export const url = (i: number) => `https://${addressOf(i)}:2379`;

export function nodesJson(change: (node: ApiNodeJson) => void = () => undefined): string {
  const items = names.map((name): ApiNodeJson => ({
    metadata: { name },
    spec: {},
    status: {
      conditions: [
        { type: "MemoryPressure", status: "False" },
        { type: "DiskPressure", status: "False" },
        { type: "Ready", status: "True", message: "kubelet is posting ready status" },
      ],
      nodeInfo: { kubeletVersion: "v1.37.2" },
    },
  }));
  items.forEach(change);
  return JSON.stringify({ items });
}

export interface ApiNodeJson {
  metadata: { name: string };
  spec: { unschedulable?: boolean };
  status: { conditions: { type: string; status: string; message?: string }[]; nodeInfo: { kubeletVersion: string } };
}

export const unit = (id: string, active = "active", enabled = "enabled", load = "loaded") =>
  `Id=${id}\nLoadState=${load}\nActiveState=${active}\nSubState=x\nUnitFileState=${enabled}\n`;

export function units(isControlPlane: boolean, change: Record<string, string> = {}): string {
  const all = ["kubelet", "containerd", "tailscaled", "tailkube-network", "tailkube-routes", "tailkube-cilium"];
  return [
    ...[...all, ...(isControlPlane ? ["tailkube-endpoint"] : [])].map((name) =>
      unit(`${name}.service`, change[name] ?? "active"),
    ),
    ...(isControlPlane ? [] : [unit("tailkube-endpoint.service", "inactive", "", "not-found")]),
    unit("tailkube-load-balancer.service", "inactive", "", "not-found"),
  ].join("\n");
}

export interface DeviceJson {
  HostName: string;
  TailscaleIPs: string[];
  Online: boolean;
  KeyExpiry?: string;
  Expired?: boolean;
  PrimaryRoutes?: string[];
}

export function tailscale(
  own: number,
  change: (device: DeviceJson, i: number) => void = () => undefined,
  state = "Running",
) {
  const devices = names.map((HostName, i): DeviceJson => ({
    HostName,
    TailscaleIPs: [addressOf(i), `fd7a:115c:a1e0::${i + 1}`],
    Online: true,
    ...(i === 0 && { PrimaryRoutes: [`${endpoint.address}/32`] }),
  }));
  devices.forEach(change);
  const peers = devices.map((device, i) => [`nodekey:${i}`, device] as const).filter((_, i) => i !== own);
  return json({ BackendState: state, Version: "1.90.6-t1-g1", Self: devices[own], Peer: Object.fromEntries(peers) });
}

export const disk = (path: string, used: number, id = path) =>
  JSON.stringify({
    path,
    id,
    block: 4096,
    blocks: 10_000_000,
    free: 10_000_000 * (1 - used),
    available: 10_000_000 * (1 - used),
    files: 1000,
    filesFree: 800,
  });

export interface CertificateDates {
  [file: string]: Date;
}

export function certificates(isControlPlane: boolean, dates: CertificateDates = {}): Answer {
  const files = isControlPlane
    ? [
        "/etc/kubernetes/pki/apiserver.crt",
        "/etc/kubernetes/pki/apiserver-etcd-client.crt",
        "/etc/kubernetes/pki/etcd/server.crt",
        "/etc/kubernetes/admin.conf",
      ]
    : [];
  const all = [...files, "/var/lib/kubelet/pki/kubelet-client-current.pem"].map(
    (file) => `# ${file}\n${certificate("leaf", days(-8), dates[file] ?? days(357))}`,
  );
  const authorities = [
    "/etc/kubernetes/pki/ca.crt",
    ...(isControlPlane ? ["/etc/kubernetes/pki/etcd/ca.crt"] : []),
  ].map((file) => `# ${file}\n${certificate("ca", days(-8), dates[file] ?? days(3640), true)}`);
  return said([...authorities, ...all].join(""));
}

export const members = names.slice(0, 3).map((name, i) => ({
  ID: memberId(i),
  name,
  peerURLs: [`https://${addressOf(i)}:2380`],
  clientURLs: [url(i)],
}));

export function etcdAnswers(health: Record<number, string> = {}): Raw {
  const isUp = (_: unknown, i: number) => health[i] === undefined;
  return {
    etcdMembers: bigJson({ header: { cluster_id: "14841639068965178418" }, members }),
    etcdHealth: said(
      JSON.stringify(
        members.map((_, i) => ({
          endpoint: url(i),
          health: health[i] === undefined,
          took: "4ms",
          ...(health[i] && { error: health[i] }),
        })),
      ),
      Object.keys(health).length === 0 ? 0 : 1,
    ),
    etcdStatus: bigJson(
      members.filter(isUp).map(({ ID, clientURLs }) => ({
        Endpoint: clientURLs[0],
        Status: { header: { member_id: ID }, version: "3.6.6", dbSize: 48_000_000, leader: memberId(0) },
      })),
    ),
  };
}

function controlPlaneAnswers(): Raw {
  return {
    ready: said("ok"),
    nodes: said(nodesJson()),
    daemonsets: json({
      items: [{ metadata: { name: "cilium" }, status: { desiredNumberScheduled: 4, numberReady: 4 } }],
    }),
    deployments: json({
      items: [{ metadata: { name: "coredns" }, spec: { replicas: 2 }, status: { readyReplicas: 2 } }],
    }),
    manifests: said("etcd.yaml\nkube-apiserver.yaml\nkube-controller-manager.yaml\nkube-scheduler.yaml\n"),
    ...etcdAnswers(),
    snapshots: said("1795600000.0 48000000 auto-20261125T094640Z-1.37.1.db\0"),
  };
}

export function healthy(): Fixture {
  return {
    nodeNetwork: "tailnet",
    here: { nodes: { value: nodesJson() }, endpoint: { value: "ok" } },
    hosts: names.map((name, i): Host => {
      const isControlPlane = i < 3;
      return {
        name,
        role: isControlPlane ? "control-plane" : "worker",
        address: addressOf(i),
        where: `192.0.2.1${i + 1} port 22`,
        answers: {
          time: said(`${now.getTime() / 1000}\n`),
          kernel: said("6.12.48+deb13-amd64\n"),
          kubelet: said("Kubernetes v1.37.2\n"),
          containerd: said("containerd containerd.io v2.1.4 75cb2b7193e4e490e9fbdc236c0e811ccaba3376\n"),
          units: said(units(isControlPlane)),
          disks: said([disk("/", 0.41), disk("/var/lib/etcd", 0.41, "/")].join("\n")),
          certificates: certificates(isControlPlane),
          endpoint: said("ok"),
          tailscale: tailscale(i),
          prefs: json({ AdvertiseRoutes: [`10.50.${i}.0/24`, ...(isControlPlane ? [`${endpoint.address}/32`] : [])] }),
          loopback: json([
            {
              ifname: "lo",
              addr_info: [{ local: "127.0.0.1" }, ...(isControlPlane ? [{ local: endpoint.address }] : [])],
            },
          ]),
          ...(isControlPlane && controlPlaneAnswers()),
        },
      };
    }),
  };
}

/** A host's answers, to be changed. */
export function answersOf(fixture: Fixture, name: string): Raw {
  const { answers } = fixture.hosts.find((host) => host.name === name)!;
  if (typeof answers === "string") throw new Error(`${name} does not answer`);
  return answers;
}

export function silence(fixture: Fixture, name: string, why = "Connection timed out"): void {
  fixture.hosts.find((host) => host.name === name)!.answers = why;
}

/** The same in a lan, with the endpoint as a virtual IP of these control planes. */
export function withVip(fixture: Fixture, ...holders: string[]): Fixture {
  for (const name of names.slice(0, 3)) {
    answersOf(fixture, name).vip = json([
      {},
      holders.includes(name) ? { ifname: "eth1", addr_info: [{ local: endpoint.address }] } : {},
    ]);
  }
  return { ...fixture, nodeNetwork: "lan", hasVip: true };
}

export function stateOf({ hosts, nodeNetwork, hasVip, here }: Fixture): ClusterState {
  return {
    name: "home",
    nodeNetwork,
    endpoint: { ...endpoint, ...(hasVip && { kind: "vip" as const }) },
    kubernetesVersion: "1.37.2",
    begun: new Date(now.getTime() - 2000),
    ended: now,
    nodes: hosts.map(({ answers, ...host }) => ({
      ...host,
      user: host.role === "worker" ? "admin" : "root",
      facts:
        typeof answers === "string"
          ? { none: answers }
          : {
              value: hostFacts(new Map(Object.entries(answers)) as Answers, {
                isControlPlane: host.role === "control-plane",
                isTailnet: nodeNetwork === "tailnet",
                hasVip: hasVip === true && host.role === "control-plane",
              }),
            },
    })),
    here: { nodes: "none" in here.nodes ? here.nodes : { value: apiNodes(here.nodes.value) }, endpoint: here.endpoint },
  };
}

/** The five faults of issue's day two, and some more; each is what the hosts then answer. */
export const faults: Readonly<Record<string, (fixture: Fixture) => void>> = {
  "etcd-member-down": (fixture) => {
    for (const name of ["cp1", "cp3"])
      Object.assign(answersOf(fixture, name), etcdAnswers({ 1: "context deadline exceeded" }));
    const none = said("", 1, "etcd: no etcd runs on this host: is it a control plane, and is its kubelet running?");
    Object.assign(answersOf(fixture, "cp2"), {
      etcdMembers: none,
      etcdHealth: none,
      etcdStatus: none,
      manifests: said("kube-apiserver.yaml\nkube-controller-manager.yaml\nkube-scheduler.yaml\n"),
      ready: said("[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n"),
      loopback: json([{ ifname: "lo", addr_info: [{ local: "127.0.0.1" }] }]),
      prefs: json({ AdvertiseRoutes: ["10.50.1.0/24"] }),
    });
  },
  "endpoint-nowhere": (fixture) => {
    const refused = said(
      "",
      7,
      `curl: (7) Failed to connect to ${endpoint.address} port 6443 after 0 ms: Could not connect to server`,
    );
    for (const name of names) answersOf(fixture, name).endpoint = refused;
    for (const name of ["cp1", "cp2", "cp3"]) {
      Object.assign(answersOf(fixture, name), {
        units: said(units(true, { "tailkube-endpoint": "inactive" })),
        loopback: json([{ ifname: "lo", addr_info: [{ local: "127.0.0.1" }] }]),
        prefs: json({ AdvertiseRoutes: [] }),
        tailscale: tailscale(names.indexOf(name), (device) => delete device.PrimaryRoutes),
      });
    }
    answersOf(fixture, "w1").tailscale = tailscale(3, (device) => delete device.PrimaryRoutes);
    fixture.here.endpoint = { none: "connect ETIMEDOUT 10.200.0.1:6443" };
  },
  "certificate-expired": (fixture) => {
    const expired = { "/etc/kubernetes/pki/apiserver-etcd-client.crt": days(-3) };
    Object.assign(answersOf(fixture, "cp3"), {
      certificates: certificates(true, expired),
      ready: said("", 7, "curl: (7) Failed to connect to 100.64.0.3 port 6443 after 0 ms: Could not connect to server"),
      nodes: said("", 1, "The connection to the server 100.64.0.3:6443 was refused"),
      loopback: json([{ ifname: "lo", addr_info: [{ local: "127.0.0.1" }] }]),
      prefs: json({ AdvertiseRoutes: ["10.50.2.0/24"] }),
    });
  },
  "disk-full": (fixture) => {
    answersOf(fixture, "w1").disks = said([disk("/", 0.41), disk("/var/lib/containerd", 0.998)].join("\n"));
    for (const name of ["cp1", "cp2", "cp3"]) {
      answersOf(fixture, name).nodes = said(
        nodesJson(({ metadata, status }) => {
          if (metadata.name === "w1") status.conditions.find(({ type }) => type === "DiskPressure")!.status = "True";
        }),
      );
    }
  },
  "device-expired": (fixture) => {
    const expired = (device: DeviceJson) => {
      if (device.HostName !== "w1") return;
      Object.assign(device, { KeyExpiry: "2026-11-28T20:00:00Z", Expired: true, Online: false });
    };
    names.forEach(
      (name, i) =>
        (answersOf(fixture, name).tailscale = tailscale(i, expired, name === "w1" ? "NeedsLogin" : "Running")),
    );
    answersOf(fixture, "w1").endpoint = said("", 28, "curl: (28) Connection timed out after 6001 milliseconds");
    for (const name of ["cp1", "cp2", "cp3"]) {
      answersOf(fixture, name).nodes = said(
        nodesJson(({ metadata, status }) => {
          if (metadata.name === "w1")
            Object.assign(status.conditions[2]!, {
              status: "Unknown",
              message: "Kubelet stopped posting node status.",
            });
        }),
      );
    }
  },
};

/** A cluster's access as the stack's output has it, with secrets that must not show. */
export function accessFixture(more: Partial<ClusterAccess> = {}): ClusterAccess {
  return {
    clusterName: "home",
    nodeNetwork: "tailnet",
    endpoint,
    apiServerPort: 6443,
    kubernetesVersion: "1.37.2",
    kubeconfig: "",
    directKubeconfig: "",
    nodes: [],
    ...more,
  };
}
