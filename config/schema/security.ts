/** The `security` section of a stack's config: what the cluster is hardened by. All of it is on unless a user takes it back. */
import { z } from "zod";
import { choice } from "./fields";

/** How much of what a plain kubeadm cluster leaves open is closed. docs/security.md says what each one does. */
export interface SecurityConfig {
  /** Whether Secrets are encrypted in etcd. Either way every API server can read both kinds. */
  secretsEncryption: boolean;
  auditLog: boolean;
  /** What the API answers without credentials: the health paths alone, or whatever RBAC gives `system:anonymous`. */
  anonymousRequests: "health" | "all";
  /** Whether kubelets serve under certificates of the cluster's authority, and API servers insist on them. */
  kubeletServingCertificates: boolean;
  /** Whether containers that name no seccomp profile get the runtime's default one. */
  seccompDefault: boolean;
  /** Bound on the processes of a pod; 0: none. */
  podPidsLimit: number;
  /** Whether a Service may claim external IP addresses for itself. */
  serviceExternalIPs: boolean;
  /** The Pod Security Standard that namespaces without labels of their own are held to. */
  podSecurity: "privileged" | "baseline" | "restricted";
  /** Whether a flood of events is cut off before it fills etcd. */
  eventRateLimit: boolean;
  /** Whether the control plane's processes serve their profiles. */
  profiling: boolean;
  /** Whether service accounts' tokens are good for a year instead of the hour they say, for clients that do not renew them. */
  extendedTokens: boolean;
}

const yesOrNo = () => z.boolean({ error: "true or false" });
const pids = "0 (no bound) or a whole number from 64 to 4194304";

/** What a user writes under `security`. */
export const securitySchema = z
  .strictObject(
    {
      secretsEncryption: yesOrNo().default(true),
      auditLog: yesOrNo().default(true),
      anonymousRequests: choice(["health", "all"]).default("health"),
      kubeletServingCertificates: yesOrNo().default(true),
      seccompDefault: yesOrNo().default(true),
      // 64: a small pod's few containers. 4194304: the kernel's PID_MAX_LIMIT on 64 bits (proc_pid_max(5)).
      podPidsLimit: z
        .number({ error: pids })
        .int({ error: pids })
        .refine((n) => n === 0 || (n >= 64 && n <= 4194304), { error: pids })
        .default(4096),
      serviceExternalIPs: yesOrNo().default(false),
      podSecurity: choice(["privileged", "baseline", "restricted"]).default("privileged"),
      eventRateLimit: yesOrNo().default(true),
      profiling: yesOrNo().default(false),
      extendedTokens: yesOrNo().default(false),
    },
    { error: "an object such as { podSecurity: baseline }" },
  )
  .prefault({});
