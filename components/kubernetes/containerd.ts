/** /etc/containerd/config.toml for both majors of containerd, which use different layouts. */
import { kubernetesRelease, kubernetesReleases, newestKubernetesMinor } from "../../model/releases";
import { minorOf } from "../../model/versions";

export interface ContainerdConfigArgs {
  pauseImage: string;
  /** For hosts without CAP_SYS_RESOURCE, where runc may not lower a container's OOM score below containerd's. */
  restrictOomScoreAdj: boolean;
  /** Folders of CNI plugins, separated by ':'; containerd 1.x supports only one. Absent: containerd's default, /opt/cni/bin. */
  cniBinDirs?: string;
  /** Folder with the registries' hosts.toml. Absent: containerd's default. */
  registries?: string;
}

/**
 * The whole config.toml: config version 2 for containerd 1.x, version 3 for 2.x. SystemdCgroup is always true, like kubelet's
 * cgroupDriver: two managers of one cgroup tree would make pods restart.
 *
 * Throws on more than one CNI folder with containerd 1.x.
 */
export function containerdConfig(major: 1 | 2, a: ContainerdConfigArgs): string {
  return major === 1 ? version2(a) : version3(a);
}

const header = "# Written by tailkube; changes are overwritten.\n";

// https://github.com/containerd/containerd/blob/release/1.7/docs/cri/config.md
function version2(a: ContainerdConfigArgs): string {
  if (a.cniBinDirs?.includes(":")) {
    throw new Error(`containerd 1.x takes one folder of CNI plugins, not ${JSON.stringify(a.cniBinDirs)}`);
  }
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return [
    `${header}version = 2`,
    "",
    `[${cri}]`,
    `  sandbox_image = ${toml(a.pauseImage)}`,
    ...(a.restrictOomScoreAdj ? ["  restrict_oom_score_adj = true"] : []),
    ...(a.cniBinDirs ? ["", `  [${cri}.cni]`, `    bin_dir = ${toml(a.cniBinDirs)}`] : []),
    ...(a.registries ? ["", `  [${cri}.registry]`, `    config_path = ${toml(a.registries)}`] : []),
    "",
    ...runc(`${cri}.containerd`),
  ].join("\n");
}

// https://github.com/containerd/containerd/blob/release/2.2/docs/cri/config.md
function version3(a: ContainerdConfigArgs): string {
  const images = "plugins.'io.containerd.cri.v1.images'";
  const runtime = "plugins.'io.containerd.cri.v1.runtime'";
  return [
    `${header}version = 3`,
    "",
    `[${images}.pinned_images]`,
    `  sandbox = ${toml(a.pauseImage)}`,
    ...(a.registries ? ["", `[${images}.registry]`, `  config_path = ${toml(a.registries)}`] : []),
    "",
    `[${runtime}]`,
    ...(a.restrictOomScoreAdj ? ["  restrict_oom_score_adj = true"] : []),
    ...(a.cniBinDirs
      ? ["", `  [${runtime}.cni]`, `    bin_dirs = [${a.cniBinDirs.split(":").map(toml).join(", ")}]`]
      : []),
    "",
    ...runc(`${runtime}.containerd`),
  ].join("\n");
}

function runc(containerd: string): string[] {
  return [
    `  [${containerd}]`,
    '    default_runtime_name = "runc"',
    "",
    `    [${containerd}.runtimes.runc]`,
    '      runtime_type = "io.containerd.runc.v2"',
    "",
    `      [${containerd}.runtimes.runc.options]`,
    "        SystemdCgroup = true",
    "",
  ];
}

/** A TOML basic string, which has JSON's escapes. */
export const toml = (text: string): string => JSON.stringify(text);

/**
 * The pause image that kubeadm of this Kubernetes version uses; for a minor newer than the catalogue, the newest known one, which also
 * works. Throws on text that is not a version, and on a minor older than the catalogue.
 *
 * @param kubernetesVersion such as `1.36.3`.
 * @param repository replaces registry.k8s.io.
 */
export function pauseImage(kubernetesVersion: string, repository = "registry.k8s.io"): string {
  const isNewer = /^1\.\d+\./.test(kubernetesVersion) && minorOf(kubernetesVersion) > newestKubernetesMinor;
  const release = isNewer ? kubernetesReleases[0] : kubernetesRelease(kubernetesVersion);
  if (release === undefined) {
    throw new Error(`no pause image is known for Kubernetes ${JSON.stringify(kubernetesVersion)}`);
  }
  return `${repository}/pause:${release.pause}`;
}
