import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../../model/config";
import { scriptText } from "../../hosts/script-text";
import { GuardedScript } from "../../hosts/guarded-script";
import { ipv4Result, type ScriptTarget } from "../../hosts/remote-script";
import { packageVariables } from "../../hosts/packages";

export interface TailnetNodeArgs {
  host: ScriptTarget;
  config: ClusterConfig;
  authKey: pulumi.Input<string>;
  /** What the auth key has to give the device. */
  tags: readonly string[];
}

/** A host in the tailnet: tailscaled installed and logged in, and the units that the node's other stages lean on. */
export class TailnetNode extends pulumi.ComponentResource {
  /** The node IP: this device's IPv4 address in the tailnet, as the host itself says. */
  public readonly address: pulumi.Output<string>;
  /** The device's stable ID at the coordination server. */
  public readonly deviceId: pulumi.Output<string>;
  /** Whose login it is: made by this program, or there before; undefined where a version before 0.2 has run the stage. */
  public readonly login: pulumi.Output<string | undefined>;
  /** Of a login that was there: the routes that the tailnet had approved for the device, networks. */
  public readonly approvedRoutes: pulumi.Output<string[]>;

  constructor(name: string, args: TailnetNodeArgs, opts?: pulumi.ComponentResourceOptions) {
    super("tailkube:tailnet:Node", name, {}, opts);
    const { config, host } = args;
    const script = new GuardedScript(
      `${name}-tailnet`,
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
          TK_HOST_NETWORK: scriptText("installed/network.sh"),
          TK_HOST_WAIT_ADDRESS: scriptText("installed/wait-address.sh"),
          TK_HOST_CILIUM: scriptText("installed/cilium.sh"),
        },
        timeoutSeconds: 600,
      },
      // With what is made of the old device's ID: that device has the node's name until it is deleted.
      { parent: this, dependsOn: opts?.dependsOn, deleteBeforeReplace: true },
    );
    this.address = script.result.apply((r) => ipv4Result(`${name}: node IP`, r.address));
    this.deviceId = script.result.apply((r) => r.deviceId ?? "");
    this.login = script.result.apply((r) => r.login);
    this.approvedRoutes = script.result.apply((r) => (r.approvedRoutes ?? "").split(" ").filter(Boolean));
    script.result.apply((r) => {
      // Another login keeps its name.
      if (r.login !== "found" && r.deviceName !== host.name) {
        void pulumi.log.warn(
          `${host.name} is called ${r.deviceName} in the tailnet: a stale device holds its name. Delete that one in the ` +
            "tailnet's console; nothing in the cluster depends on the name.",
          this,
        );
      }
    });
    this.registerOutputs({ address: this.address, deviceId: this.deviceId });
  }
}
