import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { scriptText } from "../../hosts/script-text";

export interface TailnetDeviceArgs {
  /** The device's stable ID, as the host itself says. */
  deviceId: pulumi.Output<string>;
  /** Whose login it is (JoinedTailnet.login): only a device that this program has logged in is deleted. */
  login: pulumi.Output<string | undefined>;
  /** Node name, for messages. */
  node: string;
  /** The tailnet's API: its URL, and an access token that may delete devices, or the secret of the OAuth client. */
  api: { url: string; key: pulumi.Output<string>; oauthClientId?: string };
}

/**
 * A node's device in the tailnet, for its end: who logs out stays in the list of devices, and a host that is lost cannot even
 * do that. The operator's machine deletes the device by the tailnet's API when the resource goes, or when the node has got
 * another device. It never fails: what could not be deleted is a line of warning.
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
    // The stale device goes first. It holds the node's name.
    { ...opts, deleteBeforeReplace: true },
  );
}
