/** Kubernetes' own settings: a part of the group `kubernetes` of a stack's config. */
import { z } from "zod";
import { longestRoundTrip } from "../../components/kubernetes/settings/etcd-timing";
import { anyText, freeForm, group, key, list, object, text, wholeNumber } from "./fields";

/** Fields of KubeletConfiguration. The program checks those that the cluster depends on, and kubeadm all others. */
export const kubeletFields = () => freeForm("an object with fields of KubeletConfiguration").default({});

/** Flags have no other characters. Kubernetes reads _ as -, so a name with it could hide one that the cluster depends on. */
const argument = object("an object with name and value", {
  name: key(
    text(/^[a-z][a-z0-9.-]*$/, "an argument without its dashes, such as event-ttl"),
    "Name of the argument, without its dashes.",
  ),
  value: key(
    z.preprocess(
      (v) => (typeof v === "boolean" ? String(v) : v),
      anyText("a text in one line").refine((v) => !/[\0-\x1f\x7f]/.test(v), { error: "a text in one line" }),
    ),
    "Its value. Anyone on a control plane can read it in the list of processes: put secrets into extraFiles.",
  ),
}).meta({ title: "ArgumentArgs" });

const extraArgs = (of: string) =>
  key(
    list("a list of arguments, each with name and value", argument).default([]),
    `Arguments of ${of}. A name may be there several times.`,
  );

const extraFile = object("an object with name and content", {
  name: key(
    text(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, "a file name such as webhook.yaml"),
    "Name of the file in the component's folder.",
  ),
  content: key(z.string({ error: "a text" }).min(1, { error: "a text" }), "Its content. May be a secret.", {
    isInput: true,
  }),
}).meta({ title: "ExtraFileArgs" });

const extraFiles = (folder: string) =>
  key(
    list("a list of files, each with name and content", extraFile).default([]),
    `Files that it can read, in /etc/kubernetes/tailkube/${folder} on each control plane. An argument or another file must name them.`,
  );

function component(of: string, folder: string, example: { name: string; value: string }) {
  return key(
    group(
      { extraArgs: extraArgs(of), extraFiles: extraFiles(folder) },
      `{ extraArgs: [{ name: ${example.name}, value: ${example.value} }] }`,
    ),
    `Settings of ${of}.`,
    { title: "ComponentArgs" },
  );
}

const featureGates = freeForm("an object of feature gates, each true or false")
  .superRefine((all, ctx) => {
    for (const [name, value] of Object.entries(all)) {
      if (!/^[A-Z][A-Za-z0-9]*$/.test(name)) {
        ctx.addIssue({ code: "custom", path: [name], message: "the name of a feature gate such as ImageVolume" });
      } else if (typeof value !== "boolean") {
        ctx.addIssue({ code: "custom", path: [name], message: "true or false" });
      }
    }
  })
  .default({});

const requiredClaims = freeForm("an object of claims and their values")
  .superRefine((all, ctx) => {
    for (const [name, value] of Object.entries(all)) {
      if (typeof value !== "string" || value === "") ctx.addIssue({ code: "custom", path: [name], message: "a text" });
    }
  })
  .default({});

/** A prefix that no user or group of Kubernetes' own begins with. */
const prefix = () =>
  text(/^(?!system:)[^\0-\x1f]+$/, "a text that does not begin with system:, such as oidc:").default("oidc:");

const issuer = object("an object with issuerUrl and audiences", {
  issuerUrl: key(
    text(/^https:\/\/[^\s@?#]+$/, "an https URL such as https://login.example.com/realms/main"),
    "URL of the issuer, exactly as in the claim iss of its tokens.",
  ),
  audiences: key(
    list("a list of client IDs", text(/^[^\0-\x1f]+$/, "a client ID such as kubernetes")).min(1, {
      error: "at least one client ID",
    }),
    "The client IDs for which tokens are accepted (claim aud).",
  ),
  ca: key(
    text(/^\s*-----BEGIN CERTIFICATE-----/, "CA certificates, PEM").optional(),
    "CA certificates of the issuer, PEM. Default: those in the API server's image.",
  ),
  usernameClaim: key(text(/^\S+$/, "a claim such as email").default("sub"), "The claim with the user's name."),
  usernamePrefix: key(prefix(), "Precedes each user's name."),
  groupsClaim: key(
    text(/^\S+$/, "a claim such as groups").optional(),
    "The claim with the user's groups. Default: none.",
  ),
  groupsPrefix: key(prefix(), "Precedes the name of each group."),
  requiredClaims: key(requiredClaims, "Claims that a token must have, with their values."),
}).meta({ title: "OidcArgs" });

export const kubernetesSettings = {
  apiServer: component("the API servers (kube-apiserver)", "api-server", { name: "event-ttl", value: "2h" }),
  controllerManager: component("the controller managers (kube-controller-manager)", "controller-manager", {
    name: "concurrent-gc-syncs",
    value: "30",
  }),
  scheduler: component("the schedulers (kube-scheduler)", "scheduler", { name: "v", value: "4" }),
  etcd: key(
    group(
      {
        extraArgs: extraArgs("etcd"),
        roundTripMilliseconds: key(
          wholeNumber(1, longestRoundTrip, "milliseconds").optional(),
          "Longest average round-trip time between two control planes, in milliseconds. etcd's heartbeat interval and election time-out " +
            "follow from it (docs/operate/wan.md). Default: etcd's own, for up to 100 ms.",
        ),
      },
      "{ extraArgs: [{ name: quota-backend-bytes, value: 4294967296 }] }",
    ),
    "Settings of etcd.",
  ),
  kubelet: key(kubeletFields(), "Fields of KubeletConfiguration (kubelet.config.k8s.io/v1beta1) for all nodes."),
  featureGates: key(featureGates, "Feature gates of the API servers, controller managers, schedulers and kubelets."),
  oidc: key(
    list("a list of issuers, each with issuerUrl and audiences", issuer).default([]),
    "OpenID Connect issuers whose tokens API servers accept.",
  ),
};
