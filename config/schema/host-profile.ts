/** The file that `hostProfile` names. */
import { z } from "zod";
import { choice, freeForm, key, yesOrNo } from "./fields";

const ownKubeletFields = new Map([
  ["apiVersion", "the program sets it"],
  ["kind", "the program sets it"],
  ["cgroupDriver", "it must be systemd, as in containerd"],
]);

export const hostProfileSchema = z.strictObject(
  {
    kubelet: key(
      freeForm("an object with fields of KubeletConfiguration")
        .superRefine((fields, ctx) => {
          for (const name of Object.keys(fields)) {
            const why = ownKubeletFields.get(name);
            if (why) {
              ctx.addIssue({
                code: "custom",
                path: [name],
                message: `any other field of KubeletConfiguration (${why})`,
              });
            }
          }
        })
        .default({}),
      "Fields of KubeletConfiguration (kubelet.config.k8s.io/v1beta1). They override the program's own.",
    ),
    ignorePreflightErrors: key(
      z
        .array(z.string({ error: "the name of a check" }), { error: "a list of names of kubeadm's preflight checks" })
        .default([]),
      "kubeadm's preflight checks that may fail, by kubeadm's names.",
    ),
    imagePullPolicy: key(
      choice(["Never", "IfNotPresent", "Always"]).optional(),
      "kubeadm's pull policy for the control plane's images. Default: IfNotPresent.",
    ),
    containerd: key(
      z
        .strictObject(
          { restrictOomScoreAdj: key(yesOrNo().default(false), "true on hosts without CAP_SYS_RESOURCE.") },
          { error: "an object with restrictOomScoreAdj" },
        )
        .default({ restrictOomScoreAdj: false }),
      "Settings of containerd.",
    ),
    ciliumValues: key(
      freeForm("an object with values of the Cilium chart").default({}),
      "Values of the Cilium chart. They override the program's own; the stack's values override these.",
    ),
    skipHostChecks: key(
      z.array(z.string({ error: "the id of a check" }), { error: "a list of ids of host checks" }).default([]),
      "Host requirements that are not checked, by the names in docs/install/requirements.md.",
    ),
  },
  { error: "a YAML object" },
);
