import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../../model/config";
import { networkScript, scriptText } from "../../hosts/script-text";
import { GuardedScript } from "../../hosts/guarded-script";
import { ipv4Result, type ScriptTarget } from "../../hosts/remote-script";
import { packageVariables } from "../../hosts/packages";

export interface JoinTailnetArgs {
  host: ScriptTarget;
  config: ClusterConfig;
  authKey: pulumi.Input<string>;
  /** What the auth key has to give the device. */
  tags: readonly string[];
}

/** What a host in the tailnet says of itself. */
export interface JoinedTailnet {
  resource: pulumi.Resource;
  /** The node IP: this device's IPv4 address in the tailnet, as the host itself says. */
  address: pulumi.Output<string>;
  /** The device's stable ID at the coordination server. */
  deviceId: pulumi.Output<string>;
  /** Whose login it is: made by this program, or there before; undefined where a version before 0.2 has run the stage. */
  login: pulumi.Output<string | undefined>;
  /** Of a login that was there: the routes that the tailnet had approved for the device, networks. */
  approvedRoutes: pulumi.Output<string[]>;
}

/** A host in the tailnet: tailscaled installed and logged in, and the units that the node's other stages lean on. */
export function joinTailnet(name: string, args: JoinTailnetArgs, opts: pulumi.CustomResourceOptions): JoinedTailnet {
  const { config, host } = args;
  const script = new GuardedScript(
    name,
    {
      host,
      stage: "tailnet",
      variables: {
        TK_AUTH_KEY: args.authKey,
        TK_LOGIN_SERVER: config.tailnet.loginServer,
        TK_TAGS: args.tags.join(" "),
        TK_BUNDLE: config.bundle ?? "",
        TK_TAILSCALE_VERSION: config.tailscaleVersion ?? "",
        ...packageVariables(config, "tailscale"),
        TK_ENDPOINT: config.endpoint.address,
        TK_POD_CIDR: config.podCidr,
        TK_POD_ROUTING: config.podRouting,
        TK_HOST_ROUTES: scriptText("installed/routes.sh"),
        TK_HOST_NETWORK: networkScript(),
        TK_HOST_WAIT_ADDRESS: scriptText("installed/wait-address.sh"),
        TK_HOST_CILIUM: scriptText("installed/cilium.sh"),
      },
      timeoutSeconds: 600,
    },
    // With what is made of the old device's ID: that device has the node's name until it is deleted.
    { ...opts, deleteBeforeReplace: true },
  );
  script.result.apply((r) => {
    // Another login keeps its name.
    if (r.login !== "found" && r.deviceName !== host.name) {
      void pulumi.log.warn(
        `${host.name} is called ${r.deviceName} in the tailnet: a stale device holds its name. Delete that one in the ` +
          "tailnet's console; nothing in the cluster depends on the name.",
        script,
      );
    }
  });
  return {
    resource: script,
    address: script.result.apply((r) => ipv4Result(`${host.name}: node IP`, r.address)),
    deviceId: script.result.apply((r) => r.deviceId ?? ""),
    login: script.result.apply((r) => r.login),
    approvedRoutes: script.result.apply((r) => (r.approvedRoutes ?? "").split(" ").filter(Boolean)),
  };
}
