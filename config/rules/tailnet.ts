/** Rules of the tailnet's API: who makes auth keys, and who approves routes. */
import { isIPv4, overlap, tailnetRange } from "../../model/cidr";
import { isValues, type Values } from "../../model/merge";
import { valueText } from "../../model/messages";
import { type Problem, resting } from "../../model/problem";
import type { ReadFile } from "../source";
import { defaultPodCidr } from "../schema/networks";
import { fileKeyOf, fileOf, type SecretKey } from "../schema/secrets";
import type { StackValues } from "../schema/stack";
import { tailscaleLoginServer } from "../schema/tailnet";
import type { ClusterConfig } from "../../model/config";
import type { Given } from "./rule";

/** Whether a secret is set, or the file that holds it. */
export function isGiven(values: StackValues, key: SecretKey): boolean {
  return values[key] !== undefined || fileOf(values, key) !== undefined;
}

/** Whether the stack has what the tailnet's API asks for: an access token, or an OAuth client. */
function hasTailnetApi(values: StackValues): boolean {
  return isGiven(values, "tailnetApiKey") || isGiven(values, "tailnetOauthClientSecret");
}

/** Whether the program makes the auth keys: none is given, and the tailnet is Tailscale's own, whose API can make one. */
export function makesAuthKeys(values: StackValues): boolean {
  return (
    values.nodeNetwork !== "lan" &&
    !isGiven(values, "tailnetAuthKey") &&
    hasTailnetApi(values) &&
    values.tailnet.loginServer === tailscaleLoginServer
  );
}

/** Who approves the nodes' routes: as the user says, or who makes the keys. */
export function routeApproval(values: StackValues): ClusterConfig["tailnet"]["routeApproval"] {
  return values.tailnet.routeApproval ?? (makesAuthKeys(values) ? "devices" : "none");
}

/** A problem for each contradiction between the keys of the tailnet's API. A lan has none of them. */
export function tailnetApiProblems({ values }: Given): Problem[] {
  if (values.nodeNetwork === "lan") {
    return [];
  }
  return resting(
    [...accessProblems(values), ...approvalProblems(values), ...controlPlaneProblems(values)],
    "nodeNetwork",
  );
}

function accessProblems(values: StackValues): Problem[] {
  const hasSecret = isGiven(values, "tailnetOauthClientSecret");
  const hasClient = values.tailnet.oauthClientId !== undefined;
  const found: Problem[] = [];
  if (hasSecret && !hasClient) {
    found.push({ path: "tailnet.oauthClientId", allowed: "the ID of the OAuth client whose secret is set" });
  }
  if (!hasSecret && hasClient) {
    found.push({
      path: "tailnetOauthClientSecret",
      allowed: "the secret of the OAuth client that tailnet.oauthClientId names",
      fix: "Set it (pulumi config set --secret tailnetOauthClientSecret), or remove tailnet.oauthClientId.",
    });
  }
  if (hasSecret && isGiven(values, "tailnetApiKey")) {
    const wrong = "it is set, and an OAuth client too";
    found.push({ path: "tailnetApiKey", wrong, allowed: "one of them", fix: "Remove the other." });
  }
  return found;
}

function approvalProblems(values: StackValues): Problem[] {
  const approval = routeApproval(values);
  const file = values.tailnet.policyFile;
  const found: Problem[] = [];
  if (approval !== "none" && !hasTailnetApi(values)) {
    const allowed = "none without tailnetApiKey or an OAuth client";
    found.push({ path: "tailnet.routeApproval", got: approval, allowed, fix: "Set one of these, or remove the key." });
  }
  if (approval === "policy" && file === undefined) {
    const allowed =
      "with tailnet.routeApproval policy, the file with the tailnet's whole policy: the program's would replace it";
    found.push({ path: "tailnet.policyFile", allowed });
  }
  if (approval !== "policy" && file !== undefined) {
    const allowed = "nothing without tailnet.routeApproval: policy";
    found.push({ path: "tailnet.policyFile", got: file, allowed, fix: "Set that, or remove the key." });
  }
  return resting(found, "tailnet.routeApproval");
}

/** Contradictions between the control planes' own tag and key, and the others'. */
function controlPlaneProblems(values: StackValues): Problem[] {
  const { controlPlaneTag: tag, tag: sharedTag } = values.tailnet;
  const hasKey = isGiven(values, "tailnetControlPlaneAuthKey");
  const isMade = makesAuthKeys(values);
  const found: Problem[] = [];
  if (tag === sharedTag) {
    const allowed = "another tag than tailnet.tag, which all nodes have";
    found.push({ path: "tailnet.controlPlaneTag", got: tag, allowed, fix: "Choose another.", about: ["tailnet.tag"] });
  }
  if (tag !== undefined && !isMade && !hasKey) {
    found.push({
      path: "tailnetControlPlaneAuthKey",
      allowed: `with tailnet.controlPlaneTag, an auth key with both tags, ${sharedTag} and ${tag}, for the control planes`,
      fix:
        "Set it (pulumi config set --secret tailnetControlPlaneAuthKey), or name its " +
        `file in ${fileKeyOf("tailnetControlPlaneAuthKey")}.`,
      about: ["tailnet.tag", "tailnet.controlPlaneTag", "tailnet.loginServer"],
    });
  }
  if (hasKey && (tag === undefined || isMade)) {
    found.push({
      path: "tailnetControlPlaneAuthKey",
      wrong: `it is set, ${isMade ? "and the program makes the keys" : "but tailnet.controlPlaneTag is not"}`,
      allowed: `nothing ${isMade ? "without tailnetAuthKey" : "without that tag"}`,
      fix: "Set that, or remove the key.",
      about: [isMade ? "tailnet.loginServer" : "tailnet.controlPlaneTag"],
    });
  }
  return found;
}

/** What is allowed in a tailnet but unwise, a line each. */
export function tailnetWarnings(values: StackValues): string[] {
  if (values.nodeNetwork === "lan") {
    return [];
  }
  const { api } = values.tailnet;
  return [
    ...(hasTailnetApi(values) && api.startsWith("http://") && !isPrivate(hostOf(api))
      ? [
          `tailnet.api: ${valueText(api)} sends the API's token over the network in plain, for everybody on the way to read. ` +
            "Use an https:// URL.",
        ]
      : []),
    ...(values.endpoint.address !== undefined &&
    values.network.podCidr === defaultPodCidr &&
    values.network.podRouting !== "vxlan"
      ? [
          "network.podCidr: it is the default, and endpoint.address is not. Clusters in one tailnet need a podCidr each, for their nodes advertise " +
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
export function readPolicy(values: StackValues, readFile: ReadFile, problems: Problem[]): Values | undefined {
  const path = values.tailnet.policyFile;
  if (path === undefined || values.nodeNetwork === "lan") {
    return undefined;
  }
  const wrong = (what: string, fix: string) =>
    problems.push({
      path: "tailnet.policyFile",
      got: path,
      wrong: what,
      allowed: "a file with the tailnet's policy as JSON, without comments; a relative path is relative to the project",
      fix,
      about: ["nodeNetwork"],
    });
  try {
    const policy: unknown = JSON.parse(readFile(path));
    if (isValues(policy)) {
      return policy;
    }
    wrong("holds no object", "Correct the file.");
  } catch (error) {
    const { code } = error as { code?: unknown };
    wrong(`cannot be read (${typeof code === "string" ? code : "it is no JSON"})`, "Correct the path or the file.");
  }
  return undefined;
}
