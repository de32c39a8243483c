/**
 * The catalogue of releases: which versions of Kubernetes, Cilium and containerd are supported, which work together, and the program's
 * defaults. The data is in releases.json, which the lab's scripts also read.
 *
 * Sources, besides those in the data:
 * - Kubernetes: end of life and patches from https://kubernetes.io/releases/; pause, etcd and CoreDNS from kubeadm's constants.
 * - Cilium: tested Kubernetes versions from the page in `source`. Its README says that the last three minors are supported, so support
 *   of a minor ended when the third one after it was released.
 * - containerd: support and tested Kubernetes versions from https://github.com/containerd/containerd/blob/v2.4.2/RELEASES.md.
 *   Support of 1.7 and 2.0 is extended; a month without a day means its last day.
 */
import data from "./releases.json";
import { compareVersions, minorOf } from "./versions";

/** A minor release of Kubernetes. */
export interface KubernetesRelease {
  /** Such as `1.37`, as in all releases here. */
  minor: string;
  /** Newest known patch. */
  newest: string;
  /** Last day of support, as YYYY-MM-DD. Absent if none is announced. */
  endOfSupport?: string;
  /** Versions that the lab uses with it. */
  cilium: string;
  containerd: string;
  /** Oldest patch of each minor of containerd that containerd recommends for it, newest first. */
  containerdTested: string[];
  /** Tag of the pause image that its kubeadm uses. containerd must use the same one, or hosts pull both. */
  pause: string;
  /** The tag that kubeadm uses, and the newest patch of that minor. */
  etcd: { image: string; newest: string };
  coredns: { image: string; newest: string };
  sources: string[];
}

/** A minor release of Cilium. */
export interface CiliumRelease {
  minor: string;
  newest: string;
  endOfSupport?: string;
  /** First and last minor of Kubernetes that Cilium tests it with. */
  kubernetes: string[];
  /** Further minors that this program's tests have passed with in the lab. */
  tried: string[];
  source: string;
}

/** A minor release of containerd. */
export interface ContainerdRelease {
  minor: string;
  newest: string;
  endOfSupport?: string;
}

/** All lists are sorted, newest first. */
export const kubernetesReleases: readonly KubernetesRelease[] = data.kubernetes;
export const ciliumReleases: readonly CiliumRelease[] = data.cilium;
export const containerdReleases: readonly ContainerdRelease[] = data.containerd;

/** The day on which the data was last checked, as YYYY-MM-DD. */
export const catalogueDate: string = data.date;

/** The versions of a stack that sets none. */
export const defaultVersions: Readonly<{ kubernetes: string; cilium: string }> = data.default;

/** The oldest minor of Kubernetes (1.x) that the program accepts: the oldest that was supported on the catalogue's date. */
export const oldestKubernetesMinor = minorOf(kubernetesReleases.at(-1)!.minor);
export const newestKubernetesMinor = minorOf(kubernetesReleases[0]!.minor);

/** The minor release of a version: 1.36 of 1.36.3. */
const branchOf = (version: string) => version.split(".").slice(0, 2).join(".");

const findIn =
  <T extends { minor: string }>(releases: readonly T[]) =>
  (version: string) =>
    releases.find(({ minor }) => minor === branchOf(version));

/** The releases by a version such as 1.36.3; undefined if the catalogue does not have its minor. */
export const kubernetesRelease = findIn(kubernetesReleases);
export const ciliumRelease = findIn(ciliumReleases);
export const containerdRelease = findIn(containerdReleases);

/** The day of a run as YYYY-MM-DD, in UTC. */
export function today(): string {
  return new Date().toISOString().slice(0, 10);
}

/** Whether a release's support has ended before a day (YYYY-MM-DD); false if no end is known. */
export function isOutOfSupport(release: { endOfSupport?: string } | undefined, day: string): boolean {
  return release?.endOfSupport !== undefined && release.endOfSupport < day;
}

/** Whether the Cilium project or this program's tests have tested two versions together. */
export function isTestedTogether(cilium: CiliumRelease, kubernetesVersion: string): boolean {
  const minor = minorOf(kubernetesVersion);
  const [first, last] = cilium.kubernetes.map(minorOf);
  return (first! <= minor && minor <= last!) || cilium.tried.some((one) => minorOf(one) === minor);
}

/** Whether containerd recommends one of its versions for a version of Kubernetes; true if the catalogue does not know. */
export function isContainerdTested(containerd: string, kubernetesVersion: string): boolean {
  const tested = kubernetesRelease(kubernetesVersion)?.containerdTested;
  if (tested === undefined) return true;
  const least = tested.find((one) => branchOf(one) === branchOf(containerd));
  return compareVersions(containerd, least ?? tested[0]!) >= 0;
}
