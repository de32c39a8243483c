/** The `security` section of a stack's config: what the cluster is hardened by. All of it is on unless a user takes it back. */
import { z } from "zod";
import { choice } from "./fields";

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
