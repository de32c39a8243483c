/** The policy of a tailnet that the program owns: the user's own, and what the cluster needs of it. */
import type { ClusterConfig } from "../config/types";
import { isValues, type Values } from "./merge";

type PolicyArgs = Pick<ClusterConfig, "endpoint" | "podCidr" | "podRouting" | "tailnet">;

/** The routes that nodes advertise: networks, each for the policy's autoApprovers. */
function routes({ endpoint, podCidr, podRouting }: PolicyArgs): string[] {
  return [`${endpoint.address}/32`, ...(podRouting === "native" ? [podCidr] : [])];
}

/**
 * The user's policy with the nodes' tag, the approval of their routes, and grants that let nodes and pods talk and
 * administrators reach the API. What is in it already stays as it is. Fields as in https://tailscale.com/kb/1337.
 *
 * @param base the user's policy, parsed.
 */
export function tailnetPolicy(config: PolicyArgs, base: Values): Values {
  const { tag } = config.tailnet;
  const approvers = object(base.autoApprovers);
  const approved = object(approvers.routes);
  // A rule for `*` need not cover addresses that are no device's, so they are named.
  const pods = config.podRouting === "native" ? [config.podCidr] : [];
  const grants = [
    { src: [tag, ...pods], dst: [tag, ...pods], ip: ["*"] },
    {
      src: [tag, ...pods, "autogroup:admin"],
      dst: [`${config.endpoint.address}/32`],
      ip: [`tcp:${config.endpoint.port}`],
    },
  ];
  return {
    ...base,
    tagOwners: { [tag]: ["autogroup:admin"], ...object(base.tagOwners) },
    autoApprovers: {
      ...approvers,
      routes: {
        ...approved,
        ...Object.fromEntries(routes(config).map((route) => [route, unique([...list(approved[route]), tag])])),
      },
    },
    grants: unique([...list(base.grants), ...grants]),
  };
}

const object = (value: unknown): Values => (isValues(value) ? value : {});
const list = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);

/** Each once, by what it says. */
function unique(values: readonly unknown[]): unknown[] {
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()];
}
