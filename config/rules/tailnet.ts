/** Rules of the tailnet's API: how auth keys are created, and how routes are approved. */
import { isIPv4, overlap, tailnetRange } from "../../model/cidr";
import { isValues, type Values } from "../../model/merge";
import { valueText } from "../../model/messages";
import { type Problem, resting } from "../../model/problem";
import type { ReadFile } from "../source";
import { numberedNetworks } from "../../model/cluster-number";
import { networksOf } from "../networks";
import { fileKeyOf, fileOf, type SecretKey } from "../schema/secrets";
import type { StackValues } from "../schema/stack";
import { tailscaleLoginServer } from "../schema/tailnet";
import type { ClusterConfig } from "../../model/config";
import type { Given } from "./rule";

/** Whether a secret, or its file, is set. */
export function isGiven(values: StackValues, key: SecretKey): boolean {
  return values[key] !== undefined || fileOf(values, key) !== undefined;
}

/** Whether the stack has credentials for the tailnet's API: an access token, or an OAuth client. */
function hasTailnetApi(values: StackValues): boolean {
  return isGiven(values, "tailnetApiKey") || isGiven(values, "tailnetOauthClientSecret");
}

/** Whether the program creates the auth keys: none is set, and the tailnet is Tailscale's own, whose API can create keys. */
export function makesAuthKeys(values: StackValues): boolean {
  return (
    values.nodeNetwork !== "lan" &&
    !isGiven(values, "tailnetAuthKey") &&
    hasTailnetApi(values) &&
    values.tailnet.loginServer === tailscaleLoginServer
  );
}

/** How the nodes' routes are approved. By default the program approves them if it creates the auth keys. */
export function routeApproval(values: StackValues): ClusterConfig["tailnet"]["routeApproval"] {
  return values.tailnet.routeApproval ?? (makesAuthKeys(values) ? "devices" : "none");
}

/** A problem for each contradiction between the keys of the tailnet's API. A lan has none of them. */
export function tailnetApiProblems({ values }: Given): Problem[] {
  if (values.nodeNetwork === "lan") return [];
  return resting(
    [...accessProblems(values), ...approvalProblems(values), ...controlPlaneProblems(values)],
    "nodeNetwork",
  );
}

/** What only a tailnet has. */
export function tailnetOnlyProblems({ values }: Given): Problem[] {
  if (values.nodeNetwork !== "lan" || !values.tailnet.udpGroForwarding) return [];
  const problem = { path: "tailnet.udpGroForwarding", got: true, wrong: "requires nodeNetwork tailnet" };
  return [{ ...problem, fix: "Remove it.", about: ["nodeNetwork"] }];
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
    const wrong = "it and an OAuth client are both set";
    found.push({ path: "tailnetApiKey", wrong, fix: "Remove one of them." });
  }
  return found;
}

function approvalProblems(values: StackValues): Problem[] {
  const approval = routeApproval(values);
  const file = values.tailnet.policyFile;
  const found: Problem[] = [];
  if (approval !== "none" && !hasTailnetApi(values)) {
    const wrong = "requires tailnetApiKey or an OAuth client";
    found.push({ path: "tailnet.routeApproval", got: approval, wrong, fix: "Set one of these, or remove the key." });
  }
  if (approval === "policy" && file === undefined) {
    const allowed =
      "with tailnet.routeApproval policy, the file with the tailnet's whole policy, because the program replaces it";
    found.push({ path: "tailnet.policyFile", allowed });
  }
  if (approval !== "policy" && file !== undefined) {
    const wrong = "requires tailnet.routeApproval: policy";
    found.push({ path: "tailnet.policyFile", got: file, wrong, fix: "Set that, or remove the key." });
  }
  return resting(found, "tailnet.routeApproval");
}

/** Contradictions between the tags and keys of control planes and of other nodes. */
function controlPlaneProblems(values: StackValues): Problem[] {
  const { controlPlaneTag: tag, tag: sharedTag } = values.tailnet;
  const hasKey = isGiven(values, "tailnetControlPlaneAuthKey");
  const isMade = makesAuthKeys(values);
  const found: Problem[] = [];
  if (tag === sharedTag) {
    const wrong = "is also tailnet.tag, which all nodes have";
    const fix = "Choose another tag.";
    found.push({ path: "tailnet.controlPlaneTag", got: tag, wrong, fix, about: ["tailnet.tag"] });
  }
  if (tag !== undefined && !isMade && !hasKey) {
    found.push({
      path: "tailnetControlPlaneAuthKey",
      allowed: `with tailnet.controlPlaneTag, an auth key for the control planes with both tags, ${sharedTag} and ${tag}`,
      fix:
        "Set it (pulumi config set --secret tailnetControlPlaneAuthKey), or name its " +
        `file in ${fileKeyOf("tailnetControlPlaneAuthKey")}.`,
      about: ["tailnet.tag", "tailnet.controlPlaneTag", "tailnet.loginServer"],
    });
  }
  if (hasKey && (tag === undefined || isMade)) {
    found.push({
      path: "tailnetControlPlaneAuthKey",
      wrong: `it is set, but ${isMade ? "the program creates the auth keys" : "tailnet.controlPlaneTag is not"}`,
      fix: `Set ${isMade ? "tailnetAuthKey" : "that tag"}, too, or remove the key.`,
      about: [isMade ? "tailnet.loginServer" : "tailnet.controlPlaneTag"],
    });
  }
  return found;
}

/** A line for each setting that is allowed but unwise. */
export function tailnetWarnings(values: StackValues): string[] {
  if (values.nodeNetwork === "lan") return [];
  const { api } = values.tailnet;
  return [
    ...(hasTailnetApi(values) && api.startsWith("http://") && !isPrivate(hostOf(api))
      ? [`tailnet.api: ${valueText(api)} sends the API's token unencrypted over the network. Use an https:// URL.`]
      : []),
    ...(values.endpoint.address !== undefined &&
    networksOf(values).podCidr === numberedNetworks(0).podCidr &&
    values.network.podRouting !== "vxlan"
      ? [
          "network.podCidr: it has its default value, but endpoint.address does not. Each cluster in a tailnet needs its own " +
            "podCidr, which its nodes advertise to all devices. If this tailnet has another cluster, choose another podCidr, or set network.number.",
        ]
      : []),
  ];
}

/** A URL's host, without user, port and path. */
const hostOf = (url: string) => /^http:\/\/(?:[^/@]*@)?(\[[^\]]*\]|[^:/]*)/.exec(url)?.[1] ?? "";

/** Whether requests to a URL's host stay on this machine or in a private network. */
function isPrivate(host: string): boolean {
  const networks = ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", tailnetRange];
  return ["localhost", "[::1]"].includes(host) || (isIPv4(host) && networks.some((one) => overlap(one, `${host}/32`)));
}

/** The tailnet's policy in the file that the stack names; undefined if it names none, or in a lan. */
export function readPolicy(values: StackValues, readFile: ReadFile, problems: Problem[]): Values | undefined {
  const path = values.tailnet.policyFile;
  if (path === undefined || values.nodeNetwork === "lan") return undefined;
  const wrong = (what: string, fix: string) =>
    problems.push({
      path: "tailnet.policyFile",
      got: path,
      wrong: what,
      allowed: "a file with the tailnet's policy as JSON, without comments; relative paths are relative to the project",
      fix,
      about: ["nodeNetwork"],
    });
  try {
    const policy: unknown = JSON.parse(readFile(path));
    if (isValues(policy)) return policy;
    wrong("does not contain a JSON object", "Correct the file.");
  } catch (error) {
    const { code } = error as { code?: unknown };
    wrong(`cannot be read (${typeof code === "string" ? code : "it is not JSON"})`, "Correct the path or the file.");
  }
  return undefined;
}
