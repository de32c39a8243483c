import * as pulumi from "@pulumi/pulumi";
import type * as Tailscale from "@pulumi/tailscale";
import type { StackConfig } from "../../../model/stack-config";
import { tailnetPolicy } from "./policy";
import { tailscaleSdk } from "./sdk";

/**
 * Tailscale's API, with which the program creates auth keys and approves routes, and the tailnet's policy if the user lets the program
 * own it.
 */
export class TailnetApi extends pulumi.ComponentResource {
  public readonly provider: Tailscale.Provider;
  /** Must exist before a device logs in, because a key may only have tags that the policy defines. */
  public readonly policy: pulumi.Resource | undefined;

  constructor(
    name: string,
    { config, secrets }: Pick<StackConfig, "config" | "secrets">,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    super("tailkube:tailnet:Api", name, {}, opts);
    const tailscale = tailscaleSdk();
    const { tailnet } = config;
    this.provider = new tailscale.Provider(
      `${name}-tailscale`,
      {
        baseUrl: tailnet.api,
        ...(secrets.tailnetOauthClientSecret === undefined
          ? { apiKey: secrets.tailnetApiKey }
          : { oauthClientId: tailnet.oauthClientId, oauthClientSecret: secrets.tailnetOauthClientSecret }),
      },
      { parent: this },
    );
    this.policy =
      tailnet.routeApproval !== "policy"
        ? undefined
        : new tailscale.Acl(
            `${name}-policy`,
            {
              acl: JSON.stringify(tailnetPolicy(config, tailnet.policy ?? {}), undefined, 2),
              // The user lets the program own the whole policy, so it replaces the existing one.
              overwriteExistingContent: true,
              // Without a policy, a tailnet allows all connections.
              resetAclOnDestroy: false,
            },
            { parent: this, provider: this.provider, retainOnDelete: true },
          );
    this.registerOutputs();
  }
}
