import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { scriptText } from "../../hosts/script-text";

export interface TailnetDeviceArgs {
  /** The device's stable ID, as the host reports it. */
  deviceId: pulumi.Output<string>;
  /** JoinedNetwork.login: only a device that this program has logged in is deleted. */
  login: pulumi.Output<string | undefined>;
  /** Node name, for messages. */
  node: string;
  /** The tailnet's API: its URL, and an access token that may delete devices, or the secret of the OAuth client. */
  api: { url: string; key: pulumi.Output<string>; oauthClientId?: string };
}

/**
 * Deletes a node's device from the tailnet: a device stays in the list even after a logout, and a lost host cannot log out. The operator's
 * machine uses the tailnet's API when the resource is deleted, or when the node has another device. It never fails: a device that it
 * cannot delete is a warning.
 */
export function tailnetDevice(
  name: string,
  args: TailnetDeviceArgs,
  opts: pulumi.CustomResourceOptions,
): local.Command {
  return new local.Command(
    name,
    {
      delete: scriptText("operator/tailnet-device.sh"),
      environment: {
        TK_API: args.api.url,
        TK_DEVICE: args.deviceId,
        TK_LOGIN: args.login.apply((login) => login ?? ""),
        TK_NODE: args.node,
        ...(args.api.oauthClientId !== undefined && { TK_OAUTH_CLIENT: args.api.oauthClientId }),
      },
      stdin: pulumi.secret(args.api.key),
      logging: local.Logging.Stderr,
      addPreviousOutputInEnv: false,
      triggers: [args.deviceId],
    },
    // The stale device is deleted first, because it has the node's name.
    { ...opts, deleteBeforeReplace: true },
  );
}
