import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { expect } from "chai";
import { scriptText } from "../../../components/hosts/script-text";
import {
  assignments,
  bash,
  bashOk,
  logOf,
  partsOf,
  removeTemporaryFolders,
  temporaryFolder,
  withLibrary,
  write,
} from "./bash";

afterEach(removeTemporaryFolders);

const given = {
  TK_ENDPOINT: "10.200.0.1",
  TK_ENDPOINT_PORT: "6443",
  TK_API_PORT: "6443",
  TK_NODE_IP: "100.64.0.1",
  TK_ROLE: "control-plane",
  TK_POD_ROUTING: "native",
  TK_KUBEADM_SECONDS: "5",
  TK_KUBEADM_DOCUMENT: "kind: UpgradeConfiguration",
  TK_CLUSTER_DOCUMENT: "kind: ClusterConfiguration",
  TK_HOST_ETCD: "exit 1",
  TK_SECURITY: "secured",
  TK_ENCRYPTION_KEY: "key-1",
  TK_ENCRYPTION: "encrypts: a-key",
  TK_ENCRYPTION_READ: "reads: a-key",
  TK_AUTHENTICATION: "kind: AuthenticationConfiguration",
  TK_ADMISSION: "",
  TK_AUDIT_POLICY: "kind: Policy",
};
const files = partsOf("lib/security/change-hardening.sh", "lib/node/reset.sh");

/** Scripts with the host's folders moved below `root`, and a cluster whose tools take notes; then some more bash. */
function node(root: string, text: string, more: Record<string, string> = {}, known = ""): string {
  const script = files
    .map(scriptText)
    .join("\n")
    .replace(/\/(etc\/kubernetes|var\/lib\/kubelet|var\/lib\/etcd|var\/log)\b/g, `${root}/$1`);
  mkdirSync(`${root}/var/lib/etcd`, { recursive: true, mode: 0o700 });
  for (const folder of ["etc/kubernetes/manifests", "var/lib/kubelet/pki", "var/log", "run/tailkube"]) {
    mkdirSync(`${root}/${folder}`, { recursive: true });
  }
  for (const name of ["apiserver", "controller-manager", "scheduler"]) {
    if (!existsSync(`${root}/etc/kubernetes/manifests/kube-${name}.yaml`)) {
      write(`${root}/etc/kubernetes/manifests/kube-${name}.yaml`, "former\n", 0o600);
    }
  }
  if (!existsSync(`${root}/var/lib/kubelet/config.yaml`))
    write(`${root}/var/lib/kubelet/config.yaml`, "kind: former\n");
  return withLibrary(
    root,
    [
      assignments({ ROOT: root, ...given, ...more }),
      script,
      'log() { echo "$*" >>"$ROOT/log"; }',
      "sleep() { :; }",
      `on_control_plane() { [ "$TK_ROLE" = control-plane ]; }
      kubectl_cluster() { case "$*" in "get namespace"*) printf '%s' "${known}" ;; *patch*|annotate*) log "notes \${*: -1}" ;; esac; }
      run_kubeadm() {
          log "kubeadm $* < \${TK_KUBEADM_DOCUMENT#kind: }"
          case "$*" in
          "init phase control-plane "*) echo wanted >"$ROOT/etc/kubernetes/manifests/kube-$4.yaml" ;;
          *kubelet-config) printf 'kind: wanted\\nserverTLSBootstrap: true\\n' >"$ROOT/var/lib/kubelet/config.yaml"; chmod 644 "$ROOT/var/lib/kubelet/config.yaml" ;;
          esac
      }
      running_container() { printf 'before'; }
      restarted() { log "restarted $1"; }
      restart_static_pod() { log "restart $1"; }
      api_ready() { true; }
      systemctl() { case "$1" in show) ;; *) log "systemctl $*"; : >"$ROOT/var/lib/kubelet/pki/kubelet-server-current.pem" ;; esac; }`,
      text,
    ].join("\n"),
    "upgrade",
  );
}

const changedBy = (stdout: string) => (JSON.parse(stdout) as { changed: string[] }).changed;

describe("the folder of etcd's data", () => {
  const data = (root: string) => `${root}/var/lib/etcd`;
  const mode = (root: string) => (statSync(data(root)).mode & 0o777).toString(8);
  // What would look for processes and devices of this machine.
  const without =
    'remember_cilium_image() { :; }; reset_cilium() { :; }; timeout() { :; }; systemctl() { echo inactive; }; ip() { :; }; PATH=/usr/bin:/bin; rm() { case "$*" in *" /var/"*) ;; *) command rm "$@" ;; esac; }';

  it("is root's alone, and as it was when the node has left", () => {
    const root = temporaryFolder();
    mkdirSync(data(root), { recursive: true, mode: 0o755 });
    const run = bashOk(node(root, `tighten_modes; tighten_modes; result`));
    expect(changedBy(run)).to.include(`mode 700 of ${data(root)}`);
    expect(mode(root)).to.equal("700");
    write(`${data(root)}/member/db`, "data");
    write(`${root}/var/lib/tailkube/etcd-ours`, "");
    bashOk(node(root, `${without}; find() { case "$1" in ${root}/*) command find "$@" ;; esac; }; reset_node`));
    expect(mode(root)).to.equal("755");
    expect(existsSync(`${data(root)}/member`)).to.equal(false);
    expect(existsSync(`${root}/var/lib/tailkube/etcd-mode`)).to.equal(false);
  });

  it("may be a link to another disk, which gets its own mode back", () => {
    const root = temporaryFolder();
    mkdirSync(`${root}/disk`, { mode: 0o750 });
    mkdirSync(`${root}/var/lib`, { recursive: true });
    symlinkSync(`${root}/disk`, data(root));
    const run = changedBy(bashOk(node(root, `tighten_modes; tighten_modes; result`)));
    expect(run.filter((line) => line.endsWith(data(root)))).to.have.lengthOf(1);
    expect(mode(root)).to.equal("700");
    bashOk(node(root, `${without}; find() { case "$1" in ${root}/*) command find "$@" ;; esac; }; reset_node`));
    expect(mode(root)).to.equal("750");
  });

  it("has its former mode on the disk before it is narrowed", () => {
    const root = temporaryFolder();
    mkdirSync(data(root), { recursive: true, mode: 0o755 });
    bashOk(
      node(root, 'sync() { log "sync ${*: -1}"; }; chmod() { log "chmod $*"; command chmod "$@"; }; tighten_modes'),
    );
    const log = readFileSync(`${root}/log`, "utf8").trim().split("\n");
    const narrowed = log.indexOf(`chmod 0700 ${data(root)}`);
    expect(log.slice(0, narrowed)).to.include.members(
      ["etcd-mode.new", "etcd-mode"].map((name) => `sync ${root}/var/lib/tailkube/${name}`),
    );
  });

  it("of a worker is somebody else's", () => {
    const root = temporaryFolder();
    mkdirSync(data(root), { recursive: true, mode: 0o755 });
    bashOk(node(root, "tighten_modes", { TK_ROLE: "worker" }));
    expect(mode(root)).to.equal("755");
  });
});

describe("files that are readable to everybody", () => {
  const unit = (root: string) => `${root}/usr/lib/systemd/system/kubelet.service`;
  const dropIn = (root: string) => `${root}/etc/systemd/system/kubelet.service.d/theirs.conf`;
  const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
  const systemd = (root: string) =>
    `systemctl() { [ "$1" != show ] || printf '%s\\n' ${unit(root)} "${dropIn(root)} ${root}/gone.conf"; }`;
  const reset =
    'remember_cilium_image() { :; }; reset_cilium() { :; }; timeout() { :; }; systemctl() { echo inactive; }; ip() { :; }; PATH=/usr/bin:/bin; rm() { case "$*" in *" /var/"*) ;; *) command rm "$@" ;; esac; }';

  function host() {
    const root = temporaryFolder();
    write(unit(root), "unit", 0o644);
    // Somebody's own, kept elsewhere.
    write(`${root}/srv/theirs.conf`, "theirs", 0o640);
    mkdirSync(`${root}/etc/systemd/system/kubelet.service.d`, { recursive: true });
    symlinkSync(`${root}/srv/theirs.conf`, dropIn(root));
    return root;
  }
  const leave = (root: string) =>
    bashOk(node(root, `${reset}; find() { case "$1" in ${root}/*) command find "$@" ;; esac; }; reset_node`));

  it("are root's alone on a node, and have their modes back when it has left", () => {
    const root = host();
    const run = bashOk(node(root, `${systemd(root)}\ntighten_modes; tighten_modes; result`, { TK_ROLE: "worker" }));
    expect(changedBy(run)).to.include.members([unit(root), dropIn(root)].map((path) => `mode 600 of ${path}`));
    expect([mode(unit(root)), mode(`${root}/srv/theirs.conf`)]).to.deep.equal(["600", "600"]);
    // An upgrade of the package brings its own mode again: the first one counts.
    chmodSync(unit(root), 0o755);
    bashOk(node(root, `${systemd(root)}\ntighten_modes`, { TK_ROLE: "worker" }));
    expect(mode(unit(root))).to.equal("600");
    leave(root);
    expect([mode(unit(root)), mode(`${root}/srv/theirs.conf`)]).to.deep.equal(["644", "640"]);
    expect(existsSync(`${root}/var/lib/tailkube/modes`)).to.equal(false);
  });

  it("keep a mode that somebody has set since", () => {
    const root = host();
    bashOk(node(root, `${systemd(root)}\ntighten_modes`, { TK_ROLE: "worker" }));
    chmodSync(`${root}/srv/theirs.conf`, 0o400);
    leave(root);
    expect(mode(`${root}/srv/theirs.conf`)).to.equal("400");
  });

  it("have their modes recorded, on the disk, before they lose them", () => {
    const root = host();
    const noted = 'sync() { log "sync ${*: -1}"; }; chmod() { log "chmod $*"; command chmod "$@"; }';
    bashOk(node(root, `${systemd(root)}\n${noted}\ntighten_modes`, { TK_ROLE: "worker" }));
    const log = readFileSync(`${root}/log`, "utf8").trim().split("\n");
    const narrowed = log.indexOf(`chmod 0600 ${unit(root)}`);
    expect(log.slice(0, narrowed)).to.include.members(
      ["owned.upgrade", "modes"].map((name) => `sync ${root}/var/lib/tailkube/${name}`),
    );
  });
});

describe("harden_node", () => {
  const steps = [
    'notes {"data":{"node1":"100.64.0.1"}}',
    "kubeadm init phase upload-config all < ClusterConfiguration",
    "kubeadm upgrade node phase kubelet-config < UpgradeConfiguration",
    "systemctl restart kubelet.service",
    "kubeadm init phase control-plane apiserver < ClusterConfiguration",
    "restarted kube-apiserver",
    "kubeadm init phase control-plane controller-manager < ClusterConfiguration",
    "restarted kube-controller-manager",
    "kubeadm init phase control-plane scheduler < ClusterConfiguration",
    "restarted kube-scheduler",
  ];

  it("a control plane: the files, the kubelet and its certificate, then the API server that insists on it", () => {
    const root = temporaryFolder();
    const stdout = bashOk(node(root, "harden_node; result"));
    expect(logOf(root)).to.deep.equal(steps);
    expect(changedBy(stdout)).to.include.members([
      "the kubelet has the wanted configuration",
      "kube-apiserver has the wanted arguments",
    ]);
    expect(statSync(`${root}/var/lib/kubelet/config.yaml`).mode & 0o777).to.equal(0o600);
    expect(readFileSync(`${root}/var/lib/tailkube/secured`, "utf8")).to.equal("secured\n");
    expect(stdout).to.not.include("a-key");
  });

  it("reads encrypted Secrets first, and writes them only where the cluster has noted that all can read them", () => {
    for (const [known, text] of [
      ["", given.TK_ENCRYPTION_READ],
      ["key-1", given.TK_ENCRYPTION],
    ] as const) {
      const root = temporaryFolder();
      expect(bashOk(node(root, "harden_node; encryption_state", {}, known)), known).to.equal(
        known === "" ? "reading\n" : "wanted\n",
      );
      expect(readFileSync(`${root}/etc/kubernetes/tailkube/encryption.yaml`, "utf8")).to.equal(`${text}\n`);
    }
  });

  it("a worker: its kubelet alone", () => {
    const root = temporaryFolder();
    bashOk(node(root, "harden_node", { TK_ROLE: "worker" }));
    expect(logOf(root)).to.deep.equal([steps[2], steps[3]]);
    expect(existsSync(`${root}/etc/kubernetes/tailkube`)).to.equal(false);
  });

  it("a second run changes nothing but restarts the API server, which does not read all of its files anew", () => {
    const root = temporaryFolder();
    bashOk(node(root, "harden_node"));
    const first = logOf(root).length;
    const stdout = bashOk(node(root, "harden_node; result"));
    expect(changedBy(stdout)).to.deep.equal(["mode 600 of " + `${root}/var/lib/kubelet/config.yaml`]);
    expect(logOf(root).slice(first))
      .to.include("restart kube-apiserver")
      .and.to.not.include("systemctl restart kubelet.service");
  });

  it("gives a pod its former arguments back that does not start with the wanted ones", () => {
    const root = temporaryFolder();
    const { status, stderr } = bash(node(root, "poll() { false; }\nharden_static_pod apiserver"));
    expect(status).to.equal(1);
    expect(stderr).to.match(
      /kube-apiserver does not become ready with the new arguments, so the previous ones were restored/,
    );
    const manifest = `${root}/etc/kubernetes/manifests/kube-apiserver.yaml`;
    expect(readFileSync(manifest, "utf8")).to.equal("former\n");
    expect(statSync(manifest).mode & 0o777).to.equal(0o600);
  });

  it("takes files away that are wanted no more, after the API server has stopped asking for them", () => {
    const root = temporaryFolder();
    bashOk(node(root, "harden_node"));
    const folder = `${root}/etc/kubernetes/tailkube`;
    const text = `restart_static_pod() { [ -e "$API_SERVER_FILES/audit-policy.yaml" ] || fail "too early"; }\nharden_node`;
    bashOk(node(root, text, { TK_AUTHENTICATION: "", TK_AUDIT_POLICY: "" }));
    expect([existsSync(`${folder}/authentication.yaml`), existsSync(`${folder}/audit-policy.yaml`)]).to.deep.equal([
      false,
      false,
    ]);
    expect(existsSync(`${folder}/encryption.yaml`)).to.equal(true);
  });

  it("says where to look when the kubelet gets no certificate", () => {
    const root = temporaryFolder();
    write(`${root}/var/lib/kubelet/config.yaml`, "serverTLSBootstrap: true\n");
    const { status, stderr } = bash(
      node(root, "SECONDS=0\nsleep() { SECONDS=$((SECONDS + 60)); }\nobtain_serving_certificate"),
    );
    expect(status).to.equal(1);
    expect(stderr).to.match(/the kubelet has no serving certificate after 240 s: see 'kubectl get csr'/);
  });
});

describe("stage start-encryption", () => {
  it("writes as wanted from here on, and notes that all can read it", () => {
    const root = temporaryFolder();
    write(`${root}/etc/kubernetes/tailkube/encryption.yaml`, `${given.TK_ENCRYPTION_READ}\n`);
    const text = scriptText("stages/start-encryption.sh");
    const stdout = bashOk(node(root, `${text}\napply`));
    expect(readFileSync(`${root}/etc/kubernetes/tailkube/encryption.yaml`, "utf8")).to.equal(
      `${given.TK_ENCRYPTION}\n`,
    );
    expect(logOf(root)).to.deep.equal(["notes tailkube.dev/encryption-key=key-1"]);
    expect(changedBy(bashOk(node(root, `${text}\napply`)))).to.deep.equal([]);
    expect(stdout).to.not.include("a-key");
  });
});
