import type * as Tailscale from "@pulumi/tailscale";
import { optionalPackage } from "../../../model/optional-package";

/** The SDK of Tailscale's API, loaded only if needed. */
export const tailscaleSdk = () =>
  optionalPackage(
    "@pulumi/tailscale",
    "A cluster without a tailnetAuthKey, or with tailnet.routeApproval,",
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- not at the start
    () => require("@pulumi/tailscale") as typeof Tailscale,
  );
