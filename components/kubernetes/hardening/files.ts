/** The files that API servers read beside their certificates. The same arguments give the same text. */
import { createHash, hkdfSync } from "node:crypto";
import { stringify } from "yaml";
import type { SecurityConfig } from "../../../model/config";

/** What the hardening is made of. */
export interface Hardening {
  security: SecurityConfig;
}

/** Paths that may be asked without credentials: kubeadm's probes of the API server, and the watch of the endpoint. */
const healthPaths = ["/livez", "/readyz", "/healthz"];

/** The key by which Secrets are encrypted in etcd. */
export interface EncryptionKey {
  /** Names the key wherever it was used; tells nothing of it. */
  name: string;
  /** 32 bytes, base64. Secret. */
  secret: string;
}

/**
 * The cluster's key for Secrets, from the seed that the stack's state keeps since the cluster was made: a cluster that is
 * older than the encryption has its key, too, and so has one that is restored. HKDF (RFC 5869) keeps it apart from the
 * tokens of the same seed. Throws on an empty seed.
 */
export function encryptionKey(seed: string): EncryptionKey {
  if (seed === "") throw new Error("the key for Secrets needs a seed that is not empty");
  const bytes = Buffer.from(hkdfSync("sha256", seed, "", "tailkube: encryption of Secrets in etcd", 32));
  const name = `key-${createHash("sha256").update(bytes).digest("hex").slice(0, 8)}`;
  return { name, secret: bytes.toString("base64") };
}

/**
 * The API server's EncryptionConfiguration. Both providers are always there, so that what either wrote is readable; the
 * first one writes. secretbox (XSalsa20 and Poly1305) is the strongest that needs no service beside the API server
 * (https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data).
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
 * What the audit log holds: who did what to which object, and no body of any request or answer, so no Secret's content.
 * Left out is what nodes and controllers do all the time and nobody would look for.
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
      // Metadata before the next rule: who reads these is worth knowing, be it a node.
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
 * AuthenticationConfiguration that allows anonymous requests on the health paths alone; undefined where all are allowed.
 */
export function authenticationConfiguration(a: Hardening): string | undefined {
  if (a.security.anonymousRequests === "all") return undefined;
  return yaml({
    apiVersion: "apiserver.config.k8s.io/v1beta1",
    kind: "AuthenticationConfiguration",
    anonymous: { enabled: true, conditions: healthPaths.map((path) => ({ path })) },
  });
}

/** AdmissionConfiguration of the plugins that have any; undefined if none has. */
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
              // One namespace or node that runs wild must not drown the rest. A busy node sends a handful a second.
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

// Without anchors: a list that is named twice is written twice, for readers of any YAML. No line break at the end, which
// the script adds.
function yaml(content: object): string {
  return stringify(content, { aliasDuplicateObjects: false, lineWidth: 0 }).trimEnd();
}
