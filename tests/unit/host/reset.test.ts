import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { expect } from "chai";
import fc from "fast-check";
import { scriptText } from "../../../components/hosts/script-text";
import {
  assignments,
  bash,
  bashOk,
  libraryText,
  partsOf,
  removeTemporaryFolders,
  snapshot,
  temporaryFolder,
  withLibrary,
  write,
} from "./bash";

afterEach(removeTemporaryFolders);

/** How /proc/self/mountinfo shows mount points, the oldest first. */
function mountinfo(points: readonly string[]): string {
  const escaped = (point: string) =>
    point.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);
  return points.map((point, i) => `${30 + i} 24 0:${i} / ${escaped(point)} rw - tmpfs tmpfs rw\n`).join("");
}

/**
 * node/reset.sh with the host's folders moved below `root`. The fakes: `umount` takes a point out of the list of mounts, unless a
 * file `stuck` is there; containerd holds no containers.
 */
function host(root: string, text: string, role = "control-plane"): string {
  const scripts = [libraryText(), ...partsOf("lib/node/reset.sh").map(scriptText)]
    .join("\n")
    .replace(/\/(etc\/kubernetes|etc\/cni|var\/lib\/(?:kubelet|etcd|cni)|var\/log)\b/g, `${root}/$1`);
  return withLibrary(
    root,
    [
      assignments({ ROOT: root, TK_ROLE: role }),
      scripts,
      assignments({
        TK_STATE: `${root}/var/lib/tailkube`,
        TK_RUN: `${root}/run/tailkube`,
        TK_MOUNTS: `${root}/mountinfo`,
        KEPT: `${root}/var/lib/kubelet.tailkube`,
        SENTINEL: `${root}/var/lib/tailkube/joined`,
        ETCD_MODE: `${root}/var/lib/tailkube/etcd-mode`,
        NARROWED: `${root}/var/lib/tailkube/modes`,
        ETCD_OURS: `${root}/var/lib/tailkube/etcd-ours`,
      }),
      'mkdir -p "$TK_RUN" "$ROOT/var/log"',
      '[ -e "$TK_MOUNTS" ] || : >"$TK_MOUNTS"',
      'log() { echo "$*" >>"$ROOT/log"; }',
      "sleep() { :; }",
      "systemctl() { echo active; }",
      "remember_cilium_image() { :; }",
      "reset_cilium() { :; }",
      // Everything that would touch this machine goes through timeout or is one of these.
      `timeout() {
        while [[ $1 == --* || $1 =~ ^[0-9]+$ ]]; do shift; done
        case $1 in
        umount)
          log "umount \${*: -1}"
          [ ! -e "$ROOT/stuck" ] || return 1
          local point=\${*: -1} line kept=""
          while IFS= read -r line; do
            local field; read -r _ _ _ _ field _ <<<"\${line//\\\\/\\\\\\\\}"
            [ "$(printf '%b.' "\${field//\\\\/\\\\0}")" = "$point." ] || kept+=$line$'\\n'
          done <"$TK_MOUNTS"
          printf '%s' "$kept" >"$TK_MOUNTS"
          [ ! -e "$ROOT/late" ] || { cat "$ROOT/late" >>"$TK_MOUNTS"; rm "$ROOT/late"; } ;;
        ctr) shift; ctr "$@" ;;
        # As the real one.
        kubeadm) log "$*"; find "$ROOT/var/lib/kubelet/" -mindepth 1 -delete; [ ! -e "$ROOT/kill" ] || { rm "$ROOT/kill"; kill -KILL $BASHPID; } ;;
        *) log "$*" ;;
        esac
      }
      ctr() { :; }
      kubeadm() { :; }
      ip() { log "ip $*"; }`,
      text,
    ].join("\n"),
    "control-plane",
  );
}

describe("mounts_below and unmount_below", () => {
  it("name what is mounted below a folder, newest first, whatever the names hold", () => {
    const name = fc
      .string({ unit: fc.constantFrom(...'ab \t\n\\"$*0é#'), minLength: 1, maxLength: 8 })
      .filter((text) => !/^\.{1,2}$/.test(text));
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 6 }), (names) => {
        const root = temporaryFolder();
        const inside = names.map((one) => `/var/lib/kubelet/pods/${one}`);
        write(
          `${root}/mountinfo`,
          mountinfo(["/", "/var/lib/kubelet", ...inside, "/var/lib/kubelet2/x", "/var/lib/kubeletx"]),
        );
        const stdout = bashOk(withLibrary(root, `TK_MOUNTS=${root}/mountinfo\nmounts_below /var/lib/kubelet`));
        expect(stdout.split("\0")).to.deep.equal([...inside.reverse(), "", ""]);
      }),
      { numRuns: 30 },
    );
  });

  it("fail the stage where something stays mounted, and nothing below is deleted", () => {
    const root = temporaryFolder();
    const volume = `${root}/var/lib/kubelet/pods/1/volumes/my disk`;
    write(`${volume}/data`, "the user's");
    write(`${root}/mountinfo`, mountinfo([volume]));
    write(`${root}/stuck`, "");
    const { status, stderr } = bash(host(root, "sleep() { SECONDS=$((SECONDS + 5)); }\nreset_node"));
    expect(status).to.equal(1);
    expect(stderr).to.match(
      /cannot unmount .*my disk, so nothing below .*\/var\/lib\/kubelet was deleted\. Unmount it/,
    );
    expect(readFileSync(`${volume}/data`, "utf8")).to.equal("the user's");
  });

  it("fail the stage where the kernel does not say what is mounted, and nothing below is deleted", () => {
    const root = temporaryFolder();
    const volume = `${root}/var/lib/kubelet/pods/1/volumes/disk`;
    write(`${volume}/data`, "the user's");
    const { status, stderr } = bash(host(root, "TK_MOUNTS=$ROOT/none\nreset_node"));
    expect(status).to.equal(1);
    expect(stderr).to.match(/cannot read what is mounted below .*\/var\/lib\/kubelet.*nothing there was deleted/);
    expect(readFileSync(`${volume}/data`, "utf8")).to.equal("the user's");
  });

  it("see a mount that the kubelet had begun and that comes after its end", () => {
    const root = temporaryFolder();
    const [first, late] = [1, 2].map((pod) => `${root}/var/lib/kubelet/pods/${pod}/volumes/token`);
    for (const path of [first!, late!]) mkdirSync(path, { recursive: true });
    write(`${root}/mountinfo`, mountinfo([first!]));
    write(`${root}/late`, mountinfo([late!]));
    bashOk(host(root, `unmount_below ${root}/var/lib/kubelet`));
    expect(readFileSync(`${root}/log`, "utf8")).to.equal(`umount ${first}\numount ${late}\n`);
    expect(readFileSync(`${root}/mountinfo`, "utf8")).to.equal("");
  });
});

describe("reset_node", () => {
  it("unmounts a volume with a blank in its path, before kubeadm empties the folder", () => {
    const root = temporaryFolder();
    const volume = `${root}/var/lib/kubelet/pods/1/volumes/my disk`;
    mkdirSync(`${root}/etc/kubernetes/manifests`, { recursive: true });
    mkdirSync(volume, { recursive: true });
    write(`${root}/mountinfo`, mountinfo([`${root}/var/lib/kubelet/pods/1`, volume]));
    bashOk(host(root, "reset_node"));
    const log = readFileSync(`${root}/log`, "utf8").trim().split("\n");
    expect(log.slice(0, 3).map((line) => line.split(" ").slice(0, 2).join(" "))).to.deep.equal([
      `umount ${volume.split(" ")[0]}`,
      `umount ${root}/var/lib/kubelet/pods/1`,
      "kubeadm reset",
    ]);
    expect(existsSync(`${root}/var/lib/kubelet/pods`)).to.equal(false);
  });

  it("keeps what was in the folders before, and takes what came since", () => {
    const root = temporaryFolder();
    for (const file of [
      "etc/kubernetes/cloud.json",
      "etc/kubernetes/manifests/.keep",
      "etc/cni/net.d/nerdctl/nerdctl-bridge.conflist",
      "etc/cni/net.d/87-podman.conflist",
      "etc/cni/net.d/50-cilium-of-a-friend.conf",
      "var/lib/cni/networks/podman/10.88.0.2",
      "var/lib/cni/results/podman-1-eth0",
      "var/lib/kubelet/a file\nof mine",
      "var/log/pods/old.log",
    ]) {
      write(`${root}/${file}`, file);
    }
    write(`${root}/var/lib/kubelet/config.json`, "a password", 0o600);
    write(`${root}/var/lib/kubelet/plugins/theirs/a`, "theirs");
    const before = snapshot(root);
    bashOk(
      host(root, `for folder in "\${NODE_FOLDERS[@]}" "$CNI_CONFIGS" "$CNI_CACHE"; do remember_folder "$folder"; done`),
    );
    for (const file of [
      "etc/kubernetes/pki/ca.key",
      "etc/kubernetes/kubelet.conf",
      "etc/kubernetes/manifests/etcd.yaml",
      "etc/cni/net.d/05-cilium.conflist",
      "etc/cni/net.d/99-loopback.conf.cilium_bak",
      "var/lib/cni/results/cilium-1-eth0",
      "var/lib/cni/results/cni-loopback-1-lo",
      "var/lib/kubelet/config.yaml",
      "var/lib/kubelet/plugins/ours/b",
      "var/log/pods/kube-system_etcd/0.log",
    ]) {
      write(`${root}/${file}`, "ours");
    }
    // What others make while the cluster lives is theirs.
    write(`${root}/etc/cni/net.d/nerdctl/second.conflist`, "later");
    write(`${root}/var/lib/cni/networks/podman/10.88.0.3`, "later");
    // Killed when kubeadm has emptied the kubelet's folder.
    write(`${root}/kill`, "");
    expect(bash(host(root, "reset_node")).status).to.equal(undefined);
    bashOk(host(root, 'mv "$CNI_CONFIGS/87-podman.conflist" "$CNI_CONFIGS/87-podman.conflist.cilium_bak"; reset_node'));
    const own = (path: string) => /^(var\/lib\/tailkube|var\/log\/tailkube|run|log$|mountinfo)/.test(path);
    const after = Object.fromEntries(Object.entries(snapshot(root)).filter(([path]) => !own(path)));
    expect(after).to.deep.equal({
      ...before,
      "etc/cni/net.d/99-loopback.conf": "644 ours",
      "etc/cni/net.d/nerdctl/second.conflist": "644 later",
      "var/lib/cni/networks/podman/10.88.0.3": "644 later",
    });
  });

  it("deletes etcd's data only where it was recorded as ours, or the control plane has joined", () => {
    const left = (record: string | undefined, role?: string, owner?: string) => {
      const root = temporaryFolder();
      write(`${root}/var/lib/etcd/default/member/db`, "data");
      if (owner !== undefined) write(`${root}/var/lib/tailkube/owned.${owner}`, `${root}/var/lib/tailkube/joined\n`);
      if (record !== undefined) write(`${root}/var/lib/tailkube/${record}`, "");
      bashOk(host(root, "reset_node; reset_node", role));
      if (record !== undefined) expect(existsSync(`${root}/var/lib/tailkube/${record}`)).to.equal(false);
      return existsSync(`${root}/var/lib/etcd/default/member/db`);
    };
    expect(left(undefined)).to.equal(true);
    expect(left("etcd-ours")).to.equal(false);
    expect(left("joined")).to.equal(false);
    expect(left("joined", "worker")).to.equal(true);
    expect(left("joined", "control-plane", "control-plane")).to.equal(false);
    expect(left("joined", "control-plane", "join"), "a worker whose role was changed").to.equal(true);
  });

  it("leaves what a file system of its own has found for its checker", () => {
    const root = temporaryFolder();
    write(`${root}/var/lib/etcd/lost+found/#1`, "found");
    write(`${root}/var/lib/etcd/member/lost+found/db`, "data");
    write(`${root}/var/lib/tailkube/etcd-ours`, "");
    bashOk(host(root, "reset_node"));
    expect(Object.keys(snapshot(`${root}/var/lib/etcd`))).to.deep.equal(["lost+found", "lost+found/#1"]);
  });

  it("ends the node's containers with their network namespaces, and no other", () => {
    const root = temporaryFolder();
    write(`${root}/var/lib/tailkube/containers-before`, "theirs\n");
    const info = (path: string) =>
      JSON.stringify(
        {
          ID: "x",
          Labels: { evil: '"type": "network",\n"path": "/run/netns/cni-0bad"' },
          Spec: { linux: { namespaces: [{ type: "pid" }, { type: "network", path }, { type: "uts" }] } },
        },
        null,
        4,
      );
    write(`${root}/ours`, info("/var/run/netns/cni-12ab-cd"));
    write(`${root}/second`, info("/var/run/netns/podman-1"));
    const stdout = bashOk(
      host(
        root,
        `ctr() {
          case "$*" in
          "-n k8s.io containers ls -q") printf 'ours\\nsecond\\ntheirs\\n' ;;
          "-n k8s.io containers info "*) cat "$ROOT/\${*: -1}" ;;
          *) log "ctr $*" ;;
          esac
        }
        sandbox_netns ours; sandbox_netns second; end_containers`,
      ),
    );
    expect(stdout).to.equal("/var/run/netns/cni-12ab-cd\n");
    const log = readFileSync(`${root}/log`, "utf8");
    expect(log).to.not.include("theirs");
    expect(log.match(/containers rm \w+/g)).to.deep.equal(["containers rm ours", "containers rm second"]);
  });

  it("removes Cilium's ipsets by Cilium's own image where the host has no ipset, also after a kill, and leaves no mount", () => {
    const root = temporaryFolder();
    const target = `${root}/run/tailkube/cilium-image`;
    // What a pod of anybody's says of itself has another indentation, or stands in one line.
    const info = {
      ID: "agent",
      Labels: { evil: '",\n    "Image": "evil.example/cilium:1' },
      Image: "quay.io/cilium/cilium:v1.20.2",
      Snapshotter: "overlayfs",
    };
    write(`${root}/agent`, JSON.stringify(info, null, 4));
    const text = (mount: string) => `${scriptText("lib/node/reset-cilium.sh")}
      CILIUM_IMAGE=$TK_STATE/cilium-image
      command() { [ "$*" != "-v ipset" ] && builtin command "$@"; }
      rmdir() { log "rmdir $*"; builtin command rmdir "$@"; }
      ctr() {
        case "$*" in
        "-n k8s.io containers ls -q "*kube-system*,*cilium-agent*) cat "$ROOT/containers" ;;
        "-n k8s.io containers info agent") cat "$ROOT/agent" ;;
        "-n k8s.io images ls -q") cat "$ROOT/images" 2>/dev/null || true ;;
        *" mount "*) log "ctr $*"; ${mount} ;;
        *) log "ctr $*" ;;
        esac
      }`;
    write(`${root}/containers`, "agent\nolder-agent\n");
    bashOk(host(root, `${text(":")}\nremember_cilium_image`));
    expect(readFileSync(`${root}/var/lib/tailkube/cilium-image`, "utf8")).to.equal(`${info.Image} overlayfs\n`);
    // kubeadm has removed the containers when the next run comes.
    write(`${root}/containers`, "");
    const [unmount, mount] = [
      `ctr -n k8s.io images unmount --rm --snapshotter overlayfs ${target}`,
      `ctr -n k8s.io images mount --snapshotter overlayfs ${info.Image} ${target}`,
    ];
    const again = (how: string) => {
      write(`${root}/log`, "");
      return bashOk(host(root, `${text(how)}\nremember_cilium_image; remove_ipsets >/dev/null; result`));
    };
    expect(bash(host(root, `${text("kill -KILL $BASHPID")}\nremove_ipsets`)).status).to.equal(undefined);
    expect(again(":")).to.equal('{"changed":[]}\n');
    expect(readFileSync(`${root}/log`, "utf8").trimEnd().split("\n")).to.deep.equal([
      ...[unmount, mount],
      ...["v4", "v6"].map((family) => `chroot ${target} ipset destroy cilium_node_set_${family}`),
      ...[unmount, `rmdir -- ${target}`],
    ]);
    expect(existsSync(target) || existsSync(`${root}/var/lib/tailkube/cilium-image`)).to.equal(false);
    // A host where Cilium never ran.
    expect(again(":")).to.equal('{"changed":[]}\n');
    expect(readFileSync(`${root}/log`, "utf8")).to.equal("");
    // Its Node has been gone for so long that the kubelet has ended the agent; others may run what they like.
    const official = `quay.io/cilium/cilium@sha256:${"0a".repeat(32)}`;
    for (const [images, wanted] of [
      [`evil.example/quay.io/cilium/cilium:v1.20.2\nquay.io/cilium/cilium-evil:v1\n${official}\n`, official],
      ["evil.example/cilium:v1\nquay.io/evil/cilium:v1.20.2\n", undefined],
    ] as const) {
      write(`${root}/images`, images);
      expect(again(":")).to.equal('{"changed":[]}\n');
      const mounts = readFileSync(`${root}/log`, "utf8").match(/images mount .*/g) ?? [];
      expect(mounts).to.deep.equal(
        wanted === undefined ? [] : [`images mount --snapshotter overlayfs ${wanted} ${target}`],
      );
    }
    write(`${root}/images`, "");
    write(`${root}/var/lib/tailkube/cilium-image`, "gone.example/cilium:1 overlayfs\n");
    expect(again("return 1")).to.match(/left the ipsets .* next reboot: gone\.example\/cilium:1 cannot be mounted/);
  });

  it("waits for an ipset that something still uses, and names the one that stays", () => {
    const root = temporaryFolder();
    const left = (tries: number) =>
      bashOk(
        host(
          root,
          `${scriptText("lib/node/reset-cilium.sh")}
          SECONDS=0; sleep() { SECONDS=$((SECONDS + 1)); }
          ipset() {
            [ "$SECONDS" -lt ${tries} ] || return 0
            [ "$1" = list ] || { echo "in use by a kernel component" >&2; return 1; }
          }
          remove_ipsets; result`,
        ),
      );
    expect(left(20)).to.equal('{"changed":[]}\n');
    expect(left(100)).to.include(
      "left the ipset cilium_node_set_v4, which goes with the next reboot: in use by a kernel component",
    );
  });

  it("takes Cilium's plugin away, and a loopback plugin only if it was not there before", () => {
    const none = 'echo "dpkg-query: no path found matching pattern x" >&2; return 1';
    const left = (remember: boolean, before: readonly string[], said = none) => {
      const root = temporaryFolder();
      const text = (
        then: string,
      ) => `${scriptText("lib/node/reset-cilium.sh").replaceAll("/opt/cni", `${root}/opt/cni`)}
        pkill() { :; }; tc() { :; }; dpkg-query() { ${said}; }; ip() { :; }; sleep() { SECONDS=$((SECONDS + 15)); }
        for name in rm rmdir; do eval "$name() { case \"\\$*\" in *$ROOT/*) command $name \"\\$@\" ;; esac; }"; done
        for name in iptables ip6tables; do eval "$name-nft-save() { :; }"; done
        ipset() { :; }
        ${then}`;
      for (const name of before) write(`${root}/opt/cni/bin/${name}`, "theirs");
      if (remember) bashOk(host(root, `remember_folder "$ROOT/opt/cni/bin"`));
      for (const name of ["cilium-cni", "loopback"]) {
        if (!before.includes(name)) write(`${root}/opt/cni/bin/${name}`, "Cilium's");
      }
      const { stderr } = bash(host(root, text("reset_cilium")));
      const files = existsSync(`${root}/opt/cni/bin`) ? readdirSync(`${root}/opt/cni/bin`).sort() : [];
      return { stderr, files };
    };
    const gone = (...files: string[]) => ({ stderr: "", files });
    expect(left(true, ["loopback", "bridge"])).to.deep.equal(gone("bridge", "loopback"));
    expect(left(true, ["bridge"])).to.deep.equal(gone("bridge"));
    expect(left(true, [])).to.deep.equal(gone());
    // A host of an earlier version of this program.
    expect(left(false, [])).to.deep.equal(gone());
    expect(left(false, [], "echo cni-plugins: /opt/cni/bin")).to.deep.equal(gone("loopback"));
    const silent = left(false, [], "echo 'dpkg-query: cannot open its database' >&2; return 2");
    expect(silent.files).to.deep.equal(["loopback"]);
    expect(silent.stderr).to.match(/no answer after 30 s to the question which package \S+\/opt\/cni\/bin is of/);
  });

  it("fails where containerd does not say which containers there are", () => {
    const root = temporaryFolder();
    write(`${root}/etc/kubernetes/kubelet.conf`, "x");
    const { status, stderr } = bash(
      host(root, "sleep() { SECONDS=$((SECONDS + 30)); }; ctr() { return 1; }; reset_node"),
    );
    expect(status).to.equal(1);
    expect(stderr).to.match(/no answer after 60 s to the question which containers/);
    expect(existsSync(`${root}/etc/kubernetes/kubelet.conf`)).to.equal(true);
  });
});
