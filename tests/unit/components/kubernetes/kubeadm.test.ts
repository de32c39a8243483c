import { expect } from "chai";
import fc from "fast-check";
import { parse, parseAllDocuments } from "yaml";
import { emptyHostProfile, type HostProfile } from "../../../../model/config";
import {
  type ClusterDocumentArgs,
  initConfiguration,
  joinConfiguration,
  upgradeConfiguration,
  type NodeDocumentArgs,
} from "../../../../components/kubernetes/kubeadm";
import { controlPlaneTaint } from "../../../../model/nodes";
import { expectGolden } from "../../../golden/golden";

const endpoint = { address: "10.200.0.1", port: 6443 };

const firstNode: NodeDocumentArgs = {
  name: "cp1",
  nodeIp: "100.64.0.1",
  labels: {},
  taints: [controlPlaneTaint],
  role: "control-plane",
};

const worker: NodeDocumentArgs = {
  name: "w1",
  nodeIp: "100.64.0.21",
  labels: { "example.com/rack": "b2", "example.com/disk": "" },
  taints: [{ key: "example.com/gpu", value: "yes", effect: "NoExecute" }],
  role: "worker",
};

const cluster: ClusterDocumentArgs = {
  kubernetesVersion: "1.36.3",
  clusterName: "tailkube",
  endpoint,
  podCidr: "10.50.0.0/16",
  serviceCidr: "10.96.0.0/12",
  certSANs: ["192.0.2.11", "192.0.2.11", "10.200.0.1"],
  profile: emptyHostProfile,
  resolvConf: "/etc/resolv.conf",
};

const unusual: HostProfile = {
  ...emptyHostProfile,
  kubelet: { failCgroupV1: false, failSwapOn: false, evictionHard: { "memory.available": "0%" } },
  ignorePreflightErrors: ["SystemVerification", "Swap"],
  imagePullPolicy: "Never",
};

const discovery = { token: "abcdef.0123456789abcdef", caCertHashes: [`sha256:${"ab".repeat(32)}`] };

describe("kubeadm's documents", () => {
  it("of the first control plane", () => {
    expectGolden("kubeadm-init.yaml", initConfiguration({ ...cluster, node: firstNode }));
  });

  it("of the first control plane, on systemd-resolved, with an unusual host profile", () => {
    expectGolden(
      "kubeadm-init-profile.yaml",
      initConfiguration({
        ...cluster,
        endpoint: { address: "10.200.0.1", port: 8443 },
        resolvConf: "/run/systemd/resolve/resolv.conf",
        profile: unusual,
        node: { ...firstNode, taints: [] },
      }),
    );
  });

  it("of a joining control plane", () => {
    expectGolden(
      "kubeadm-join-control-plane.yaml",
      joinConfiguration({
        endpoint,
        node: { ...firstNode, name: "cp2", nodeIp: "100.64.0.2", resolvConf: "/run/systemd/resolve/resolv.conf" },
        discovery: { kubeConfigPath: "/run/tailkube/discovery.conf" },
        profile: emptyHostProfile,
      }),
    );
  });

  it("of a worker", () => {
    expectGolden(
      "kubeadm-join-worker.yaml",
      joinConfiguration({ endpoint, node: worker, discovery, profile: unusual }),
    );
  });

  it("of an upgrade", () => {
    expectGolden("kubeadm-upgrade.yaml", upgradeConfiguration(cluster));
  });

  it("of an upgrade to a pre-release, with an unusual host profile", () => {
    const profile = { ...cluster, profile: unusual, kubernetesVersion: "1.37.0-rc.1" };
    expectGolden("kubeadm-upgrade-profile.yaml", upgradeConfiguration(profile));
  });

  it("name one address in every place: node IP, advertise address", () => {
    const [init] = parseAllDocuments(initConfiguration({ ...cluster, node: firstNode })).map((d) => d.toJS());
    expect(init.localAPIEndpoint).to.deep.equal({ advertiseAddress: "100.64.0.1", bindPort: 6443 });
    expect(init.nodeRegistration.kubeletExtraArgs).to.deep.include({ name: "node-ip", value: "100.64.0.1" });
  });

  it("make no control plane of a worker, and start no cluster on one", () => {
    const [join] = parseAllDocuments(joinConfiguration({ endpoint, node: worker, discovery, profile: unusual }));
    expect(join!.toJS()).to.not.have.property("controlPlane");
    expect(() => initConfiguration({ ...cluster, node: worker })).to.throw(
      "only a control plane can initialize a cluster",
    );
  });

  it("do not depend on the order in which labels were written", () => {
    const turned = { ...worker, labels: { "example.com/disk": "", "example.com/rack": "b2" } };
    const of = (node: NodeDocumentArgs) => joinConfiguration({ endpoint, node, discovery, profile: unusual });
    expect(of(turned)).to.equal(of(worker));
  });

  it("say the same to readers of YAML 1.1 and 1.2, whatever the texts are", () => {
    const tricky = fc.oneof(
      fc.constantFrom(
        "on",
        "y",
        "no",
        "1e3",
        "0x1f",
        "12:30",
        "1_000",
        "2024-01-01",
        "~",
        "=",
        "123456.1234567890123456",
      ),
      fc.string(),
    );
    fc.assert(
      fc.property(tricky, tricky, (name, token) => {
        const text = joinConfiguration({
          endpoint,
          node: { ...worker, name },
          discovery: { token, caCertHashes: [] },
          profile: { ...emptyHostProfile, kubelet: {} },
        });
        for (const version of ["1.1", "1.2"] as const) {
          const read = parse(text, { version });
          expect(read.nodeRegistration.name).to.equal(name);
          expect(read.discovery.bootstrapToken.token).to.equal(token);
        }
      }),
    );
  });
});
