import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, NodeConfig } from "../../../model/config";
import { lanAddress } from "./address";
import type { HostFacts } from "../../hosts/facts";
import { scriptText } from "../../hosts/script-text";
import { GuardedScript } from "../../hosts/guarded-script";
import { ipv4Result, type ScriptTarget } from "../../hosts/remote-script";

export interface LanNodeArgs {
  node: NodeConfig;
  host: ScriptTarget & { readonly facts: pulumi.Output<HostFacts> };
  config: ClusterConfig;
}

/**
 * A host in a lan, in the place of a TailnetNode: the node IP is one of the addresses that it has, and the units that the
 * node's other stages lean on are the same. A host without such an address has failed before (components/network/lan/address.ts).
 */
export class LanNode extends pulumi.ComponentResource {
  /** The node IP. */
  public readonly address: pulumi.Output<string>;
  /** It is no device of a tailnet: empty. */
  public readonly deviceId: pulumi.Output<string>;
  /** None either. */
  public readonly approvedRoutes: pulumi.Output<string[]>;

  constructor(name: string, args: LanNodeArgs, opts?: pulumi.ComponentResourceOptions) {
    super("tailkube:lan:Node", name, {}, opts);
    const { config, host, node } = args;
    const script = new GuardedScript(
      `${name}-lan`,
      {
        host,
        stage: "lan",
        variables: {
          TK_ADDRESS: host.facts.apply((facts) => lanAddress({ node, facts }, config)?.address ?? ""),
          TK_POD_CIDR: config.podCidr,
          TK_POD_ROUTING: config.podRouting,
          TK_CHECKSUM_OFFLOAD: node.lan?.checksumOffload === false ? "off" : "on",
          TK_HOST_WAIT_ADDRESS: scriptText("installed/wait-address.sh"),
          TK_HOST_OFFLOAD: scriptText("installed/offload.sh"),
        },
        timeoutSeconds: 300,
      },
      { parent: this, dependsOn: opts?.dependsOn },
    );
    this.address = script.result.apply((r) => ipv4Result(`${name}: node IP`, r.address));
    this.deviceId = script.result.apply(() => "");
    this.approvedRoutes = script.result.apply(() => []);
    this.registerOutputs({ address: this.address });
  }
}
