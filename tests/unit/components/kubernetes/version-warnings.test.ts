import { expect } from "chai";
import { hostWarnings, type SeenHost, versionWarnings } from "../../../../components/kubernetes/version-warnings";
import { configOf, load } from "../../config/fixtures";

const warned = (changes: Record<string, Record<string, string>>) => versionWarnings(configOf(changes));

describe("untested versions", () => {
  it("are none where their makers or this program's own tests know them together", () => {
    for (const [kubernetesVersion, ciliumVersion] of [
      ["1.36.3", "1.15.19"],
      ["1.35.4", "1.15.6"],
      ["1.36.0", "1.20.2"],
      ["1.35.4", "1.19.6"],
    ] as const) {
      expect(
        warned({ kubernetes: { version: kubernetesVersion }, cilium: { version: ciliumVersion } }),
        kubernetesVersion,
      ).to.deep.equal([]);
    }
  });

  it("are a warning that names what is tested", () => {
    expect(warned({ kubernetes: { version: "1.36.3" }, cilium: { version: "1.18.14" } })).to.deep.equal([
      "cilium.version: 1.18.14 with Kubernetes 1.36.3 is not tested: Cilium tests 1.18 with 1.30 to 1.33. Tested with 1.36: 1.20, 1.15.",
    ]);
    expect(warned({ kubernetes: { version: "1.35.0" }, cilium: { version: "1.17.17" } })).to.deep.equal([
      "cilium.version: 1.17.17 with Kubernetes 1.35.0 is not tested: Cilium tests 1.17 with 1.29 to 1.32. " +
        "Tested with 1.35: 1.20, 1.19, 1.15.",
    ]);
    expect(warned({ cilium: { version: "1.21.0" } })[0]).to.match(
      /^cilium\.version: 1\.21\.0 is newer than 1\.20, the newest/,
    );
  });

  it("of a Kubernetes that nobody knows yet are said once, as such", () => {
    expect(load({ kubernetes: { version: "1.38.0" }, cilium: { version: "1.20.2" } }).warnings).to.have.lengthOf(1);
  });

  it("are those of containerd that containerd does not recommend", () => {
    const line = (kubernetesVersion: string, containerdVersion: string) =>
      warned({ kubernetes: { version: kubernetesVersion, containerdVersion } }).filter((one) =>
        one.startsWith("kubernetes.containerdVersion"),
      );
    for (const [kubernetes, containerd] of [
      ["1.36.3", "2.2.0"],
      ["1.36.3", "2.4.2"],
      ["1.35.1", "1.7.28"],
      ["1.35.1", "2.1.5"],
      ["1.37.2", "2.3.0"],
    ] as const) {
      expect(line(kubernetes, containerd), `${kubernetes} ${containerd}`).to.deep.equal([]);
    }
    for (const [kubernetes, containerd] of [
      ["1.36.3", "1.6.20"],
      ["1.36.3", "2.1.9"],
      ["1.35.1", "1.7.27"],
      ["1.37.2", "2.2.9"],
    ] as const) {
      expect(line(kubernetes, containerd), `${kubernetes} ${containerd}`).to.have.lengthOf(1);
    }
    expect(line("1.36.3", "1.6.20")[0]).to.match(/containerd recommends 2\.3\.0, 2\.2\.0 or newer patches of these\.$/);
  });
});

describe("hosts as the last run has seen them", () => {
  const seen = (changes: Partial<SeenHost>): SeenHost[] => [
    { name: "w1", os: "Debian GNU/Linux 12 (bookworm)", cgroup: 2, containerd: "1.6.20", ...changes },
  ];

  it("are good for what is wanted", () => {
    expect(hostWarnings(seen({}), configOf())).to.deep.equal([]);
    const lab = configOf({ hostProfile: "p" }, { p: "kubelet: {failCgroupV1: false}" });
    expect(hostWarnings(seen({ cgroup: 1 }), lab)).to.deep.equal([]);
  });

  it("may be too old for it", () => {
    expect(hostWarnings(seen({ cgroup: 1 }), configOf())).to.deep.equal([
      "kubernetes.version: w1 (Debian GNU/Linux 12 (bookworm)), when it was last checked, ran cgroup v1, on which kubelet " +
        "1.35 and newer do not start. Boot it with systemd.unified_cgroup_hierarchy=1, or set kubelet.failCgroupV1: false in " +
        "a host profile.",
    ]);
    expect(hostWarnings(seen({}), configOf({ kubernetes: { version: "1.38.0" } }))[0]).to.match(
      /had containerd 1\.6\.20, but 1\.38\.0 requires 2\.0 or newer\. Upgrade containerd first/,
    );
    expect(hostWarnings(seen({}), configOf({ kubernetes: { version: "1.38.0" }, bundle: "/opt/b" }))).to.deep.equal([]);
  });
});

describe("one host key on two nodes", () => {
  it("is a warning: one machine twice, or copies of a disk", () => {
    const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample";
    const nodes = [1, 2, 3].map((i) => ({
      name: `cp${i}`,
      role: "control-plane",
      host: { address: `192.0.2.${i}`, hostKey: i === 2 ? `${hostKey}2 root@b` : `${hostKey} root@${i}` },
    }));
    const { warnings } = load({ nodes, kubernetes: { version: "1.36.3" } });
    expect(warnings).to.have.lengthOf(1);
    expect(warnings[0]).to.match(/^nodes\[2\]\.host\.hostKey: nodes\[0\] has the same key\./);
  });
});
