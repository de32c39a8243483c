/** The `security` group of a stack's config: hardening, all of it on by default. */
import { z } from "zod";
import { choice, key, object } from "./fields";

const yesOrNo = () => z.boolean({ error: "true or false" });
const pids = "0 (no limit) or a whole number from 64 to 4194304";

export const securitySchema = key(
  object("an object such as { podSecurity: baseline }", {
    secretsEncryption: key(yesOrNo().default(true), "Whether Secrets are encrypted in etcd and in its snapshots."),
    auditLog: key(
      yesOrNo().default(true),
      "Whether API servers write an audit log to /var/log/kubernetes/audit on each control plane.",
    ),
    anonymousRequests: key(
      choice(["health", "all"]).default("health"),
      "What the API answers without credentials. health (only the health paths) or all (as with kubeadm).",
    ),
    kubeletServingCertificates: key(
      yesOrNo().default(true),
      "Whether kubelets use serving certificates from the cluster's CA, and API servers verify them.",
    ),
    seccompDefault: key(yesOrNo().default(true), "Whether containers without a seccomp profile get containerd's."),
    // 64: enough for the containers of a small pod. 4194304: PID_MAX_LIMIT of a 64-bit kernel (proc_pid_max(5)).
    podPidsLimit: key(
      z
        .number({ error: pids })
        .int({ error: pids })
        .refine((n) => n === 0 || (n >= 64 && n <= 4194304), { error: pids })
        .default(4096),
      "Maximum number of processes in a pod.",
    ),
    serviceExternalIPs: key(
      yesOrNo().default(false),
      "Whether a Service may claim externalIPs, which let anyone who can create Services intercept other traffic.",
    ),
    podSecurity: key(
      choice(["privileged", "baseline", "restricted"]).default("privileged"),
      "The Pod Security Standard of namespaces without their own labels.",
    ),
    eventRateLimit: key(yesOrNo().default(true), "Whether API servers limit events, so that they cannot fill etcd."),
    profiling: key(yesOrNo().default(false), "Whether API server, controller manager and scheduler serve profiles."),
    extendedTokens: key(
      yesOrNo().default(false),
      "Whether service account tokens stay valid for a year, for old clients that never reload them.",
    ),
  }).prefault({}),
  "Hardening, all on by default. docs/reference/security.md explains each key.",
  { title: "SecurityArgs", examples: [{ podSecurity: "baseline", podPidsLimit: 8192 }] },
);
