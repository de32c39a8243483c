/** What Kubernetes' own settings become in the documents and variables of a node. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { parseAllDocuments } from "yaml";
import { authenticationConfiguration } from "../../../../../components/kubernetes/hardening/files";
import { nodeSecurityVariables } from "../../../../../components/kubernetes/hardening/variables";
import {
  initConfiguration,
  joinConfiguration,
  type NodeDocumentArgs,
  upgradeConfiguration,
} from "../../../../../components/kubernetes/kubeadm";
import { kubeletSettings } from "../../../../../components/kubernetes/settings/components";
import { kubeletSettingsVariables } from "../../../../../components/kubernetes/settings/variables";
import { labelLines } from "../../../../../model/nodes";
import { expectGolden } from "../../../../golden/golden";
import { configOf, minimal } from "../../../config/fixtures";

const ca = readFileSync(join(__dirname, "../../../../preview/ca.crt"), "utf8");
const kubernetes = {
  apiServer: {
    extraArgs: [
      { name: "event-ttl", value: "2h" },
      { name: "audit-log-maxage", value: "7" },
      { name: "enable-admission-plugins", value: "AlwaysPullImages" },
      { name: "service-account-issuer", value: "https://issuer.example.com" },
      { name: "service-account-issuer", value: "https://kubernetes.default.svc.cluster.local" },
    ],
  },
  controllerManager: { extraArgs: [{ name: "feature-gates", value: "CloudControllerManagerWebhook=true" }] },
  scheduler: {
    extraArgs: [{ name: "config", value: "/etc/kubernetes/tailkube/scheduler/config.yaml" }],
    extraFiles: [{ name: "config.yaml", content: "kind: KubeSchedulerConfiguration" }],
  },
  etcd: { extraArgs: [{ name: "quota-backend-bytes", value: "4294967296" }] },
  kubelet: { systemReserved: { memory: "512Mi", cpu: "100m" }, featureGates: { OfKubelets: true } },
  featureGates: { OfAll: false },
  oidc: [
    {
      issuerUrl: "https://login.example.com",
      audiences: ["kubernetes", "cli"],
      ca,
      groupsClaim: "groups",
      requiredClaims: { tenant: "ours" },
    },
  ],
};
const config = configOf({
  kubernetes,
  nodes: (minimal.nodes as object[]).map((one, i) =>
    i === 3
      ? { ...one, kubelet: { systemReserved: { memory: "2Gi" } }, labels: { "node-role.kubernetes.io/db": "", a: "b" } }
      : one,
  ),
});
const plain = configOf();
const [cp1, , , w1] = config.nodes as [(typeof config.nodes)[0], unknown, unknown, (typeof config.nodes)[0]];
const documentOf = (node: (typeof config.nodes)[0]): NodeDocumentArgs => ({
  ...node,
  nodeIp: "100.64.0.1",
  hasPatches: kubeletSettings(config, node) !== undefined,
});
const cluster = { ...config, certSANs: [], profile: config.hostProfile, resolvConf: "/etc/resolv.conf" };

describe("Kubernetes' own settings, rendered", () => {
  it("in the documents of the first control plane", () => {
    expectGolden("kubeadm-init-settings.yaml", initConfiguration({ ...cluster, node: documentOf(cp1) }));
  });

  it("in those of control planes that are far from each other", () => {
    const far = configOf({ kubernetes: { etcd: { roundTripMilliseconds: 250 } } });
    const node = { ...far.nodes[0]!, nodeIp: "100.64.0.1" };
    const more = { certSANs: [], profile: far.hostProfile, resolvConf: "/etc/resolv.conf" };
    expectGolden("kubeadm-init-round-trip.yaml", initConfiguration({ ...far, ...more, node }));
  });

  it("in the documents of a joining worker and of an upgrade", () => {
    const discovery = { kubeConfigPath: "/run/discovery.conf" };
    const join = joinConfiguration({ ...cluster, node: documentOf(w1), discovery });
    const upgrade = upgradeConfiguration({ ...cluster, hasPatches: true });
    expectGolden("kubeadm-settings-nodes.yaml", `${join}---\n${upgrade}`);
  });

  it("in the file of the API servers' authentication", () => {
    expectGolden("authentication-oidc.yaml", `${authenticationConfiguration(config)!}\n`);
    const all = configOf({ security: { anonymousRequests: "all" }, kubernetes: { oidc: kubernetes.oidc } });
    expect(authenticationConfiguration(all)).to.not.include("anonymous");
  });

  it("a node's fields of the kubelet are merged over the cluster's, and checked as they will be", () => {
    const { TK_KUBELET_PATCH: patch, TK_KUBELET_CHECK: check } = kubeletSettingsVariables(config, w1);
    const wanted = {
      featureGates: { OfAll: false, OfKubelets: true },
      systemReserved: { memory: "2Gi", cpu: "100m" },
    };
    expect(parseAllDocuments(patch!)[0]!.toJS()).to.deep.equal(wanted);
    const [, kubelet] = parseAllDocuments(check!).map((one) => one.toJS() as object);
    expect(kubelet).to.deep.equal({
      apiVersion: "kubelet.config.k8s.io/v1beta1",
      kind: "KubeletConfiguration",
      ...wanted,
    });
    expect(kubeletSettingsVariables(plain, plain.nodes[3]!)).to.deep.equal({
      TK_KUBELET_PATCH: "",
      TK_KUBELET_CHECK: "",
    });
  });

  it("change the name of what a node has, but only where they concern it", () => {
    const nameOf = (changes: object, i: number) => {
      const changed = configOf({ kubernetes: changes });
      return nodeSecurityVariables(changed, changed.nodes[i]!).TK_SECURITY;
    };
    const before = [0, 3].map((i) => nodeSecurityVariables(plain, plain.nodes[i]!).TK_SECURITY);
    const concerned = (changes: object) => [0, 3].map((i) => nameOf(changes, i)).map((name, i) => name !== before[i]);
    expect(concerned({})).to.deep.equal([false, false]);
    for (const key of ["apiServer", "controllerManager", "scheduler", "etcd", "oidc"] as const) {
      expect(concerned({ [key]: kubernetes[key] }), key).to.deep.equal([true, false]);
    }
    expect(concerned({ etcd: { roundTripMilliseconds: 1 } })).to.deep.equal([true, false]);
    for (const key of ["kubelet", "featureGates"] as const) {
      expect(concerned({ [key]: kubernetes[key] }), key).to.deep.equal([true, true]);
    }
  });

  it("a role is no argument of a kubelet, which may not set it, but a label of the Node", () => {
    const [join] = parseAllDocuments(
      joinConfiguration({ ...cluster, node: documentOf(w1), discovery: { kubeConfigPath: "/x" } }),
    ).map((one) => one.toJS() as { nodeRegistration: { kubeletExtraArgs: { name: string; value: string }[] } });
    expect(join!.nodeRegistration.kubeletExtraArgs).to.deep.include({ name: "node-labels", value: "a=b" });
    expect(labelLines(config.nodes)).to.equal("w1 node-role.kubernetes.io/db=\nw1 a=b");
  });
});
