/** The files that API servers read beside their certificates. The same arguments give the same text. */
import { createHash, hkdfSync } from "node:crypto";
import { stringify } from "yaml";
import type { ClusterConfig } from "../../../model/config";
import { jwtAuthenticators } from "../settings/oidc";

export type Hardening = Pick<ClusterConfig, "security" | "settings">;

/** Paths that need no credentials, for kubeadm's probes of the API server and the endpoint watch. */
const healthPaths = ["/livez", "/readyz", "/healthz"];

/** The key that encrypts Secrets in etcd. */
export interface EncryptionKey {
  /** Identifies the key without revealing it. */
  name: string;
  /** 32 bytes, base64. Secret. */
  secret: string;
}

/**
 * The cluster's key for Secrets, derived from the seed in the stack's state, so that restored clusters and clusters from before the
 * encryption have it, too. HKDF (RFC 5869) separates it from the tokens, which use the same seed. Throws on an empty seed.
 */
export function encryptionKey(seed: string): EncryptionKey {
  if (seed === "") throw new Error("the key for Secrets needs a seed that is not empty");
  const bytes = Buffer.from(hkdfSync("sha256", seed, "", "tailkube: encryption of Secrets in etcd", 32));
  const name = `key-${createHash("sha256").update(bytes).digest("hex").slice(0, 8)}`;
  return { name, secret: bytes.toString("base64") };
}

/**
 * The API server's EncryptionConfiguration. The first provider writes; both can read. secretbox (XSalsa20 and Poly1305) is the strongest
 * provider that needs no other service (https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data).
 *
 * @param encrypts whether Secrets are written encrypted.
 */
export function encryptionConfiguration(key: EncryptionKey, encrypts: boolean): string {
  const secretbox = { secretbox: { keys: [key] } };
  const identity = { identity: {} };
  return yaml({
    apiVersion: "apiserver.config.k8s.io/v1",
    kind: "EncryptionConfiguration",
    resources: [{ resources: ["secrets"], providers: encrypts ? [secretbox, identity] : [identity, secretbox] }],
  });
}

/**
 * The audit log has the user, action and object of requests, but no bodies, so no Secret's content. It leaves out the routine requests of
 * nodes and controllers.
 */
export function auditPolicy(): string {
  const core = "";
  return yaml({
    apiVersion: "audit.k8s.io/v1",
    kind: "Policy",
    omitStages: ["RequestReceived"],
    rules: [
      {
        level: "None",
        nonResourceURLs: [...healthPaths.map((path) => `${path}*`), "/version", "/metrics", "/openapi/*"],
      },
      { level: "None", resources: [{ group: core, resources: ["events"] }, { group: "events.k8s.io" }] },
      { level: "None", resources: [{ group: "coordination.k8s.io", resources: ["leases"] }] },
      // Before the next rule, so that reads of these are logged even for nodes.
      {
        level: "Metadata",
        resources: [
          { group: core, resources: ["secrets", "configmaps", "serviceaccounts/token"] },
          { group: "authentication.k8s.io", resources: ["tokenreviews"] },
        ],
      },
      {
        level: "None",
        userGroups: ["system:nodes", "system:serviceaccounts:kube-system"],
        verbs: ["get", "list", "watch"],
      },
      {
        level: "None",
        users: ["system:kube-controller-manager", "system:kube-scheduler", "system:apiserver"],
        verbs: ["get", "list", "watch"],
      },
      {
        level: "None",
        userGroups: ["system:nodes"],
        verbs: ["update", "patch"],
        resources: [{ group: core, resources: ["nodes/status", "pods/status"] }],
      },
      { level: "Metadata" },
    ],
  });
}

/**
 * AuthenticationConfiguration that allows anonymous requests only on the health paths, and accepts the tokens of the OIDC issuers;
 * undefined if it would say neither.
 */
export function authenticationConfiguration({ security, settings }: Hardening): string | undefined {
  const jwt = jwtAuthenticators(settings?.oidc ?? []);
  if (security.anonymousRequests === "all" && jwt.length === 0) return undefined;
  return yaml({
    apiVersion: "apiserver.config.k8s.io/v1beta1",
    kind: "AuthenticationConfiguration",
    ...(security.anonymousRequests !== "all" && {
      anonymous: { enabled: true, conditions: healthPaths.map((path) => ({ path })) },
    }),
    ...(jwt.length > 0 && { jwt }),
  });
}

/** AdmissionConfiguration of the plugins that need one; undefined if none does. */
export function admissionConfiguration({ security }: Hardening): string | undefined {
  const level = security.podSecurity;
  const plugins = [
    ...(security.eventRateLimit
      ? [
          {
            name: "EventRateLimit",
            configuration: {
              apiVersion: "eventratelimit.admission.k8s.io/v1alpha1",
              kind: "Configuration",
              // One namespace or node must not use up the capacity of all. A busy node sends a few events per second.
              limits: [
                { type: "Namespace", qps: 50, burst: 500, cacheSize: 2000 },
                { type: "User", qps: 50, burst: 500, cacheSize: 2000 },
              ],
            },
          },
        ]
      : []),
    ...(level !== "privileged"
      ? [
          {
            name: "PodSecurity",
            configuration: {
              apiVersion: "pod-security.admission.config.k8s.io/v1",
              kind: "PodSecurityConfiguration",
              defaults: Object.fromEntries(
                ["enforce", "audit", "warn"].flatMap((mode) => [
                  [mode, level],
                  [`${mode}-version`, "latest"],
                ]),
              ),
              // Cilium and the control plane live there.
              exemptions: { namespaces: ["kube-system"] },
            },
          },
        ]
      : []),
  ];
  return plugins.length === 0
    ? undefined
    : yaml({ apiVersion: "apiserver.config.k8s.io/v1", kind: "AdmissionConfiguration", plugins });
}

// Without anchors, for any YAML parser, and without a line break at the end, which the script adds.
function yaml(content: object): string {
  return stringify(content, { aliasDuplicateObjects: false, lineWidth: 0 }).trimEnd();
}
