import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { expect } from "chai";
import { scriptText } from "../../../components/hosts/script-text";
import {
  assignments,
  bash,
  bashOk,
  logOf,
  noSettings,
  partsOf,
  removeTemporaryFolders,
  snapshot,
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
  TK_KUBERNETES_VERSION: "1.36.3",
  TK_KUBEADM_DOCUMENT: "kind: UpgradeConfiguration",
  TK_CLUSTER_DOCUMENT: "kind: ClusterConfiguration",
  TK_HOST_ETCD: "exit 1",
  TK_SECURITY: "secured",
  ...noSettings,
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
  if (!existsSync(`${root}/etc/kubernetes/manifests/etcd.yaml`))
    write(`${root}/etc/kubernetes/manifests/etcd.yaml`, "former\n", 0o600);
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
          "init phase control-plane "*) echo "wanted by $TK_SECURITY" >"$ROOT/etc/kubernetes/manifests/kube-$4.yaml" ;;
          "init phase etcd local") echo "wanted by $TK_SECURITY" >"$ROOT/etc/kubernetes/manifests/etcd.yaml" ;;
          *kubelet-config) printf 'kind: wanted by %s\\nserverTLSBootstrap: true\\n' "$TK_SECURITY" >"$ROOT/var/lib/kubelet/config.yaml"; chmod 644 "$ROOT/var/lib/kubelet/config.yaml" ;;
          esac
      }
      running_container() { printf 'before'; }
      restarted() { log "restarted $1"; }
      restart_static_pod() { log "restart $1"; }
      kill_container() { log "end $1"; }
      api_ready() { true; }
      etcd_healthy() { true; }
      whole_etcd() { true; }
      kubelet_ready() { true; }
      kubelet_answers() { true; }
      kubelet_error() { :; }
      # One look is as good as many.
      poll() { shift; "$@" >/dev/null 2>&1; }
      systemctl() { case "$1" in show) echo 0 ;; *) log "systemctl $*"; : >"$ROOT/var/lib/kubelet/pki/kubelet-server-current.pem" ;; esac; }`,
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
    "kubeadm init phase upload-config kubelet < ClusterConfiguration",
    "kubeadm upgrade node phase kubelet-config < UpgradeConfiguration",
    "systemctl restart kubelet.service",
    "kubeadm init phase control-plane apiserver < ClusterConfiguration",
    "restarted kube-apiserver",
    "kubeadm init phase control-plane controller-manager < ClusterConfiguration",
    "restarted kube-controller-manager",
    "kubeadm init phase control-plane scheduler < ClusterConfiguration",
    "restarted kube-scheduler",
    "kubeadm init phase upload-config kubeadm < ClusterConfiguration",
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
    const text = `came_back() { [ "$1" != kube-apiserver ]; }\ntrap end_settings_change EXIT\nharden_node`;
    const { status, stderr } = bash(node(root, text));
    expect(status).to.equal(1);
    expect(stderr).to.equal(
      `tailkube: node1: upgrade: kube-apiserver does not become ready with the new arguments (waited 240 s); ${root}/var/log/pods on this host says why. ` +
        "The node has its former settings again\n",
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

describe("Kubernetes' own settings", () => {
  const settings = {
    TK_SECURITY: "set",
    TK_KUBELET_PATCH: "maxPods: 50",
    TK_KUBELET_CHECK: "kind: KubeletConfiguration\nmaxPods: 50",
    TK_ARGUMENTS: "etcd --quota-backend-bytes=1\nkube-apiserver --event-ttl=2h\nkube-apiserver --v=4",
    TK_ETCD_ARGUMENTS: "--quota-backend-bytes=1",
    TK_EXTRA_FILES: ["api-server/hook.yaml", "scheduler/config.yaml"]
      .map((path) => `${path} ${Buffer.from(`hunter2 of ${path}\nno line break at the end`).toString("base64")}`)
      .join("\n"),
  };
  /** The programs of the components that run, and kubeadm, as their notes in the log. */
  const programs = (root: string) => `PATH=${root}/bin:$PATH
    require_etcd() { log "etcd is whole"; }
    eval "$(declare -f find_program | sed '1s/^/settings_/')"
    find_program() { PROGRAM=${root}/bin/$1; [ -e "$PROGRAM" ] || PROGRAM=; }`;
  const accepts = 'echo "$(basename "$0") $*" >>"$(dirname "$0")/../log"';
  const folder = (root: string) => `${root}/etc/kubernetes/tailkube`;
  const patch = (root: string) => `${folder(root)}/patches/kubeletconfiguration+merge.yaml`;
  const state = (root: string, name: string) => `${root}/var/lib/tailkube/${name}`;

  function host(program = accepts): string {
    const root = temporaryFolder();
    write(`${root}/bin/kube-apiserver`, `#!/bin/bash\n${program}\n`, 0o755);
    const checks = `echo "kubeadm $1 $2 < $(tail -n 1 "$4")" >>${root}/log`;
    write(`${root}/bin/kubeadm`, `#!/bin/bash\n${checks}\n`, 0o755);
    write(state(root, "secured"), "former\n");
    return root;
  }
  /** A run with the settings, of which `more` may break something. */
  const run = (root: string, more = "", variables: Record<string, string> = {}) =>
    bash(
      node(root, `${programs(root)}\n${more}\ntrap end_settings_change EXIT\nharden_node; result`, {
        ...settings,
        ...variables,
      }),
    );
  /** Everything that a run may change, but for the log and records of ownership. */
  const files = (root: string) =>
    Object.fromEntries(
      Object.entries({ ...snapshot(`${root}/etc/kubernetes`), ...snapshot(`${root}/var/lib`) }).filter(
        ([path]) => !/owned|modes$|encryption\.yaml|kubelet-server|^tailkube$|kubelet\/pki/.test(path),
      ),
    );
  const prepared = () => {
    const root = host();
    // The first hardening, with which the node begins.
    bashOk(node(root, `${programs(root)}\nharden_node`, { TK_SECURITY: "former" }));
    write(`${root}/log`, "");
    return root;
  };

  it("are checked before anything changes, and installed for root alone before what reads them starts", () => {
    const root = host();
    const { status, stdout, stderr } = run(root);
    expect({ status, stderr }).to.deep.equal({ status: 0, stderr: "" });
    expect(logOf(root)).to.deep.equal([
      "kubeadm config validate < maxPods: 50",
      "kube-apiserver --event-ttl=2h --v=4 --version",
      'notes {"data":{"node1":"100.64.0.1"}}',
      "kubeadm init phase upload-config kubelet < ClusterConfiguration",
      "kubeadm upgrade node phase kubelet-config < UpgradeConfiguration",
      "systemctl restart kubelet.service",
      "etcd is whole",
      "kubeadm init phase etcd local < ClusterConfiguration",
      "restarted etcd",
      "kubeadm init phase control-plane apiserver < ClusterConfiguration",
      "restarted kube-apiserver",
      "kubeadm init phase control-plane controller-manager < ClusterConfiguration",
      "restarted kube-controller-manager",
      "kubeadm init phase control-plane scheduler < ClusterConfiguration",
      "restarted kube-scheduler",
      "kubeadm init phase upload-config kubeadm < ClusterConfiguration",
    ]);
    expect(readFileSync(patch(root), "utf8")).to.equal("maxPods: 50\n");
    const hook = `${folder(root)}/api-server/hook.yaml`;
    expect(readFileSync(hook, "utf8")).to.equal("hunter2 of api-server/hook.yaml\nno line break at the end");
    for (const path of [hook, patch(root)]) expect(statSync(path).mode & 0o777, path).to.equal(0o600);
    expect(readFileSync(state(root, "etcd-arguments"), "utf8")).to.equal("--quota-backend-bytes=1\n");
    expect(existsSync(state(root, "former"))).to.equal(false);
    expect(stdout + stderr).to.not.include("hunter2");
  });

  it("that kubeadm does not know change nothing", () => {
    const root = prepared();
    const before = files(root);
    const said =
      'error: error unmarshaling configuration schema.GroupVersionKind{Group:"k", Kind:"KubeletConfiguration"}: strict decoding error: unknown field "maxPodz"';
    const text = `${said}\nTo see the stack trace of this error execute with --v=5 or higher`;
    write(`${root}/bin/kubeadm`, `#!/bin/bash\ncat >&2 <<'E'\n${text}\nE\nexit 1\n`, 0o755);
    const { status, stderr } = run(root);
    expect(status).to.equal(1);
    expect(stderr).to.equal(
      'tailkube: node1: upgrade: kubeadm rejects this node\'s kubelet settings, so nothing was changed: strict decoding error: unknown field "maxPodz". Correct kubernetes.kubelet or the kubelet of this node in nodes\n',
    );
    expect(files(root)).to.deep.equal(before);
    expect(logOf(root)).to.deep.equal([""]);
  });

  it("that a component's program does not know change nothing", () => {
    const root = prepared();
    write(`${root}/bin/kube-apiserver`, '#!/bin/bash\necho "Error: unknown flag: --event-ttl" >&2\nexit 1\n', 0o755);
    const before = files(root);
    const { status, stderr } = run(root);
    expect(status).to.equal(1);
    expect(stderr).to.match(
      /kube-apiserver rejects its arguments, so nothing was changed: unknown flag: --event-ttl\./,
    );
    expect(files(root)).to.deep.equal(before);
  });

  it("are not applied untried because containerd does not say where the program runs", () => {
    const answers = (times: string) => `unset -f find_program
      eval "$(declare -f settings_find_program | sed '1s/settings_//')"
      sleep() { SECONDS=$((SECONDS + 10)); }
      ctr() { case "$*" in *"tasks ls") [ -e "$ROOT/asked" ] && ${times} || { : >"$ROOT/asked"; return 1; }; printf 'TASK PID STATUS\\nbefore 1 STOPPED\\n' ;; esac; }`;
    const root = prepared();
    const before = files(root);
    const { status, stderr } = run(root, answers("false"));
    expect(status).to.equal(1);
    expect(stderr).to.match(
      /no answer after 60 s to the question which process the container of etcd has, to containerd/,
    );
    expect(files(root)).to.deep.equal(before);
    expect(run(prepared(), answers("true")).status).to.equal(0);
  });

  it("of the kubelet are not taken for borne without an answer how often it was started again", () => {
    for (const show of ["return 1", ":"]) {
      const root = prepared();
      const before = files(root);
      const { status, stderr } = run(
        root,
        `eval "$(declare -f systemctl | sed '1s/systemctl/other_systemctl/')"\nsystemctl() { case "$1 $*" in "show "*NRestarts*) ${show} ;; *) other_systemctl "$@" ;; esac; }`,
      );
      expect(status, show).to.equal(1);
      expect(stderr).to.match(
        /the kubelet does not keep running with the new configuration \(waited 120 s; no answer to the question how often the kubelet was started again /,
      );
      expect(files(root)).to.deep.equal(before);
    }
  });

  it("are not refused because the program cannot be asked", () => {
    for (const program of ["exit 126", "kill -9 $$"]) expect(run(host(program)).status, program).to.equal(0);
  });

  for (const [what, text, line] of [
    [
      "etcd",
      "came_back() { true; }; etcd_came_back() { false; }",
      /etcd's member on this control plane does not become healthy/,
    ],
    ["the API server", 'came_back() { [ "$1" != kube-apiserver ]; }', /kube-apiserver does not become ready/],
    ["the scheduler", 'came_back() { [ "$1" != kube-scheduler ]; }', /kube-scheduler does not become ready/],
    ["the kubelet", "kubelet_stays() { false; }", /the kubelet does not keep running/],
    ["the API", `patch_note() { false; }`, /cannot declare node1=/],
    [
      "a step of kubeadm",
      'run_kubeadm() { case "$*" in *upload-config*kubeadm) fail "no answer" ;; esac; }',
      /no answer/,
    ],
  ] as const) {
    it(`are put back, all of them, if ${what} does not bear them`, () => {
      const root = prepared();
      const before = files(root);
      const { status, stderr } = run(root, text);
      expect(status).to.equal(1);
      expect(stderr.trimEnd().split("\n")).to.have.lengthOf(1);
      expect(stderr)
        .to.match(line)
        .and.to.match(/The node has its former settings again\n$/);
      expect(files(root)).to.deep.equal(before);
      expect(stderr).to.not.include("hunter2");
      // The cluster's document has only what works.
      expect(logOf(root).filter((one) => one.includes("upload-config kubeadm"))).to.deep.equal([]);
    });
  }

  it("says so if the node does not come up with its former settings either", () => {
    const root = prepared();
    const { stderr } = run(root, "api_ready() { false; }");
    expect(stderr).to.match(/is not healthy with them yet: see \S+\/var\/log\/pods/);
    expect(stderr.trimEnd().split("\n")).to.have.lengthOf(1);
  });

  it("of a run that was killed are finished by the next, which restarts what it cannot know to have read them", () => {
    const root = prepared();
    const killed = run(root, 'came_back() { [ "$1" != kube-scheduler ] || kill -9 $$; }');
    expect(killed.status).to.equal(undefined);
    expect(existsSync(state(root, "former/etc/kubernetes/manifests/kube-scheduler.yaml"))).to.equal(false);
    expect(
      bashOk(node(root, "if has_wanted_settings; then echo yes; fi", { ...settings, TK_SECURITY: "former" })),
    ).to.equal("");
    write(`${root}/log`, "");
    expect(run(root).status).to.equal(0);
    const restarts = logOf(root).filter((one) => one.startsWith("restart ") || one.startsWith("systemctl restart"));
    expect(restarts).to.deep.equal([
      "systemctl restart kubelet.service",
      ...["apiserver", "controller-manager", "scheduler"].map((name) => `restart kube-${name}`),
    ]);
    expect(bashOk(node(root, "if has_wanted_settings; then echo yes; fi", settings))).to.equal("yes\n");
  });

  it("of a run that was killed are put back as they were before it", () => {
    const root = prepared();
    const before = files(root);
    run(root, 'came_back() { [ "$1" != kube-scheduler ] || kill -9 $$; }');
    expect(run(root, 'is_well() { [ "$1" != kube-scheduler ]; }').status).to.equal(1);
    expect(files(root)).to.deep.equal(before);
  });

  it("that were kept before an upgrade of Kubernetes are not put back after it", () => {
    const root = prepared();
    run(root, 'came_back() { [ "$1" != kube-scheduler ] || kill -9 $$; }');
    write(`${root}/etc/kubernetes/manifests/kube-apiserver.yaml`, "of the next version\n", 0o600);
    run(root, "harden_etcd() { fail no; }", { TK_KUBERNETES_VERSION: "1.37.2" });
    expect(readFileSync(`${root}/etc/kubernetes/manifests/kube-apiserver.yaml`, "utf8")).to.equal(
      "of the next version\n",
    );
  });

  it("go when they are declared no more, after what read them has stopped asking", () => {
    const root = prepared();
    run(root);
    const late = `restart_static_pod() { [ -e "$API_SERVER_FILES/api-server/hook.yaml" ] || fail "too early for $1"; }`;
    const { status, stderr } = run(root, late, { ...noSettings, TK_SECURITY: "former" });
    expect({ status, stderr }).to.deep.equal({ status: 0, stderr: "" });
    for (const path of ["api-server", "scheduler", "patches/kubeletconfiguration+merge.yaml"]) {
      expect(existsSync(`${folder(root)}/${path}`), path).to.equal(false);
    }
    expect(readFileSync(state(root, "etcd-arguments"), "utf8")).to.equal("\n");
  });

  it("are seen in the content of a file alone", () => {
    const root = prepared();
    run(root);
    const asked = "if has_wanted_settings; then echo yes; else echo no; fi";
    const other = { ...settings, TK_EXTRA_FILES: settings.TK_EXTRA_FILES.replace(/ \S+$/, " YQ==") };
    const fewer = { ...settings, TK_EXTRA_FILES: settings.TK_EXTRA_FILES.split("\n")[0]! };
    expect([settings, other, fewer].map((one) => bashOk(node(root, asked, one)))).to.deep.equal([
      "yes\n",
      "no\n",
      "no\n",
    ]);
  });

  it("of a worker are its kubelet's alone", () => {
    const root = host();
    const worker = { TK_ROLE: "worker", TK_ARGUMENTS: "", TK_ETCD_ARGUMENTS: "", TK_EXTRA_FILES: "" };
    expect(run(root, "", worker).status).to.equal(0);
    expect(logOf(root)).to.deep.equal([
      "kubeadm config validate < maxPods: 50",
      "kubeadm upgrade node phase kubelet-config < UpgradeConfiguration",
      "systemctl restart kubelet.service",
    ]);
    expect(
      run(root, "kubelet_stays() { false; }", { ...worker, TK_SECURITY: "other", TK_KUBELET_PATCH: "maxPods: 5" })
        .status,
    ).to.equal(1);
    expect(readFileSync(patch(root), "utf8")).to.equal("maxPods: 50\n");
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
