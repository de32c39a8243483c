import * as pulumi from "@pulumi/pulumi";
import type * as tailscale from "@pulumi/tailscale";
import type { TailnetApi } from "./api";
import { tailscaleSdk } from "./sdk";

export interface ApproveRoutesArgs {
  api: TailnetApi;
  /** The device's stable ID. */
  deviceId: pulumi.Output<string>;
  /** Routes of the node that are to be approved: networks. */
  routes: pulumi.Input<string>[];
  /** What was approved for the device before it was a node: networks. It stays approved. */
  approvedBefore: pulumi.Input<string[]>;
}

/**
 * The approval of what one node advertises, beside what was approved for its device before: the tailnet sends traffic by these
 * routes only. They are known when the node has joined, for its pod CIDR comes from the cluster.
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
      // They go with the device. Withdrawing them needs a device, and that of a lost host may be gone. A cluster whose routes are
      // approved in another way from now on keeps its network.
      retainOnDelete: true,
    },
  );
}
