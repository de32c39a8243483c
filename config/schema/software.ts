/** The groups `kubernetes`, `cilium` and `hubble` of a stack's config. */
import { defaultVersions, oldestKubernetesMinor } from "../../model/releases";
import { kubernetesSettings } from "./kubernetes-settings";
import { anyText, freeForm, group, hostPath, key, release, text, version, wholeNumber, yesOrNo } from "./fields";

/** Oldest Cilium minor (of 1.x) whose chart has the values that components/network/cilium/values.ts sets. */
export const oldestCiliumMinor = 15;

export const kubernetesSchema = key(
  group(
    {
      version: key(
        version(oldestKubernetesMinor, defaultVersions.kubernetes).default(defaultVersions.kubernetes),
        "Kubernetes version, without v.",
      ),
      containerdVersion: key(
        release("2.2.1").optional(),
        "containerd version on the hosts, without v. Default: the installed version, or the newest containerd.io package from " +
          "download.docker.com if none is installed; with a bundle, the bundle's version, except on hosts that had their own.",
      ),
      certificateRenewal: key(
        anyText("a text such as today's date").default(""),
        "Any text, such as today's date. Changing it renews the control planes' certificates.",
      ),
      maxUnavailableWorkers: key(
        wholeNumber(1, 100, "nodes").default(1),
        "Number of workers that may be drained and upgraded at the same time. Control planes are upgraded one at a time.",
      ),
      drainSeconds: key(
        wholeNumber(0, 86400, "seconds").default(300),
        "Time limit in seconds for draining a node before it is upgraded or removed. 0 means no drain.",
      ),
      restoreSnapshot: key(
        hostPath("/var/lib/tailkube/snapshots/auto-20260131T120000Z-1.36.3.db").optional(),
        "Absolute path of an etcd snapshot on the first control plane. If no control plane of the cluster is left, the program restores " +
          "the cluster from it.",
      ),
      ...kubernetesSettings,
    },
    `{ version: ${defaultVersions.kubernetes} }`,
  ),
  "Kubernetes on the nodes, how it is upgraded, and its own settings (docs/operate/settings.md).",
  {
    title: "KubernetesArgs",
    examples: [
      { version: defaultVersions.kubernetes, drainSeconds: 600, certificateRenewal: "2026-11-28" },
      {
        apiServer: { extraArgs: [{ name: "event-ttl", value: "2h" }] },
        etcd: { extraArgs: [{ name: "quota-backend-bytes", value: "4294967296" }] },
        kubelet: { systemReserved: { memory: "512Mi" }, shutdownGracePeriod: "30s" },
        featureGates: { ImageVolume: true },
        oidc: [{ issuerUrl: "https://login.example.com", audiences: ["kubernetes"], groupsClaim: "groups" }],
      },
      { etcd: { roundTripMilliseconds: 250 } },
    ],
  },
);

export const ciliumSchema = key(
  group(
    {
      version: key(
        version(oldestCiliumMinor, defaultVersions.cilium).default(defaultVersions.cilium),
        "Version of the Cilium chart, without v.",
      ),
      chart: key(
        text(/^(?!\w+:\/\/)/, "the path of a chart on this machine, not a URL").optional(),
        "Path of a Cilium chart on this machine, instead of the one at https://helm.cilium.io.",
      ),
      values: key(
        freeForm("an object with values of the Cilium chart").default({}),
        "Values of the Cilium chart, merged over the program's own.",
      ),
    },
    `{ version: ${defaultVersions.cilium} }`,
  ),
  "Cilium, the pods' network.",
  {
    title: "CiliumArgs",
    examples: [{ version: defaultVersions.cilium, values: { prometheus: { enabled: true } } }],
  },
);

export const hubbleSchema = key(
  group(
    {
      relay: key(
        yesOrNo().default(false),
        "Whether the cluster runs Hubble's relay, which shows the flows of all nodes in one place.",
      ),
      ui: key(
        yesOrNo().default(false),
        "Whether it also runs Hubble's UI, a service map in a browser. It needs the relay.",
      ),
    },
    "{ relay: true, ui: true }",
  ),
  "Hubble, which shows the flows between pods that Cilium has seen, and why it dropped packets.",
  { title: "HubbleArgs", examples: [{ relay: true, ui: true }] },
);
