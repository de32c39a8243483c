/** All that is wrong with a config is said at once: no problem hides another one that stands without it. */
import { expect } from "chai";
import fc from "fast-check";
import { ConfigError } from "../../../model/messages";
import { isValues } from "../../../model/merge";
import { type WrongConfig, wrongConfigs } from "../../preview/wrong-configs";
import { load, minimal } from "./fixtures";

function linesOf(changes: Record<string, unknown>, files: Record<string, string> = {}, plain?: string[]) {
  try {
    load(changes, files, undefined, plain);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

const keysOf = (lines: readonly string[]) => lines.map((line) => /^[^:]*/.exec(line)![0]);

const nodes = minimal.nodes as { name: string; role: string; host: Record<string, unknown> }[];
/** The minimal nodes, with changes of some of them by position. */
const withNodes = (changes: Record<number, unknown>) =>
  nodes.map((node, i) => {
    const change = changes[i];
    return isValues(change) ? { ...node, ...change } : (change ?? node);
  });
const ec2 = { region: "eu-central-1", operatorCidrs: ["198.51.100.7/32"] };
const at = "https://mirror.example.com/v2/x";

describe("a config with several problems", () => {
  const cases: [string, Record<string, unknown>, string[], Record<string, string>?][] = [
    [
      "a node of a wrong role, and pods around the host of another one",
      {
        nodes: withNodes({ 0: { role: "master" }, 1: { host: { address: "198.51.100.7" } } }),
        network: { podCidr: "198.51.0.0/16" },
      },
      ["nodes[0].role", "network.podCidr"],
    ],
    [
      "two wrong nodes, and rules about the others",
      {
        nodes: withNodes({ 0: { role: "master" }, 1: "cp2", 3: { name: "cp3", host: { address: "100.64.0.7" } } }),
        network: { podCidr: "10.50.0.0/23" },
        endpoint: { address: "192.0.2.13" },
      },
      ["nodes[0].role", "nodes[1]", "nodes[3].name", "nodes[3].host.address", "network.podCidr", "endpoint.address"],
    ],
    [
      "a wrong label, and a rule about the same node",
      { nodes: withNodes({ 3: { labels: { gpu: true }, name: "cp1" } }) },
      ["nodes[3].labels.gpu", "nodes[3].name"],
    ],
    [
      "a wrong kind of host, whose other keys nobody can judge",
      {
        nodes: withNodes({ 3: { host: { kind: "vm", address: "100.64.0.7", size: 1 } } }),
        endpoint: { address: "10.96.0.1" },
      },
      ["nodes[3].host.kind", "endpoint.address"],
    ],
    [
      "workers alone, one with a wrong label",
      { nodes: [{ ...nodes[3]!, labels: { gpu: true } }] },
      ["nodes[0].labels.gpu", "nodes"],
    ],
    [
      "a wrong role that may be the missing control plane's",
      { nodes: [{ ...nodes[3]!, role: "master" }] },
      ["nodes[0].role"],
    ],
    [
      "a wrong region, and a VPC that is both there and made",
      { ec2: { ...ec2, region: "mars", vpcId: "vpc-0a", subnetIds: ["subnet-0a"], vpcCidr: "10.20.0.0/16" } },
      ["ec2.region", "ec2.vpcCidr"],
    ],
    [
      "one wrong subnet, and no VPC that it would be of",
      { ec2: { ...ec2, subnetIds: ["subnet-0a", "x"], operatorAddress: "private" } },
      ["ec2.subnetIds[1]", "ec2.vpcId", "ec2.operatorAddress"],
    ],
    [
      "a mistyped key of ec2, and its network over the pods",
      { ec2: { ...ec2, vpcCidr: "10.50.0.0/16", zone: "a" } },
      ["ec2.zone", "network.podCidr"],
    ],
    [
      "a wrong element of a list, and a rule about its sound ones",
      {
        mirrors: {
          registries: [
            { name: "https://quay.io", endpoints: [at] },
            { name: "ghcr.io", endpoints: [at, "mirror"] },
            { name: "ghcr.io", endpoints: [at] },
          ],
        },
      },
      ["mirrors.registries[0].name", "mirrors.registries[1].endpoints[1]", "mirrors.registries[2].name"],
    ],
    [
      "a wrong URL of a mirror, and a bundle that has the binaries",
      { bundle: "/opt/b", mirrors: { packages: { docker: { url: "x" }, kubernetes: { url: at, keyURL: at } } } },
      ["mirrors.packages.docker.url", "mirrors.packages.kubernetes.keyURL", "mirrors.packages.kubernetes"],
    ],
    [
      "a wrong bundle, and a version beside it",
      { bundle: "bundle", kubernetes: { containerdVersion: "2.2.1" } },
      ["bundle", "kubernetes.containerdVersion"],
    ],
    [
      "a wrong endpoint, which its password may be for",
      {
        mirrors: { registries: [{ name: "ghcr.io", endpoints: ["mirror"] }] },
        registryCredentials: "mirror a:b",
        network: { serviceCidr: "100.64.0.0/16" },
      },
      ["mirrors.registries[0].endpoints[0]", "network.serviceCidr"],
    ],
    [
      "an authority that is not there, and a URL without TLS",
      { mirrors: { registries: [{ name: "ghcr.io", endpoints: ["http://mirror"], caFile: "gone" }] } },
      ["mirrors.registries[0].caFile", "mirrors.registries[0].endpoints[0]"],
    ],
    [
      "a wrong level of security, and values of Cilium",
      { security: { podSecurity: "high" }, cilium: { values: { MTU: 9000, ipv6: { enabled: true } } } },
      ["security.podSecurity", "cilium.values.MTU", "cilium.values.ipv6.enabled"],
    ],
    [
      "a wrong MTU, which a value of Cilium would have to be",
      { tailnet: { mtu: 1000 }, cilium: { values: { MTU: 9000, devices: "eth0" } } },
      ["tailnet.mtu", "cilium.values.devices"],
    ],
    [
      "a profile with a mistyped key, and values of Cilium",
      { hostProfile: "p.yaml" },
      ["hostProfile (p.yaml)", "hostProfile (p.yaml)", "hostProfile (p.yaml)"],
      { "p.yaml": "kublet: {}\nciliumValues: {MTU: 9000}\nskipHostChecks: [clocksync, 1]\n" },
    ],
    [
      "no network of that name, in which nothing is missing and nothing too much",
      {
        nodeNetwork: "wan",
        lan: { cidr: "10.1.0.0/16" },
        endpoint: { address: "k8s.example.com" },
        tailnetAuthKey: undefined,
      },
      ["nodeNetwork"],
    ],
    [
      "a mistyped key, without which nothing is missing",
      {
        nodeNetwork: "lan",
        lan: { cidr: "192.0.2.0/24" },
        endpont: "192.0.2.11",
        tailnetAuthKey: undefined,
        checks: "x",
      },
      ["endpont", "checks"],
    ],
    [
      "structure that is no JSON, and secrets, files and rules",
      {
        mirrors: "x",
        registryCredentials: "h a:b",
        sshPrivateKey: undefined,
        hostProfile: "gone",
        endpoint: { address: "127.0.0.1" },
      },
      ["mirrors", "sshPrivateKey", "hostProfile", "endpoint.address"],
    ],
  ];
  for (const [what, changes, keys, files] of cases) {
    it(`has ${what}`, () => {
      const lines = linesOf(changes, files);
      const found = keysOf(lines);
      if (what.startsWith("a profile")) expect(lines.join()).to.match(/kublet.*MTU|MTU.*kublet/);
      expect(found, lines.join("\n")).to.have.members(keys);
    });
  }
});

/** A key that an entry changes: its path in the config or in the files, as a user writes it, and what it becomes. */
type Change = [path: (string | number)[], value: unknown];

/** The smallest keys in which a value differs from what it stands for. A list of another length differs as a whole. */
function changesOf(value: unknown, from: unknown, path: (string | number)[]): Change[] {
  if (JSON.stringify(value) === JSON.stringify(from)) return [];
  if (Array.isArray(value) && Array.isArray(from) && value.length === from.length) {
    return value.flatMap((one, i) => changesOf(one, from[i], [...path, i]));
  }
  const isEmpty = isValues(value) && Object.keys(value).length === 0;
  return isValues(value) && !isEmpty && (from === undefined || isValues(from))
    ? Object.keys({ ...from, ...value }).flatMap((key) => changesOf(value[key], from?.[key], [...path, key]))
    : [[path, value]];
}

const parts = (key: string) =>
  key
    .split(/[.[\]]+/)
    .filter((part) => part !== "")
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part));
const singles = wrongConfigs.map((one) => ({
  ...one,
  keys: [
    ...Object.entries(one.changes).flatMap(([key, value]) => changesOf(value, minimal[key], [key])),
    ...(one.plain ?? []).map((key): Change => [["in plain", key], true]),
  ],
}));
type Single = (typeof singles)[number];

const isWithin = (outer: readonly unknown[], inner: readonly unknown[]) => outer.every((part, i) => inner[i] === part);

/** Whether neither changes a key that the other one changes, or is about. */
function areIndependent(a: Single, b: Single): boolean {
  const isApart = (one: Single, other: Single) =>
    !touched(one).some((path) => [...touched(other), ...aboutOf(other).map(parts)].some((key) => isWithin(path, key)));
  return isApart(a, b) && isApart(b, a);
}

/** The keys that it changes, and those that it would have changed if it had named them rightly. */
const touched = ({ keys, meant = [] }: Single) => [...keys.map(([path]) => path), ...meant.map(parts)];

function aboutOf({ about = [], changes, plain = [] }: WrongConfig): string[] {
  // A lan takes nothing that a tailnet does.
  return [
    ...about,
    ...plain,
    ...("nodeNetwork" in changes ? ["endpoint.address", "network.podRouting", "tailnetAuthKey"] : []),
  ];
}

/** The problems of all of them in one config, and the lines of those that are not said. */
function unsaid(all: readonly Single[]): string[] {
  const config = structuredClone(minimal) as Record<string, unknown>;
  for (const [path, value] of all.flatMap(({ keys }) => keys)) {
    if (path[0] === "in plain") continue;
    const last = path.at(-1)!;
    let inner: Record<string | number, unknown> = config;
    for (const part of path.slice(0, -1)) inner = (inner[part] ??= {}) as typeof inner;
    inner[last] = value;
  }
  const changes = { ...Object.fromEntries(Object.keys(minimal).map((key) => [key, undefined])), ...config };
  const files = Object.assign({}, ...all.map((one) => one.files ?? {})) as Record<string, string>;
  const lines = linesOf(
    changes,
    files,
    all.flatMap(({ plain = [] }) => plain),
  );
  expect(lines.join("\n")).to.not.include("stand-in");
  expect(new Set(lines).size).to.equal(lines.length);
  return all
    .filter(({ line }) => !lines.some((one) => (typeof line === "string" ? one === line : line.test(one))))
    .map(
      ({ what }) => `${what}: unsaid of ${all.map((one) => one.what).join(" + ")}, where there is ${lines.join(" + ")}`,
    );
}

describe("the problems that a config can have, together:", function () {
  this.timeout(300_000);

  it("every two of them are said, where neither changes what the other is about", () => {
    const pairs = singles.flatMap((a, i) => singles.slice(i + 1).map((b) => [a, b] as const));
    const independent = pairs.filter(([a, b]) => areIndependent(a, b));
    expect(independent.length).to.be.greaterThan(0.8 * pairs.length);
    const lost = independent.flatMap(unsaid);
    expect(lost, lost.slice(0, 9).join("\n")).to.deep.equal([]);
  });

  it("any number of them are said", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(singles, { minLength: 2, maxLength: 40 }), (some) => {
        const together = some.reduce<Single[]>(
          (all, one) => (all.every((other) => areIndependent(one, other)) ? [...all, one] : all),
          [],
        );
        const lost = unsaid(together);
        expect(lost, lost.join("\n")).to.deep.equal([]);
      }),
      { numRuns: 300 },
    );
  });
});
