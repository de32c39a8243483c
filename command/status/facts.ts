/** What a host has answered to host/command/status.sh, as values. */
import { X509Certificate } from "node:crypto";
import { type Answers, type Asked, asked, parseJson } from "../answers";

export interface Unit {
  loaded: boolean;
  enabled: boolean;
  /** systemd's ActiveState. */
  active: string;
}

export interface Disk {
  /** The first of the paths on it. */
  path: string;
  bytesFree: number;
  /** 0 to 1, as a user other than root sees it. */
  used: number;
  filesUsed: number;
}

export interface Certificate {
  file: string;
  from: Date;
  expires: Date;
  isAuthority: boolean;
}

export interface Device {
  name: string;
  addresses: string[];
  /** Absent if it does not expire. */
  keyExpires?: Date;
  expired: boolean;
  online: boolean;
  /** Routes that the tailnet sends to it. */
  primaryRoutes: string[];
}

export interface Tailnet {
  /** tailscaled's BackendState, such as Running or NeedsLogin. */
  state: string;
  version: string;
  self: Device;
  peers: Device[];
}

export interface ApiNode {
  name: string;
  /** Of the condition Ready: True, False or Unknown. */
  ready: string;
  why: string;
  kubelet: string;
  /** Conditions other than Ready that are wrong. */
  pressures: string[];
  cordoned: boolean;
}

export interface Workload {
  name: string;
  wanted: number;
  ready: number;
}

export interface Member {
  id: string;
  /** Empty until it has started. */
  name: string;
  peerUrls: string[];
  clientUrls: string[];
  isLearner: boolean;
}

export interface MemberStatus {
  url: string;
  id: string;
  leader: string;
  bytes: number;
  version: string;
  errors: string[];
}

export interface Snapshot {
  file: string;
  made: Date;
  bytes: number;
}

export interface ControlPlaneFacts {
  /** What its API server's /readyz says: ok, or what is not. */
  ready: Asked<string>;
  nodes: Asked<ApiNode[]>;
  workloads: Asked<Workload[]>;
  /** Files in /etc/kubernetes/manifests. */
  manifests: Asked<string[]>;
  members: Asked<Member[]>;
  memberStatus: Asked<MemberStatus[]>;
  /** By client URL: empty if healthy, or why not. */
  memberHealth: Asked<Record<string, string>>;
  snapshots: Asked<Snapshot[]>;
}

export interface HostFacts {
  /** The host's clock. */
  time: Asked<Date>;
  kernel: Asked<string>;
  kubelet: Asked<string>;
  containerd: Asked<string>;
  units: Asked<Record<string, Unit>>;
  disks: Asked<Disk[]>;
  certificates: Asked<Certificate[]>;
  /** What /readyz says through the endpoint. */
  endpoint: Asked<string>;
  /** In a tailnet only, as the next two. */
  tailnet?: Asked<Tailnet>;
  advertised?: Asked<string[]>;
  /** Addresses on the loopback. */
  loopback?: Asked<string[]>;
  /** With `endpoint.kind: vip` only: the endpoint's address if the host has it. */
  vip?: Asked<string[]>;
  controlPlane?: ControlPlaneFacts;
}

export function hostFacts(
  answers: Answers,
  of: { isControlPlane: boolean; isTailnet: boolean; hasVip?: boolean },
): HostFacts {
  const get = <T>(name: string, parse: (output: string) => T) => asked(answers, name, parse);
  return {
    time: get("time", (text) => new Date(integer(text) * 1000)),
    kernel: get("kernel", nonEmpty),
    kubelet: get("kubelet", version),
    containerd: get("containerd", version),
    units: get("units", units),
    disks: get("disks", disks),
    certificates: get("certificates", certificates),
    endpoint: get("endpoint", (text) => text.trim()),
    ...(of.isTailnet && {
      tailnet: get("tailscale", tailnet),
      advertised: get("prefs", (text) => (JSON.parse(text) as { AdvertiseRoutes?: string[] }).AdvertiseRoutes ?? []),
      loopback: get("loopback", addresses),
    }),
    ...(of.hasVip === true && { vip: get("vip", addresses) }),
    ...(of.isControlPlane && {
      controlPlane: {
        ready: get("ready", (text) => text.trim()),
        nodes: get("nodes", apiNodes),
        workloads: both(get("daemonsets", daemonSets), get("deployments", deployments)),
        manifests: get("manifests", (text) => text.split("\n").filter((line) => line !== "")),
        members: get("etcdMembers", members),
        memberStatus: get("etcdStatus", memberStatus),
        memberHealth: get("etcdHealth", memberHealth),
        snapshots: get("snapshots", snapshots),
      },
    }),
  };
}

function both<T>(a: Asked<T[]>, b: Asked<T[]>): Asked<T[]> {
  if ("none" in a) return a;
  if ("none" in b) return b;
  return { value: [...a.value, ...b.value] };
}

function nonEmpty(text: string): string {
  if (text.trim() === "") throw new Error("it is empty");
  return text.trim();
}

function integer(text: string): number {
  const value = Number(nonEmpty(text));
  if (!Number.isInteger(value)) throw new Error("it is not a number");
  return value;
}

/** `Kubernetes v1.37.2`, `containerd github.com/containerd/containerd/v2 v2.1.4 …`: the first word that begins with a digit, without a v. */
function version(text: string): string {
  const found = /(?:^|\s)v?(\d+\.\d\S*)/.exec(text)?.[1];
  if (found === undefined) throw new Error("it has no version");
  return found;
}

function units(text: string): Record<string, Unit> {
  const blocks = text.trim().split(/\n\s*\n/);
  return Object.fromEntries(
    blocks.map((block) => {
      const all = Object.fromEntries(
        block.split("\n").map((line) => [line.split("=")[0]!, line.replace(/^[^=]*=/, "")]),
      );
      const { Id, LoadState, ActiveState, UnitFileState } = all;
      if (Id === undefined || ActiveState === undefined) throw new Error("a unit has no state");
      return [Id, { loaded: LoadState === "loaded", enabled: UnitFileState === "enabled", active: ActiveState }];
    }),
  );
}

interface StatFs {
  path: string;
  id: string;
  block: number;
  blocks: number;
  free: number;
  available: number;
  files: number;
  filesFree: number;
}

function disks(text: string): Disk[] {
  const all = nonEmpty(text)
    .split("\n")
    .map((line) => JSON.parse(line) as StatFs);
  // A file system with the size of another one has another ID.
  const first = all.filter(({ id }, i) => all.findIndex((other) => other.id === id) === i);
  return first.map(({ path, block, blocks, free, available, files, filesFree }) => ({
    path,
    bytesFree: available * block,
    // As df has it: without what is reserved for root.
    used: blocks === 0 ? 0 : (blocks - free) / (blocks - free + available || 1),
    // Some file systems count no files.
    filesUsed: files === 0 ? 0 : 1 - filesFree / files,
  }));
}

function certificates(text: string): Certificate[] {
  const parts = text.split(/^# (\/.+)$/m).slice(1);
  return parts.flatMap((file, i) => {
    if (i % 2 === 1) return [];
    const { validFrom, validTo, ca } = new X509Certificate(parts[i + 1]!.trim());
    return [{ file, from: new Date(validFrom), expires: new Date(validTo), isAuthority: ca }];
  });
}

interface RawDevice {
  HostName?: string;
  TailscaleIPs?: string[] | null;
  KeyExpiry?: string | null;
  Expired?: boolean;
  Online?: boolean;
  PrimaryRoutes?: string[] | null;
}

function device({ HostName, TailscaleIPs, KeyExpiry, Expired, Online, PrimaryRoutes }: RawDevice): Device {
  return {
    name: HostName ?? "",
    addresses: TailscaleIPs ?? [],
    ...(KeyExpiry && !KeyExpiry.startsWith("0001-") && { keyExpires: new Date(KeyExpiry) }),
    expired: Expired === true,
    online: Online === true,
    primaryRoutes: PrimaryRoutes ?? [],
  };
}

function tailnet(text: string): Tailnet {
  interface Status {
    BackendState: string;
    Version?: string;
    Self?: RawDevice | null;
    Peer?: Record<string, RawDevice> | null;
  }
  const { BackendState, Version, Self, Peer } = JSON.parse(text) as Status;
  return {
    state: BackendState,
    version: (Version ?? "").split("-")[0]!,
    self: device(Self ?? {}),
    peers: Object.values(Peer ?? {}).map(device),
  };
}

function addresses(text: string): string[] {
  const all = JSON.parse(text) as { addr_info?: { local?: string }[] }[];
  return all.flatMap(({ addr_info }) => (addr_info ?? []).flatMap(({ local }) => (local === undefined ? [] : [local])));
}

interface Objects<T> {
  items: T[];
}

interface RawNode {
  metadata: { name: string };
  spec: { unschedulable?: boolean };
  status: {
    conditions?: { type: string; status: string; message?: string }[];
    nodeInfo?: { kubeletVersion?: string };
  };
}

export function apiNodes(text: string): ApiNode[] {
  return (JSON.parse(text) as Objects<RawNode>).items.map(({ metadata, spec, status }) => {
    const conditions = status.conditions ?? [];
    const ready = conditions.find(({ type }) => type === "Ready");
    return {
      name: metadata.name,
      ready: ready?.status ?? "Unknown",
      why: ready?.message ?? "",
      kubelet: (status.nodeInfo?.kubeletVersion ?? "").replace(/^v/, ""),
      // The kubelet's and Cilium's others are wrong if true. Unknown ones come with an unknown Ready.
      pressures: conditions.filter((one) => one.type !== "Ready" && one.status === "True").map(({ type }) => type),
      cordoned: spec.unschedulable === true,
    };
  });
}

function daemonSets(text: string): Workload[] {
  interface DaemonSet {
    metadata: { name: string };
    status: { desiredNumberScheduled?: number; numberReady?: number };
  }
  return (JSON.parse(text) as Objects<DaemonSet>).items.map(({ metadata, status }) => ({
    name: `daemonset/${metadata.name}`,
    wanted: status.desiredNumberScheduled ?? 0,
    ready: status.numberReady ?? 0,
  }));
}

function deployments(text: string): Workload[] {
  interface Deployment {
    metadata: { name: string };
    spec: { replicas?: number };
    status: { readyReplicas?: number };
  }
  return (JSON.parse(text) as Objects<Deployment>).items.map(({ metadata, spec, status }) => ({
    name: `deployment/${metadata.name}`,
    wanted: spec.replicas ?? 1,
    ready: status.readyReplicas ?? 0,
  }));
}

function members(text: string): Member[] {
  interface Raw {
    ID: string | number;
    name?: string;
    peerURLs?: string[];
    clientURLs?: string[];
    isLearner?: boolean;
  }
  return (parseJson(text) as { members: Raw[] }).members.map(({ ID, name, peerURLs, clientURLs, isLearner }) => ({
    id: `${ID}`,
    name: name ?? "",
    peerUrls: peerURLs ?? [],
    clientUrls: clientURLs ?? [],
    isLearner: isLearner === true,
  }));
}

function memberStatus(text: string): MemberStatus[] {
  interface Raw {
    Endpoint: string;
    Status: {
      header: { member_id: string | number };
      version: string;
      dbSize: number;
      leader?: string | number;
      errors?: string[];
    };
  }
  return (parseJson(text) as Raw[]).map(({ Endpoint, Status }) => ({
    url: Endpoint,
    id: `${Status.header.member_id}`,
    leader: `${Status.leader ?? 0}`,
    bytes: Number(Status.dbSize),
    version: Status.version,
    errors: Status.errors ?? [],
  }));
}

function memberHealth(text: string): Record<string, string> {
  const all = JSON.parse(text) as { endpoint: string; health: boolean; error?: string }[];
  return Object.fromEntries(all.map(({ endpoint, health, error }) => [endpoint, health ? "" : (error ?? "unhealthy")]));
}

function snapshots(text: string): Snapshot[] {
  return text
    .split("\0")
    .filter((line) => line !== "")
    .map((line) => {
      const [, seconds, bytes, file] = /^(\S+) (\d+) (.*)$/s.exec(line)!;
      return { file: file!, made: new Date(Number(seconds) * 1000), bytes: Number(bytes) };
    })
    .sort((a, b) => a.made.getTime() - b.made.getTime());
}
