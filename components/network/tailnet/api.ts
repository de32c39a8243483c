import * as pulumi from "@pulumi/pulumi";
import type * as Tailscale from "@pulumi/tailscale";
import type { StackConfig } from "../../../model/stack-config";
import { tailnetPolicy } from "./policy";
import { tailscaleSdk } from "./sdk";

/**
 * Tailscale's API, by which the program makes auth keys and approves routes, and the policy of the tailnet where the user
 * lets the program own it.
 */
export class TailnetApi extends pulumi.ComponentResource {
  public readonly provider: Tailscale.Provider;
  /** What has to be there before a device logs in: a key may only have a tag that the policy knows. */
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
              // The user has given the whole policy to the program, and it replaces the one that is there.
              overwriteExistingContent: true,
              // Without one, a tailnet lets everybody reach everything.
              resetAclOnDestroy: false,
            },
            { parent: this, provider: this.provider, retainOnDelete: true },
          );
    this.registerOutputs();
  }
}
