/** What the facts of all hosts together say before anything is changed on any of them; each host's own fitness is requirements.ts. */
import type { NodeFacts } from "../hosts/facts";
import type { ClusterConfig } from "../../model/config";
import { containerdRelease, isOutOfSupport, today } from "../../model/releases";
import { minorOf } from "../../model/versions";
import { networkOf, overlap } from "../../model/cidr";
import { isOwnInterface } from "../hosts/interfaces";
import { lanProblems } from "../network/lan/address";

/** Networks of the cluster that a host has a use of its own for, a line each. The cure is in the config. */
export function networkProblems({ node, facts }: NodeFacts, config: ClusterConfig): string[] {
  const ours = [
    // In a lan it is in the hosts' own network, or a name.
    ...(config.nodeNetwork === "tailnet"
      ? [{ key: "endpoint.address", network: `${config.endpoint.address}/32` }]
      : []),
    { key: "network.podCidr", network: config.podCidr },
    { key: "network.serviceCidr", network: config.serviceCidr },
  ];
  return facts.interfaces
    .filter((nic) => !isOwnInterface(nic.name))
    .flatMap((nic) =>
      nic.addresses.flatMap((address) => {
        const network = networkOf(address);
        return ours
          .filter((own) => network !== undefined && overlap(own.network, network))
          .map(
            (own) =>
              `${node.name}: ${own.key} ${own.network} overlaps ${address} of its interface ${nic.name}. Choose another ` +
              `${own.key}, one that is used nowhere around the hosts.`,
          );
      }),
    );
}

/** What Tailscale takes for its own: it drops what comes from there by any other interface (tailscale/tailscale#1381). */
const tailscaleRange = "100.64.0.0/10";

/** Addresses of a host in Tailscale's range that are not Tailscale's, as carriers give them out. None in a lan. */
function carrierAddresses({ facts }: NodeFacts, { nodeNetwork }: ClusterConfig): { name: string; address: string }[] {
  if (nodeNetwork === "lan") return [];
  return facts.interfaces
    .filter(({ name }) => !isOwnInterface(name))
    .flatMap(({ name, addresses }) => addresses.map((address) => ({ name, address })))
    .filter(({ address }) => {
      const network = networkOf(address);
      return network !== undefined && overlap(tailscaleRange, network);
    });
}

/** A host that would not answer any more once Tailscale runs, a line each: it is dialled at such an address. */
function carrierProblems(one: NodeFacts, config: ClusterConfig): string[] {
  const { node } = one;
  const dialled = node.host.kind === "ssh" ? node.host.address : undefined;
  return carrierAddresses(one, config)
    .filter(({ address }) => address.split("/")[0] === dialled)
    .map(
      ({ name, address }) =>
        `${node.name}: host.address ${dialled} is ${address} of its interface ${name}, in ${tailscaleRange}: Tailscale drops ` +
        "what comes from there by any other interface, so the host would not answer any more. Reach it by an address outside of it.",
    );
}

/**
 * What is odd but stops nothing, a line each: hosts that share a machine ID, old versions that still work.
 *
 * @param day YYYY-MM-DD.
 */
export function preflightWarnings(all: readonly NodeFacts[], config: ClusterConfig, day = today()): string[] {
  const byMachine = new Map<string, string[]>();
  for (const { node, facts } of all) {
    byMachine.set(facts.machineId, [...(byMachine.get(facts.machineId) ?? []), node.name]);
  }
  const shared = [...byMachine].flatMap(([id, names]) =>
    names.length < 2
      ? []
      : [
          id === ""
            ? `${names.join(", ")}: no machine ID. Make one on each: systemd-machine-id-setup.`
            : `${names.join(", ")}: the same machine ID ${id}, as copies of one disk image have it. Make new ones: ` +
              "rm /etc/machine-id && systemd-machine-id-setup.",
        ],
  );
  const carriers = all.flatMap((one) =>
    carrierAddresses(one, config).map(
      ({ name, address }) =>
        `${one.node.name}: its interface ${name} has ${address}, in ${tailscaleRange}. Tailscale drops what comes from there by any ` +
        "other interface: a name server or another machine in that network will not answer this host.",
    ),
  );
  // https://kubernetes.io/blog/2025/09/12/kubernetes-v1-34-cri-cgroup-driver-lookup-now-ga: the fall-back goes later.
  const kubernetesMinor = minorOf(config.kubernetesVersion);
  // kubernetes.containerdVersion replaces what the host has; the config rules check that version.
  const oldRuntime = (config.containerdVersion === undefined ? all : []).flatMap(({ node, facts }) => {
    const release = containerdRelease(facts.containerd);
    const why = [
      ...(isOutOfSupport(release, day) ? [`its support ended on ${release!.endOfSupport}`] : []),
      ...(kubernetesMinor >= 36 && /^1\./.test(facts.containerd) ? ["Kubernetes 1.38 needs 2.x"] : []),
    ];
    return why.length === 0
      ? []
      : [
          `${node.name}: containerd ${facts.containerd} works with Kubernetes ${config.kubernetesVersion}, but ${why.join(", and ")}. ` +
            "Upgrade it: kubernetes.containerdVersion, or its package.",
        ];
  });
  return [...shared, ...carriers, ...oldRuntime];
}

/** All problems that only the facts of the hosts show, in one text; undefined if there is none. */
export function preflightReport(all: readonly NodeFacts[], config: ClusterConfig): string | undefined {
  const problems = [
    ...all.flatMap((one) => networkProblems(one, config)),
    ...all.flatMap((one) => carrierProblems(one, config)),
    ...(config.nodeNetwork === "lan" ? lanProblems(all, config) : []),
  ];
  return problems.length === 0
    ? undefined
    : ["The config does not fit the hosts. Nothing has been changed on any of them.", ...problems].join("\n  - ");
}
