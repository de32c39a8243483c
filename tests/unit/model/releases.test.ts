import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import {
  catalogueDate,
  ciliumRelease,
  ciliumReleases,
  containerdReleases,
  defaultVersions,
  isContainerdTested,
  isOutOfSupport,
  isTestedTogether,
  kubernetesRelease,
  kubernetesReleases,
  oldestKubernetesMinor,
} from "../../../model/releases";
import { compareVersions } from "../../../model/versions";
import { bashOk } from "../host/bash";
import { configOf, load } from "../config/fixtures";

const root = join(__dirname, "../../..");

describe("the catalogue of releases", () => {
  it("has the newest first, each newest patch of its own minor, and days as days", () => {
    for (const releases of [kubernetesReleases, ciliumReleases, containerdReleases]) {
      const minors = releases.map(({ minor }) => minor);
      expect(minors).to.deep.equal([...minors].sort((a, b) => compareVersions(b, a)));
      for (const { minor, newest, endOfSupport = catalogueDate } of releases) {
        expect(newest.startsWith(`${minor}.`), newest).to.equal(true);
        expect(new Date(endOfSupport).toISOString().slice(0, 10)).to.equal(endOfSupport);
      }
    }
    for (const { sources } of kubernetesReleases) expect(sources.join()).to.match(/https:.*https:/);
  });

  it("has no Kubernetes that is out of support on its date: the oldest that is taken is supported", () => {
    for (const release of kubernetesReleases) {
      expect(isOutOfSupport(release, catalogueDate), release.minor).to.equal(false);
    }
    expect(() => configOf({ kubernetes: { version: `1.${oldestKubernetesMinor - 1}.9` } })).to.throw(
      "kubernetes.version",
    );
  });

  it("has defaults that are supported, and beside each Kubernetes a containerd that is recommended for it", () => {
    expect(kubernetesRelease(defaultVersions.kubernetes)).to.deep.equal(kubernetesReleases[0]);
    expect(ciliumRelease(defaultVersions.cilium)).to.deep.equal(ciliumReleases[0]);
    for (const { minor, containerd, cilium } of kubernetesReleases) {
      expect(isContainerdTested(containerd, `${minor}.0`), minor).to.equal(true);
      expect(isOutOfSupport(ciliumRelease(cilium), catalogueDate), minor).to.equal(false);
    }
    expect(configOf().kubernetesVersion).to.equal(defaultVersions.kubernetes);
    expect(configOf().cilium.version).to.equal(defaultVersions.cilium);
  });

  it("judges a containerd by the floor of its own minor, and a newer minor by the newest floor", () => {
    expect(isContainerdTested("2.3.0", "1.37.2")).to.equal(true);
    expect(isContainerdTested("2.2.9", "1.37.2")).to.equal(false);
    expect(isContainerdTested("2.5.0", "1.37.2")).to.equal(true);
    expect(isContainerdTested("1.7.27", "1.35.0")).to.equal(false);
  });

  it("tells what is out of support on a day, on the default path too", () => {
    const on = (today: string, changes: Record<string, unknown> = {}) =>
      load(changes, {}, today).warnings.filter((line) => line.includes("support of"));
    expect(on("2026-11-28")).to.deep.equal([]);
    expect(on("2027-10-28")).to.deep.equal([]);
    expect(on("2027-10-29")).to.deep.equal([
      "kubernetes.version: support of 1.37 ended on 2027-10-28, so 1.37.2 no longer gets security fixes. Upgrade to a newer minor; " +
        "docs/reference/versions.md lists them.",
    ]);
    expect(on("2026-11-28", { kubernetes: { version: "1.36.3" }, cilium: { version: "1.17.3" } })).to.deep.equal([
      "cilium.version: support of 1.17 ended on 2026-07-29, so 1.17.3 no longer gets security fixes. Upgrade to a newer minor; " +
        "docs/reference/versions.md lists them.",
    ]);
    expect(on("2026-11-28", { kubernetes: { version: "1.35.4", containerdVersion: "1.7.28" } })[0]).to.match(
      /^kubernetes\.containerdVersion: support of 1\.7 ended on 2026-09-30/,
    );
  });
});

describe("the lab's versions", () => {
  /** What lab/artifacts/versions.env makes of the catalogue, with a bundle's own settings before it. */
  const lab = (before = "") =>
    Object.fromEntries(
      bashOk(`${before}\nproject=${root}\nsource ${root}/lab/artifacts/versions.env\ncompgen -v | grep _VERSION$ | while read -r name; do
        echo "$name=\${!name}"; done`)
        .trim()
        .split("\n")
        .map((line) => line.split("=")),
    ) as Record<string, string>;

  it("are those of the lab's stack and of the catalogue", () => {
    const { config } = parse(readFileSync(join(root, "Pulumi.dev.yaml"), "utf8")) as {
      config: Record<string, { version: string }>;
    };
    const [kubernetes, cilium] = ["kubernetes", "cilium"].map((key) => config[`tailkube:${key}`]!.version);
    const release = kubernetesRelease(kubernetes!)!;
    expect(lab()).to.include({
      KUBERNETES_VERSION: kubernetes,
      CILIUM_VERSION: cilium,
      CONTAINERD_VERSION: release.containerd,
      ETCD_VERSION: release.etcd.newest,
      COREDNS_VERSION: release.coredns.newest,
    });
    expect(isTestedTogether(ciliumRelease(cilium!)!, release.newest)).to.equal(true);
  });

  it("are another minor's where a bundle is of one, but for what it sets", () => {
    const next = kubernetesReleases[0]!;
    expect(lab(`KUBERNETES_VERSION=${next.newest} CILIUM_VERSION=1.19.6`)).to.include({
      KUBERNETES_VERSION: next.newest,
      ETCD_VERSION: next.etcd.newest,
      CILIUM_VERSION: "1.19.6",
    });
  });

  it("are none of a minor that the catalogue does not have", () => {
    expect(() => lab("KUBERNETES_VERSION=1.20.1")).to.throw("model/releases.json has no Kubernetes 1.20");
  });
});
