/** The policy of a tailnet that the program owns: the user's policy, and what the cluster needs. */
import type { ClusterConfig, NodeConfig } from "../../../model/config";
import { isValues, type Values } from "../../../model/merge";

type PolicyArgs = Pick<ClusterConfig, "endpoint" | "podCidr" | "podRouting" | "loadBalancer" | "tailnet">;

/** Tags of a node's device; every node has the first one. */
export function deviceTags({ tailnet }: Pick<ClusterConfig, "tailnet">, { role }: Pick<NodeConfig, "role">): string[] {
  const own = role === "control-plane" ? tailnet.controlPlaneTag : undefined;
  return [tailnet.tag, ...(own === undefined ? [] : [own])];
}

/** The routes that nodes advertise, each with the tag that may advertise it, for autoApprovers. */
function routes(config: PolicyArgs): [network: string, tag: string][] {
  const { endpoint, podCidr, podRouting, loadBalancer, tailnet } = config;
  return [
    [`${endpoint.address}/32`, tailnet.controlPlaneTag ?? tailnet.tag],
    ...(podRouting === "native" ? [[podCidr, tailnet.tag] as [string, string]] : []),
    ...(loadBalancer === undefined ? [] : [[loadBalancer.cidr, tailnet.tag] as [string, string]]),
  ];
}

/**
 * The user's policy, unchanged, plus the nodes' tags, the approval of their routes, and grants for traffic between nodes and pods and for
 * administrators to the API and to LoadBalancer services: for whom else these are, the user's own policy says. Fields as in https://tailscale.com/kb/1337.
 *
 * @param base the user's policy, parsed.
 */
export function tailnetPolicy(config: PolicyArgs, base: Values): Values {
  const { tag } = config.tailnet;
  const tags = deviceTags(config, { role: "control-plane" });
  const approvers = object(base.autoApprovers);
  const approved = object(approvers.routes);
  // A rule for `*` may not cover addresses outside the tailnet, so they are listed.
  const pods = config.podRouting === "native" ? [config.podCidr] : [];
  const grants = [
    { src: [tag, ...pods], dst: [tag, ...pods], ip: ["*"] },
    {
      src: [tag, ...pods, "autogroup:admin"],
      dst: [`${config.endpoint.address}/32`],
      ip: [`tcp:${config.endpoint.port}`],
    },
    ...(config.loadBalancer === undefined
      ? []
      : [{ src: [tag, ...pods, "autogroup:admin"], dst: [config.loadBalancer.cidr], ip: ["*"] }]),
  ];
  return {
    ...base,
    tagOwners: { ...Object.fromEntries(tags.map((one) => [one, ["autogroup:admin"]])), ...object(base.tagOwners) },
    autoApprovers: {
      ...approvers,
      routes: {
        ...approved,
        ...Object.fromEntries(routes(config).map(([route, by]) => [route, unique([...list(approved[route]), by])])),
      },
    },
    grants: unique([...list(base.grants), ...grants]),
  };
}

const object = (value: unknown): Values => (isValues(value) ? value : {});
const list = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);

/** Without duplicates, compared as JSON. */
function unique(values: readonly unknown[]): unknown[] {
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()];
}
