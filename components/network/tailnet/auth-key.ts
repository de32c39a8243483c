import * as pulumi from "@pulumi/pulumi";
import type { TailnetApi } from "./api";
import { tailscaleSdk } from "./sdk";

export interface MakeAuthKeyArgs {
  api: TailnetApi;
  /** Tags of the node's device. */
  tags: string[];
  /** Node name. */
  node: string;
  /** Of the host: a new machine needs a new key, because the old one has been used. */
  identity: pulumi.Output<string>;
}

/** Lifetime of an unused key, in seconds: long enough to fix and repeat a failed `up`. */
const keySeconds = 7 * 24 * 3600;

export interface MadeAuthKey {
  resource: pulumi.Resource;
  /** Secret. */
  key: pulumi.Output<string>;
}

/**
 * The auth key of one node: for a single login, with the node's tags, and pre-approved. After the node has joined the tailnet, the key is
 * used up and is not created again.
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
      // At most 50 letters, digits, hyphens and spaces. A change creates a new key.
      description: args.identity.apply((identity) => `tailkube ${args.node.slice(0, 24)} ${identity}`),
    },
    { ...opts, provider: api.provider },
  );
  return { resource: key, key: pulumi.secret(key.key) };
}
