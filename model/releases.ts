/**
 * The catalogue of releases: which versions of Kubernetes, Cilium and containerd are supported by their makers, which go
 * together, and the program's defaults. The data is in releases.json, which the lab's scripts read as well.
 *
 * Sources, beside those that the data names:
 * - Kubernetes: end of life and patches by https://kubernetes.io/releases/; pause, etcd and CoreDNS by kubeadm's constants.
 * - Cilium: tested Kubernetes versions by the page that `source` names. Its README keeps the last three minors supported, so
 *   a minor's support ended on the day on which the third one after it was released.
 * - containerd: support and tested Kubernetes versions by https://github.com/containerd/containerd/blob/v2.4.2/RELEASES.md.
 *   That of 1.7 and 2.0 is an extended one; a month without a day counts to its last day.
 */
import data from "./releases.json";
import { compareVersions, minorOf } from "./versions";

/** A minor release of Kubernetes. */
export interface KubernetesRelease {
  /** Such as `1.37`, as in all releases here. */
  minor: string;
  /** Newest known patch. */
  newest: string;
  /** Last day of its makers' support, as YYYY-MM-DD. Absent where none is announced. */
  endOfSupport?: string;
  /** Versions that the lab puts beside it. */
  cilium: string;
  containerd: string;
  /** Oldest patch of each minor of containerd that containerd recommends for it, newest first. */
  containerdTested: string[];
  /** Tag of the pause image that its kubeadm names. containerd has to name the same one, or a host pulls two. */
  pause: string;
  /** The tag that kubeadm names, and the newest patch of that minor. */
  etcd: { image: string; newest: string };
  coredns: { image: string; newest: string };
  sources: string[];
}

/** A minor release of Cilium. */
export interface CiliumRelease {
  minor: string;
  newest: string;
  endOfSupport?: string;
  /** First and last minor of Kubernetes that its makers test it with. */
  kubernetes: string[];
  /** Further minors that this program's own tests have passed with, in the lab. */
  tried: string[];
  source: string;
}

/** A minor release of containerd. */
export interface ContainerdRelease {
  minor: string;
  newest: string;
  endOfSupport?: string;
}

/** Newest first, each. */
export const kubernetesReleases: readonly KubernetesRelease[] = data.kubernetes;
export const ciliumReleases: readonly CiliumRelease[] = data.cilium;
export const containerdReleases: readonly ContainerdRelease[] = data.containerd;

/** The day on which the data was looked at last, as YYYY-MM-DD. */
export const catalogueDate: string = data.date;

/** What a stack gets that names no versions. */
export const defaultVersions: Readonly<{ kubernetes: string; cilium: string }> = data.default;

/** Minors of Kubernetes (of 1.x) that are taken: from the oldest that was supported on the catalogue's date. */
export const oldestKubernetesMinor = minorOf(kubernetesReleases.at(-1)!.minor);
export const newestKubernetesMinor = minorOf(kubernetesReleases[0]!.minor);

/** The releases by the minor of a version such as 1.36.3; undefined where the catalogue does not have it. */
export function kubernetesRelease(version: string): KubernetesRelease | undefined {
  return kubernetesReleases.find((release) => isOf(version, release));
}

export function ciliumRelease(version: string): CiliumRelease | undefined {
  return ciliumReleases.find((release) => isOf(version, release));
}

export function containerdRelease(version: string): ContainerdRelease | undefined {
  return containerdReleases.find((release) => isOf(version, release));
}

function isOf(version: string, { minor }: { minor: string }): boolean {
  return branchOf(version) === minor;
}

/** The minor release that a version is of: 1.36 of 1.36.3. */
function branchOf(version: string): string {
  return version.split(".").slice(0, 2).join(".");
}

/** The day of a run as YYYY-MM-DD, in UTC. */
export function today(): string {
  return new Date().toISOString().slice(0, 10);
}

/** Whether a release's support has ended by a day (YYYY-MM-DD); false where no end is known. */
export function isOutOfSupport(release: { endOfSupport?: string } | undefined, day: string): boolean {
  return release?.endOfSupport !== undefined && release.endOfSupport < day;
}

/** Whether Cilium's makers, or this program's tests, know two versions together. */
export function isTestedTogether(cilium: CiliumRelease, kubernetesVersion: string): boolean {
  const minor = minorOf(kubernetesVersion);
  const [first, last] = cilium.kubernetes.map(minorOf);
  return (first! <= minor && minor <= last!) || cilium.tried.some((one) => minorOf(one) === minor);
}

/** Whether containerd recommends a version of itself for a version of Kubernetes; true where the catalogue says nothing. */
export function isContainerdTested(containerd: string, kubernetesVersion: string): boolean {
  const tested = kubernetesRelease(kubernetesVersion)?.containerdTested;
  if (tested === undefined) {
    return true;
  }
  const least = tested.find((one) => branchOf(one) === branchOf(containerd));
  return compareVersions(containerd, least ?? tested[0]!) >= 0;
}
