import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, NodeConfig } from "../config/types";
import { lanAddress } from "../plan/lan";
import type { HostFacts } from "../plan/preflight";
import { scriptText } from "../scripts/render";
import { GuardedScript } from "./guarded-script";
import { ipv4Result, type ScriptTarget } from "./host-script";

export interface LanNodeArgs {
  node: NodeConfig;
  host: ScriptTarget & { readonly facts: pulumi.Output<HostFacts> };
  config: ClusterConfig;
}

/**
 * A host in a lan, in the place of a TailnetNode: the node IP is one of the addresses that it has, and the units that the
 * node's other stages lean on are the same. A host without such an address has failed before (plan/lan.ts).
 */
export class LanNode extends pulumi.ComponentResource {
  /** The node IP. */
  public readonly address: pulumi.Output<string>;
  /** It is no device of a tailnet: empty. */
  public readonly deviceId: pulumi.Output<string>;

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
          TK_HOST_WAIT_ADDRESS: scriptText("host/wait-address.sh"),
          TK_HOST_OFFLOAD: scriptText("host/offload.sh"),
        },
        timeoutSeconds: 300,
      },
      { parent: this, dependsOn: opts?.dependsOn },
    );
    this.address = script.result.apply((r) => ipv4Result(`${name}: node IP`, r.address));
    this.deviceId = script.result.apply(() => "");
    this.registerOutputs({ address: this.address });
  }
}
