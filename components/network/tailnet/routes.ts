import * as pulumi from "@pulumi/pulumi";
import type * as tailscale from "@pulumi/tailscale";
import type { TailnetApi } from "./api";
import { tailscaleSdk } from "./sdk";

export interface ApproveRoutesArgs {
  api: TailnetApi;
  /** The device's stable ID. */
  deviceId: pulumi.Output<string>;
  /** The node's routes (networks). */
  routes: pulumi.Input<string>[];
  /** Routes (networks) that were approved before the device became a node. They stay approved. */
  approvedBefore: pulumi.Input<string[]>;
}

/**
 * Approves the routes of a node, in addition to those approved earlier: the tailnet uses only approved routes. They are known when the
 * node has joined, because its pod CIDR comes from the cluster.
 */
export function approveRoutes(
  name: string,
  args: ApproveRoutesArgs,
  opts: pulumi.CustomResourceOptions,
): tailscale.DeviceSubnetRoutes {
  return new (tailscaleSdk().DeviceSubnetRoutes)(
    name,
    {
      deviceId: args.deviceId,
      routes: pulumi
        .all([pulumi.all(args.routes), args.approvedBefore])
        .apply(([routes, before]) => [...new Set([...routes, ...before])]),
    },
    {
      ...opts,
      provider: args.api.provider,
      // The routes disappear with the device; withdrawing them would fail without one. And if a cluster changes to another kind of
      // approval, it must keep its network.
      retainOnDelete: true,
    },
  );
}
