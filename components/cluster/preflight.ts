/** Checks of the facts of all hosts together, before any host is changed. host-requirements.ts has the checks of single hosts. */
import type { NodeFacts } from "../hosts/facts";
import type { ClusterConfig } from "../../model/config";
import { containerdRelease, isOutOfSupport, today } from "../../model/releases";
import { minorOf } from "../../model/versions";
import { networkOf, overlap, tailnetRange } from "../../model/cidr";
import { isOwnInterface } from "../hosts/interfaces";
import { announcedProblems, announcedWarnings } from "../network/lan/announced";
import { lanProblems } from "../network/lan/address";
import { vipProblems } from "../network/lan/vip";
import { sharedKeyWarnings, sharedMachineIdWarnings, sharedMachineProblems } from "./machines";

/** A host's addresses with their networks, without those of interfaces that the cluster creates or uses. */
function hostNetworks({ facts }: NodeFacts) {
  return facts.interfaces
    .filter(({ name }) => !isOwnInterface(name))
    .flatMap(({ name, addresses }) =>
      addresses.map((address) => ({ name, address, network: networkOf(address) ?? "" })),
    )
    .filter(({ network }) => network !== "");
}

/** A line for each network of the cluster that overlaps one of a host. */
export function networkProblems(one: NodeFacts, config: ClusterConfig): string[] {
  const ours = [
    // In a LAN, it is in the hosts' own network, or a name.
    ...(config.nodeNetwork === "tailnet"
      ? [{ key: "endpoint.address", network: `${config.endpoint.address}/32` }]
      : []),
    { key: "network.podCidr", network: config.podCidr },
    { key: "network.serviceCidr", network: config.serviceCidr },
    // In a LAN, it is a part of the hosts' own network.
    ...(config.nodeNetwork === "tailnet" && config.loadBalancer !== undefined
      ? [{ key: "loadBalancer.cidr", network: config.loadBalancer.cidr }]
      : []),
  ];
  return hostNetworks(one).flatMap(({ name, address, network }) =>
    ours
      .filter((own) => overlap(own.network, network))
      .map(
        (own) =>
          `${one.node.name}: ${own.key} ${own.network} overlaps ${address} on its interface ${name}. Choose another ` +
          (config.networkNumber === undefined || own.key === "loadBalancer.cidr"
            ? `${own.key} that no network of the hosts uses.`
            : "network.number, whose networks no network of the hosts uses."),
      ),
  );
}

/** Addresses of a host in Tailscale's range that are not Tailscale's, as carriers assign them. None in a LAN. */
function carrierAddresses(one: NodeFacts, { nodeNetwork }: ClusterConfig) {
  return nodeNetwork === "lan" ? [] : hostNetworks(one).filter(({ network }) => overlap(tailnetRange, network));
}

/** A line for each host that would stop answering when Tailscale runs, because it is reached at such an address. */
function carrierProblems(one: NodeFacts, config: ClusterConfig): string[] {
  const { node } = one;
  const dialled = node.host.kind === "ssh" ? node.host.address : undefined;
  return carrierAddresses(one, config)
    .filter(({ address }) => address.split("/")[0] === dialled)
    .map(
      ({ name, address }) =>
        `${node.name}: host.address ${dialled} is ${address} on its interface ${name}, in ${tailnetRange}. Tailscale drops ` +
        "packets from that range on other interfaces, so the host would stop answering. Use an address outside of it.",
    );
}

/**
 * Warnings, a line each: what the hosts warn of themselves, hosts that share an identity, carriers' addresses, old versions that still
 * work.
 *
 * @param day YYYY-MM-DD.
 */
export function preflightWarnings(all: readonly NodeFacts[], config: ClusterConfig, day = today()): string[] {
  const own = all.flatMap(({ node, facts }) => (facts.warnings ?? []).map((line) => `${node.name}: ${line}`));
  const carriers = all.flatMap((one) =>
    carrierAddresses(one, config).map(
      ({ name, address }) =>
        `${one.node.name}: its interface ${name} has ${address}, in ${tailnetRange}. Tailscale drops packets from that range on ` +
        "other interfaces, so this host gets no answers from name servers or other machines in that network.",
    ),
  );
  // https://kubernetes.io/blog/2025/09/12/kubernetes-v1-34-cri-cgroup-driver-lookup-now-ga: the fallback goes later.
  const kubernetesMinor = minorOf(config.kubernetesVersion);
  // kubernetes.containerdVersion replaces the host's version; config/rules checks that one.
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
            "Set kubernetes.containerdVersion, or upgrade its package.",
        ];
  });
  return [
    ...own,
    ...sharedMachineIdWarnings(all),
    ...sharedKeyWarnings(all),
    ...carriers,
    ...oldRuntime,
    ...announcedWarnings(all, config),
  ];
}

/** All problems that only the hosts' facts show, as one text; undefined if there are none. */
export function preflightReport(all: readonly NodeFacts[], config: ClusterConfig): string | undefined {
  const problems = [
    ...sharedMachineProblems(all),
    ...all.flatMap((one) => networkProblems(one, config)),
    ...all.flatMap((one) => carrierProblems(one, config)),
    ...(config.nodeNetwork === "lan"
      ? [...lanProblems(all, config), ...vipProblems(all, config), ...announcedProblems(all, config)]
      : []),
  ];
  return problems.length === 0
    ? undefined
    : ["The config does not match the hosts. No host has been changed.", ...problems].join("\n  - ");
}
