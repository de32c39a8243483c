/** The catalogue of releases as Markdown. Pure. */
import { ciliumReleases, containerdReleases, kubernetesReleases } from "../model/releases";

/** A table each for Kubernetes, Cilium and containerd. */
export function releaseTables(): string {
  return [
    "## Kubernetes",
    "",
    ...table(
      [
        "Minor",
        "Newest",
        "Supported until",
        "Cilium",
        "containerd",
        "containerd, recommended",
        "pause",
        "etcd",
        "CoreDNS",
      ],
      kubernetesReleases.map((one) => [
        `[${one.minor}](${one.sources[0]})`,
        one.newest,
        one.endOfSupport ?? "",
        one.cilium,
        one.containerd,
        one.containerdTested.map((version) => `${version}+`).join(", "),
        one.pause,
        one.etcd.image,
        one.coredns.image,
      ]),
    ),
    "",
    "Cilium and containerd are the versions that the lab tests with that minor version. pause, etcd and CoreDNS are the images that its kubeadm uses.",
    "",
    "## Cilium",
    "",
    "The Cilium project supports the last three minor versions.",
    "",
    ...table(
      ["Minor", "Newest", "Support ended", "Kubernetes, tested by Cilium", "Kubernetes, also tested here"],
      ciliumReleases.map((one) => [
        `[${one.minor}](${one.source})`,
        one.newest,
        one.endOfSupport ?? "",
        one.kubernetes.join(" to "),
        one.tried.join(", "),
      ]),
    ),
    "",
    "## containerd",
    "",
    "From its [RELEASES.md](https://github.com/containerd/containerd/blob/v2.4.2/RELEASES.md).",
    "",
    ...table(
      ["Minor", "Newest", "Supported until"],
      containerdReleases.map((one) => [one.minor, one.newest, one.endOfSupport ?? ""]),
    ),
    "",
  ].join("\n");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}
