import * as pulumi from "@pulumi/pulumi";
import * as tailscale from "@pulumi/tailscale";
import type { TailnetApi } from "./api";

export interface ApproveRoutesArgs {
  api: TailnetApi;
  /** The device's stable ID. */
  deviceId: pulumi.Output<string>;
  /** All routes of the device that are to be approved: networks. */
  routes: pulumi.Input<pulumi.Input<string>[]>;
}

/**
 * The approval of what one node advertises, and of nothing else: the tailnet sends traffic by these routes only. They are
 * known when the node has joined, for its pod CIDR comes from the cluster.
 */
export function approveRoutes(
  name: string,
  args: ApproveRoutesArgs,
  opts: pulumi.CustomResourceOptions,
): tailscale.DeviceSubnetRoutes {
  return new tailscale.DeviceSubnetRoutes(
    name,
    { deviceId: args.deviceId, routes: args.routes },
    {
      ...opts,
      provider: args.api.provider,
      // The device takes them along. To be taken back they would need a device, which a lost host's may be no more; and a
      // cluster whose approval becomes somebody else's keeps its network meanwhile.
      retainOnDelete: true,
    },
  );
}
