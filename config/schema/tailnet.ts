/** The `tailnet` group of a stack's config. */
import { choice, file, group, key, release, text, wholeNumber, yesOrNo } from "./fields";

/** Tailscale's own coordination server. */
export const tailscaleLoginServer = "https://controlplane.tailscale.com";
const tailscaleApi = "https://api.tailscale.com";
/** Default tag of the nodes' devices. */
export const defaultTag = "tag:k8s";
/** The minimum MTU of IPv6 and Tailscale's default (https://tailscale.com/kb/1023), in bytes. */
export const smallestTailnetMtu = 1280;

const url = (example: string) => text(/^https?:\/\/[^\s/]+/, `a URL such as ${example}`);
const tag = (example: string) => text(/^tag:[A-Za-z][A-Za-z0-9-]*$/, `a tag such as ${example}`);
const secretFile = (of: string) => key(file().optional(), `File on this machine with ${of}, relative to the project.`);

export const tailnetSchema = key(
  group(
    {
      loginServer: key(
        url(tailscaleLoginServer).default(tailscaleLoginServer),
        "URL of the tailnet's coordination server.",
      ),
      tag: key(
        tag(defaultTag).default(defaultTag),
        "Tag of the nodes' devices in the tailnet. The auth key must assign it.",
      ),
      controlPlaneTag: key(
        tag("tag:k8s-control-plane").optional(),
        "Second tag, only for control planes' devices. With it, the tailnet's policy can reserve the endpoint's route for control planes.",
      ),
      mtu: key(
        wholeNumber(smallestTailnetMtu, 65535, "bytes").default(smallestTailnetMtu),
        "MTU of tailscale0 in bytes, at least 1280.",
      ),
      udpGroForwarding: key(
        yesOrNo().default(false),
        "Whether the NICs of the hosts' default routes forward UDP in batches (rx-udp-gro-forwarding), as Tailscale recommends for subnet " +
          "routers. Only Linux 6.2 and newer make use of it.",
      ),
      authKeyFile: secretFile("the tailnet's auth key"),
      controlPlaneAuthKeyFile: secretFile("the control planes' auth key"),
      api: key(
        url(tailscaleApi).default(tailscaleApi),
        "URL of the tailnet's API. The program uses it to delete devices, create auth keys and approve routes.",
      ),
      apiKeyFile: secretFile("the access token of the tailnet's API"),
      oauthClientId: key(
        text(/^[A-Za-z0-9]+$/, "the ID of an OAuth client, letters and digits").optional(),
        "ID of an OAuth client of Tailscale's API, as an alternative to tailnetApiKey.",
      ),
      oauthClientSecretFile: secretFile("the OAuth client's secret"),
      routeApproval: key(
        choice(["none", "devices", "policy"]).optional(),
        "How the nodes' routes are approved. none (by the tailnet's policy or by hand), devices (by the program, for each device), or " +
          "policy (the program owns the tailnet's whole policy, see policyFile). Default: devices if the program creates the auth keys, " +
          "otherwise none.",
      ),
      policyFile: key(
        file().optional(),
        "With routeApproval policy, the file on this machine with the tailnet's whole policy as JSON. The program adds what the cluster " +
          "needs, and the result replaces the tailnet's policy.",
      ),
      tailscaleVersion: key(
        release("1.102.5").optional(),
        "Tailscale version on the hosts, without v. Default: the installed version, or the newest if none is installed; with a bundle, " +
          "the bundle's version, except on hosts that had their own.",
      ),
    },
    "{ loginServer: https://headscale.example.com }",
  ),
  "The tailnet, with nodeNetwork tailnet. Its secrets are keys of their own.",
  {
    title: "TailnetArgs",
    examples: [
      {
        loginServer: "https://headscale.example.com",
        tag: "tag:k8s",
        mtu: 1400,
        apiKeyFile: "secret/headscale-api-key",
      },
    ],
  },
);
