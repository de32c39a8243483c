import * as pulumi from "@pulumi/pulumi";
import type { TailnetApi } from "./api";
import { tailscaleSdk } from "./sdk";

export interface MakeAuthKeyArgs {
  api: TailnetApi;
  /** Of the node's device. */
  tags: string[];
  /** Node name. */
  node: string;
  /** Of the host: another machine needs another key, for the first one's is spent. */
  identity: pulumi.Output<string>;
}

/** How long a key is good for that no device has used, in seconds: an `up` that failed before may be mended within that. */
const keySeconds = 7 * 24 * 3600;

export interface MadeAuthKey {
  resource: pulumi.Resource;
  /** Secret. */
  key: pulumi.Output<string>;
}

/**
 * The auth key of one node: good for one login, with the node's tags, and without anybody who has to admit the device. It is
 * spent by the time that the node is in the tailnet, and is not made again then.
 */
export function makeAuthKey(name: string, args: MakeAuthKeyArgs, opts: pulumi.CustomResourceOptions): MadeAuthKey {
  const tailscale = tailscaleSdk();
  const { api, tags } = args;
  const key = new tailscale.TailnetKey(
    name,
    {
      reusable: false,
      ephemeral: false,
      preauthorized: true,
      tags,
      expiry: keySeconds,
      recreateIfInvalid: "never",
      // At most 50 letters, digits, hyphens and spaces. Any change of it makes another key.
      description: args.identity.apply((identity) => `tailkube ${args.node.slice(0, 24)} ${identity}`),
    },
    { ...opts, provider: api.provider },
  );
  return { resource: key, key: pulumi.secret(key.key) };
}
