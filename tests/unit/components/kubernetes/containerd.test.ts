import { expect } from "chai";
import { newestKubernetesMinor, oldestKubernetesMinor } from "../../../../model/releases";
import { containerdConfig, pauseImage } from "../../../../components/kubernetes/containerd";
import { expectGolden } from "../../../golden/golden";

describe("containerd's config", () => {
  const usual = { pauseImage: "registry.k8s.io/pause:3.10.2", restrictOomScoreAdj: false };

  for (const major of [1, 2] as const) {
    it(`of ${major}.x`, () => {
      expectGolden(`containerd-${major}.toml`, containerdConfig(major, usual));
    });

    it(`of ${major}.x, with everything`, () => {
      expectGolden(
        `containerd-${major}-unusual.toml`,
        containerdConfig(major, { ...usual, restrictOomScoreAdj: true, cniBinDirs: "/usr/lib/cni" }),
      );
    });
  }

  it("takes several CNI folders with 2.x, one with 1.x", () => {
    const several = { ...usual, cniBinDirs: "/opt/cni/bin:/usr/lib/cni" };
    expect(containerdConfig(2, several)).to.contain('bin_dirs = ["/opt/cni/bin", "/usr/lib/cni"]');
    expect(() => containerdConfig(1, several)).to.throw("one folder");
  });
});

describe("the pause image", () => {
  it("is the one that kubeadm names", () => {
    expect(pauseImage("1.35.2")).to.equal("registry.k8s.io/pause:3.10.1");
    expect(pauseImage("1.36.3")).to.equal("registry.k8s.io/pause:3.10.2");
  });

  it("is known for every Kubernetes that the config takes, and for newer ones", () => {
    for (let minor = oldestKubernetesMinor; minor <= newestKubernetesMinor + 3; minor++) {
      expect(pauseImage(`1.${minor}.0`)).to.match(/^registry\.k8s\.io\/pause:3\.10/);
    }
  });

  it("is not guessed for anything else", () => {
    expect(() => pauseImage("1.34.0")).to.throw('no pause image is known for Kubernetes "1.34.0"');
    expect(() => pauseImage("latest")).to.throw("no pause image is known");
  });
});
