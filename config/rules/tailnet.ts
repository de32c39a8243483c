/** Rules of the tailnet's API: who makes auth keys, and who approves routes. */
import { isIPv4, overlap, tailnetRange } from "../../model/cidr";
import { isValues, type Values } from "../../model/merge";
import { plainText, refused, valueText } from "../../model/messages";
import type { ReadFile } from "../source";
import { defaultTag, type StackValues, tailscaleLoginServer } from "../schema/stack";
import type { ClusterConfig } from "../../model/config";

/** The config keys that say how the tailnet's API is used, as far as they are known before they are checked. */
type Raw = Partial<Record<string, unknown>>;

/** Whether the stack has what the tailnet's API asks for: an access token, or an OAuth client. */
export function hasTailnetApi(raw: Raw): boolean {
  return ["tailnetApiKey", "tailnetApiKeyFile", "tailnetOauthClientSecret", "tailnetOauthClientSecretFile"].some(
    (key) => raw[key] !== undefined,
  );
}

/** Whether the program makes the auth keys: none is given, and the tailnet is Tailscale's own, whose API can make one. */
export function makesAuthKeys(raw: Raw): boolean {
  return (
    raw.nodeNetwork !== "lan" &&
    raw.tailnetAuthKey === undefined &&
    raw.tailnetAuthKeyFile === undefined &&
    hasTailnetApi(raw) &&
    [undefined, tailscaleLoginServer].includes(raw.tailnetLoginServer as string | undefined)
  );
}

/** Who approves the nodes' routes: as the user says, or who makes the keys. */
export function routeApproval(raw: Raw): ClusterConfig["tailnet"]["routeApproval"] {
  return (raw.tailnetRouteApproval as StackValues["tailnetRouteApproval"]) ?? (makesAuthKeys(raw) ? "devices" : "none");
}

/** A line for each contradiction between the keys of the tailnet's API. A lan has none of them. */
export function tailnetApiProblems(raw: Raw): string[] {
  if (raw.nodeNetwork === "lan") {
    return [];
  }
  const given = (key: string) => raw[key] !== undefined || raw[`${key}File`] !== undefined;
  const approval = routeApproval(raw);
  return [
    ...(given("tailnetOauthClientSecret") && raw.tailnetOauthClientId === undefined
      ? [refused("tailnetOauthClientId", undefined, "the ID of the OAuth client whose secret is set")]
      : []),
    ...(!given("tailnetOauthClientSecret") && raw.tailnetOauthClientId !== undefined
      ? [
          "tailnetOauthClientSecret: not set. Wanted: the secret of the OAuth client that tailnetOauthClientId names. Set it " +
            "(pulumi config set --secret tailnetOauthClientSecret), or remove tailnetOauthClientId.",
        ]
      : []),
    ...(given("tailnetOauthClientSecret") && given("tailnetApiKey")
      ? ["tailnetApiKey: it is set, and an OAuth client too. Allowed: one of them. Remove the other."]
      : []),
    ...(approval !== "none" && !hasTailnetApi(raw)
      ? [
          refused(
            "tailnetRouteApproval",
            approval,
            "none without tailnetApiKey or an OAuth client",
            "Set one of these, or remove the key.",
          ),
        ]
      : []),
    ...controlPlaneProblems(raw),
    ...(approval === "policy" && raw.tailnetPolicyFile === undefined
      ? [
          refused(
            "tailnetPolicyFile",
            undefined,
            "with tailnetRouteApproval policy, the file with the tailnet's whole policy: the program's would replace it",
          ),
        ]
      : []),
    ...(approval !== "policy" && raw.tailnetPolicyFile !== undefined
      ? [
          refused(
            "tailnetPolicyFile",
            raw.tailnetPolicyFile,
            "nothing without tailnetRouteApproval: policy",
            "Set that, or remove the key.",
          ),
        ]
      : []),
  ];
}

/** A line for each contradiction between the control planes' own tag and key, and the others'. */
function controlPlaneProblems(raw: Raw): string[] {
  const tag = raw.tailnetControlPlaneTag;
  const hasKey = raw.tailnetControlPlaneAuthKey !== undefined || raw.tailnetControlPlaneAuthKeyFile !== undefined;
  const isMade = makesAuthKeys(raw);
  const common = raw.tailnetTag ?? defaultTag;
  return [
    ...(tag !== undefined && tag === common
      ? [refused("tailnetControlPlaneTag", tag, `another tag than tailnetTag, which all nodes have`, "Choose another.")]
      : []),
    ...(tag !== undefined && !isMade && !hasKey
      ? [
          `tailnetControlPlaneAuthKey: not set. Wanted: with tailnetControlPlaneTag, an auth key with both tags, ${plainText(common)} and ` +
            `${plainText(tag)}, for the control planes. Set it (pulumi config set --secret tailnetControlPlaneAuthKey), or name its ` +
            "file in tailnetControlPlaneAuthKeyFile.",
        ]
      : []),
    ...(hasKey && (tag === undefined || isMade)
      ? [
          `tailnetControlPlaneAuthKey: it is set, ${isMade ? "and the program makes the keys" : "but tailnetControlPlaneTag is not"}. ` +
            `Allowed: nothing ${isMade ? "without tailnetAuthKey" : "without that tag"}. Set that, or remove the key.`,
        ]
      : []),
  ];
}

/** What is allowed in a tailnet but unwise, a line each. */
export function tailnetWarnings(raw: Raw): string[] {
  if (raw.nodeNetwork === "lan") {
    return [];
  }
  const api = plainText(raw.tailnetApi ?? "");
  return [
    ...(hasTailnetApi(raw) && api.startsWith("http://") && !isPrivate(hostOf(api))
      ? [
          `tailnetApi: ${valueText(api)} sends the API's token over the network in plain, for everybody on the way to read. ` +
            "Use an https:// URL.",
        ]
      : []),
    ...(raw.endpoint !== undefined && raw.podCidr === undefined && raw.podRouting !== "vxlan"
      ? [
          "podCidr: it is the default, and endpoint is not. Clusters in one tailnet need a podCidr each, for their nodes advertise " +
            "it to all devices: if there is another cluster, choose another podCidr, too.",
        ]
      : []),
  ];
}

/** A URL's host, without user, port and path. */
const hostOf = (url: string) => /^http:\/\/(?:[^/@]*@)?(\[[^\]]*\]|[^:/]*)/.exec(url)?.[1] ?? "";

/** Whether nothing that is sent to the host of a URL leaves this machine or a private network. */
function isPrivate(host: string): boolean {
  const networks = ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", tailnetRange];
  return ["localhost", "[::1]"].includes(host) || (isIPv4(host) && networks.some((one) => overlap(one, `${host}/32`)));
}

/** The tailnet's policy in the file that the stack names; undefined if it names none, or in a lan. */
export function readPolicy(raw: Raw, readFile: ReadFile, problems: string[]): Values | undefined {
  const path = raw.tailnetPolicyFile;
  if (typeof path !== "string" || raw.nodeNetwork === "lan") {
    return undefined;
  }
  const wanted =
    "Wanted: a file with the tailnet's policy as JSON, without comments; a relative path is relative to the project.";
  try {
    const policy: unknown = JSON.parse(readFile(path));
    if (isValues(policy)) {
      return policy;
    }
    problems.push(`tailnetPolicyFile: ${valueText(path)} holds no object. ${wanted} Correct the file.`);
  } catch (error) {
    const { code } = error as { code?: unknown };
    const why = typeof code === "string" ? code : "it is no JSON";
    problems.push(
      `tailnetPolicyFile: ${valueText(path)} cannot be read (${why}). ${wanted} Correct the path or the file.`,
    );
  }
  return undefined;
}
