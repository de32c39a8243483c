import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, NodeConfig } from "../../../model/config";
import { lanAddress } from "./address";
import type { JoinedNetwork } from "../tailnet/node";
import type { HostFacts } from "../../hosts/facts";
import { proxyVariables } from "../../hosts/proxy";
import { scriptText } from "../../hosts/script-text";
import { GuardedScript } from "../../hosts/guarded-script";
import { ipv4Result } from "../../hosts/remote-script";
import type { ScriptTarget } from "../../hosts/script-target";

export interface JoinLanArgs {
  node: NodeConfig;
  host: ScriptTarget & { readonly facts: pulumi.Output<HostFacts> };
  config: ClusterConfig;
  /** `USER:PASSWORD` of the proxy; secret. */
  proxyCredentials?: pulumi.Output<string> | undefined;
}

/**
 * A host in a LAN instead of a tailnet: the node IP is one of its own addresses, and it has the same units, which later stages need. A
 * host without such an address has failed before (components/network/lan/address.ts).
 */
export function joinLan(name: string, args: JoinLanArgs, opts: pulumi.CustomResourceOptions): JoinedNetwork {
  const { config, host, node } = args;
  const script = new GuardedScript(
    name,
    {
      host,
      stage: "lan",
      variables: {
        TK_ADDRESS: host.facts.apply((facts) => lanAddress({ node, facts }, config)?.address ?? ""),
        TK_POD_CIDR: config.podCidr,
        TK_POD_ROUTING: config.podRouting,
        // The guard leaves the address to its watch.
        ...(config.endpoint.kind === "vip" && { TK_ENDPOINT: config.endpoint.address }),
        TK_CHECKSUM_OFFLOAD: node.lan?.checksumOffload === false ? "off" : "on",
        TK_HOST_WAIT_ADDRESS: scriptText("installed/wait-address.sh"),
        TK_HOST_OFFLOAD: scriptText("installed/offload.sh"),
        ...proxyVariables({ config, node, credentials: args.proxyCredentials }),
      },
      timeoutSeconds: 300,
    },
    opts,
  );
  return {
    resource: script,
    address: script.result.apply((r) => ipv4Result(`${node.name}: node IP`, r.address)),
    deviceId: script.result.apply(() => ""),
    login: script.result.apply(() => undefined),
    approvedRoutes: script.result.apply(() => []),
  };
}
