/** The file that `hostProfile` names. */
import { z } from "zod";
import { choice, freeForm, key, list, object, yesOrNo } from "./fields";

const ownKubeletFields = new Map([
  ["apiVersion", "the program sets it"],
  ["kind", "the program sets it"],
  ["cgroupDriver", "it must be systemd, as in containerd"],
]);

export const hostProfileSchema = object("a YAML object", {
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
    list("a list of names of kubeadm's preflight checks", z.string({ error: "the name of a check" })).default([]),
    "kubeadm's preflight checks that may fail, by kubeadm's names.",
  ),
  imagePullPolicy: key(
    choice(["Never", "IfNotPresent", "Always"]).optional(),
    "kubeadm's pull policy for the control plane's images. Default: IfNotPresent.",
  ),
  containerd: key(
    object("an object with restrictOomScoreAdj", {
      restrictOomScoreAdj: key(yesOrNo().default(false), "true on hosts without CAP_SYS_RESOURCE."),
    }).default({ restrictOomScoreAdj: false }),
    "Settings of containerd.",
  ),
  ciliumValues: key(
    freeForm("an object with values of the Cilium chart").default({}),
    "Values of the Cilium chart. They override the program's own; the stack's values override these.",
  ),
  skipHostChecks: key(
    list("a list of ids of host checks", z.string({ error: "the id of a check" })).default([]),
    "Host requirements that are not checked, by the names in docs/install/requirements.md.",
  ),
});
