/** Rules of network.number: what contradicts it, and what it does not make different. */
import { networkKeys, numberedNetworks, type NumberedNetworks } from "../../model/cluster-number";
import type { Problem } from "../../model/problem";
import { givenNetworks } from "../networks";
import { defaultClusterName, type StackValues } from "../schema/stack";
import type { Given } from "./rule";

/** A problem for each network that is set to another one than the number's. */
export function clusterNumberProblems({ values }: Given): Problem[] {
  const { number } = values.network;
  if (number === 0) return [];
  const derived = numberedNetworks(number);
  const given = givenNetworks(values);
  return (Object.keys(networkKeys) as (keyof NumberedNetworks)[]).flatMap((key) => {
    const got = given[key];
    // In a LAN, the user provides the endpoint.
    return got === undefined || got === derived[key] || (key === "endpoint" && values.nodeNetwork === "lan")
      ? []
      : {
          path: networkKeys[key],
          got,
          wrong: `contradicts network.number ${number}, which makes it ${derived[key]}`,
          fix: "Remove one of the two.",
          about: ["network.number", ...(key === "endpoint" ? ["nodeNetwork"] : [])],
        };
  });
}

/** A line for each thing that clusters of one tailnet should not share, and that the number leaves as it is. */
export function clusterNumberWarnings({ network, nodeNetwork, clusterName, tailnet }: StackValues): string[] {
  if (network.number === 0 || nodeNetwork === "lan") return [];
  return [
    ...(clusterName === defaultClusterName
      ? [
          `clusterName: it has its default value ${defaultClusterName}, but network.number is ${network.number}. In a kubeconfig, clusters of ` +
            "the same name replace each other. Choose another clusterName, which cannot change later.",
        ]
      : []),
    ...(tailnet.routeApproval === "policy"
      ? [
          "tailnet.routeApproval: policy replaces the tailnet's whole policy, and with it what another cluster in the tailnet needs. If there " +
            "is one with policy, too, set none or devices for all but one, and write in its tailnet.policyFile what the others need.",
        ]
      : []),
  ];
}
