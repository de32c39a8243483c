import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
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
  temporaryFolder,
  withLibrary,
  write,
} from "./bash";

afterEach(removeTemporaryFolders);

const changedBy = (stdout: string) => (JSON.parse(stdout) as { changed: string[] }).changed;

const given = {
  TK_NODE_NETWORK: "tailnet",
  TK_ENDPOINT: "10.200.0.1",
  TK_ENDPOINT_PORT: "6443",
  TK_API_PORT: "6443",
  TK_NODE_IP: "100.64.0.1",
  TK_ROLE: "control-plane",
  TK_POD_ROUTING: "native",
  TK_KUBEADM_SECONDS: "5",
  TK_KUBEADM_DOCUMENT: "kind: UpgradeConfiguration",
  TK_KUBERNETES_VERSION: "1.36.3",
  TK_BUNDLE: "",
  TK_CONTAINERD_VERSION: "",
  TK_TAILSCALE_VERSION: "",
  TK_CONTAINERD_V1: "version = 2",
  TK_CONTAINERD_V2: "version = 3",
  TK_IMAGE_PULL_POLICY: "IfNotPresent",
  TK_CERTIFICATE_RENEWAL: "",
  TK_DRAIN_SECONDS: "30",
  TK_HOST_ETCD: "exit 1",
  TK_SECURITY: "secured",
  ...noSettings,
  TK_CLUSTER_DOCUMENT: "kind: ClusterConfiguration",
  TK_INIT_DOCUMENT: "kind: ClusterConfiguration\nimageRepository: images.example.com/k8s",
  TK_ENCRYPTION_KEY: "key-1",
  TK_ENCRYPTION: "encrypts: a-key",
  TK_ENCRYPTION_READ: "reads: a-key",
  TK_AUTHENTICATION: "",
  TK_ADMISSION: "",
  TK_AUDIT_POLICY: "",
};

/** The stage's files with the host's folders moved below `root`, and then some more bash. */
function stage(root: string, files: readonly string[], more: Record<string, string>, text: string): string {
  const script = files
    .map(scriptText)
    .join("\n")
    .replace(/\/(etc\/kubernetes|etc\/containerd|etc\/systemd\/system|var\/lib\/etcd|var\/log)\b/g, `${root}/$1`);
  for (const folder of ["etc/kubernetes/manifests", "etc/containerd", "var/lib/etcd", "var/log", "bin"]) {
    mkdirSync(`${root}/${folder}`, { recursive: true });
  }
  return withLibrary(
    root,
    [
      assignments({ ROOT: root, ...given, ...more }),
      script,
      `PATH=${root}/bin:$PATH`,
      'log() { echo "$*" >>"$ROOT/log"; }',
      // Time passes in the tests, too, or a bound would never end.
      "sleep() { SECONDS=$((SECONDS + 1)); }",
      'mkdir -p "$TK_RUN" "$TK_STATE"',
      text,
    ].join("\n"),
    "upgrade",
  );
}

describe("upgrade.sh, Cilium's pod on the node", () => {
  /** Restarts it with a kubectl that prints what kubectl prints for the script's template; a new pod comes after it was deleted. */
  function restarted(pods: { before: string; after: string }) {
    const root = temporaryFolder();
    write(
      `${root}/bin/kubectl`,
      `#!/bin/bash
case "$*" in
*" get pods "*'{range .items[*]}'*'{"\\n"}{end}'*)
  if [ -e ${root}/deleted ]; then printf '${pods.after}'; else printf '${pods.before}'; fi ;;
*" delete pod "*) echo "delete \${*: -2:1}" >>${root}/log; touch ${root}/deleted ;;
*) exit 1 ;;
esac`,
      0o755,
    );
    const text = 'poll() { shift; "$@" >/dev/null 2>&1; }\nrestart_cilium; result';
    const run = bash(stage(root, partsOf("lib/upgrade/steps.sh"), { TK_NODE: "w1" }, text));
    return { log: logOf(root), ...run };
  }

  it("is deleted, and another one has to become ready", () => {
    const run = restarted({ before: "u1 cilium-a True\\n", after: "u2 cilium-b True\\n" });
    expect(run.status, run.stderr).to.equal(0);
    expect(run.log).to.deep.equal(["delete cilium-a"]);
    expect(changedBy(run.stdout)).to.deep.equal(["restarted Cilium on this node"]);
  });

  it("is not taken for the new one while it ends", () => {
    const run = restarted({ before: "u1 cilium-a True\\n", after: "u1 cilium-a True\\nu2 cilium-b False\\n" });
    expect(run.status).to.equal(1);
    expect(run.stderr).to.include("Cilium does not become ready on this node");
  });

  it("is not missed where there is none", () => {
    const run = restarted({ before: "", after: "" });
    expect(run.status, run.stderr).to.equal(0);
    expect(run.log).to.deep.equal([]);
  });
});

describe("lib/upgrade/versions.sh", () => {
  const files = partsOf("lib/upgrade/versions.sh", "lib/upgrade/version-skew.sh");
  /** Whether the host has what is wanted, where these calls get no answer, once or ever. */
  function wanted(question: string, text: string, times: "once" | "always", more: Record<string, string> = {}) {
    const root = temporaryFolder();
    write(`${root}/etc/containerd/config.toml`, "version = 2\n");
    return bash(
      stage(
        root,
        files,
        { TK_NODE: "w1", TK_CONTAINERD_VERSION: "1.7.24", TK_TAILSCALE_VERSION: "1.102.5", ...more },
        `answer() {
          case "$*" in ${question}) if [ ${times} = always ] || [ ! -e "$ROOT/failed" ]; then : >"$ROOT/failed"; return 1; fi ;; esac
          case "$*" in
          "containerd --version") echo "containerd x v1.7.24~ds1 y" ;;
          "tailscaled --version") printf '1.102.5\\n  go version\\n' ;;
          "systemctl show -p MainPID "*) echo 0 ;;
          esac
        }
        for name in containerd tailscaled systemctl; do eval "$name() { answer $name \\"\\$@\\"; }"; done
        if ${text}; then echo yes; else echo no; fi`,
      ),
    );
  }

  for (const [text, question, what] of [
    ["has_wanted_containerd", '"containerd --version"', "which version of containerd this host has"],
    ["has_wanted_containerd", '"systemctl show -p MainPID "*', "which process containerd.service has"],
    ["has_wanted_tailscale", '"tailscaled --version"', "which version of tailscaled this host has"],
    ["has_wanted_tailscale", '"systemctl show -p MainPID "*', "which process tailscaled.service has"],
  ] as const) {
    it(`${text} asks again, and drains no node for a lost answer: ${question}`, () => {
      const once = wanted(question, text, "once");
      expect({ status: once.status, stdout: once.stdout, stderr: once.stderr }).to.deep.equal({
        status: 0,
        stdout: "yes\n",
        stderr: "",
      });
      const always = wanted(question, text, "always");
      expect(always.status).to.equal(1);
      expect(always.stdout).to.equal("");
      expect(always.stderr).to.match(new RegExp(`no answer after \\d+ s to the question ${what}`));
    });
  }

  it("knows another version where it is one, and one of the configuration", () => {
    expect(wanted("none", "has_wanted_containerd", "once", { TK_CONTAINERD_VERSION: "2.2.1" }).stdout).to.equal("no\n");
    expect(wanted("none", "has_wanted_containerd", "once", { TK_CONTAINERD_V1: "version = 2 # new" }).stdout).to.equal(
      "no\n",
    );
    expect(wanted("none", "has_wanted_tailscale", "once", { TK_TAILSCALE_VERSION: "1.104.0" }).stdout).to.equal("no\n");
    expect(wanted("none", "has_wanted_tailscale && has_wanted_containerd", "once").stdout).to.equal("yes\n");
  });
});

describe("installed/etcd.sh", () => {
  /** A host on whose containerd etcd runs; `tools` answer what is run inside of it. */
  function host(tools: { etcdctl?: string; etcdutl?: string } = {}, running = true, silent = "nothing") {
    const root = temporaryFolder();
    for (const folder of ["var/lib/etcd", "run", "keep"]) mkdirSync(`${root}/${folder}`, { recursive: true });
    const { etcdctl, etcdutl } = {
      etcdctl: 'echo data >"${*: -1}"; echo "Snapshot saved" >&2',
      etcdutl: `case $1 in version) echo 3.6.8 ;; *) echo '{"hash":1,"revision":7}' ;; esac`,
      ...tools,
    };
    write(
      `${root}/bin/ctr`,
      `#!/bin/bash
echo "level=warning msg=DEPRECATION" >&2
case "$*" in
*"${silent}"*) exit 1 ;;
"-n k8s.io containers ls -q "*'name"==etcd,'*) printf 'ended\\n${running ? "runs\\n" : ""}' ;;
"-n k8s.io tasks ls") printf 'TASK PID STATUS\\nruns 7 RUNNING\\nended 8 STOPPED\\nother 9 RUNNING\\n' ;;
"-n k8s.io tasks exec --exec-id tailkube-"*" runs "*)
    shift 6
    shift
    echo "$*" >>${root}/log
    tool=$1
    shift
    case $tool in etcdctl) ${etcdctl} ;; etcdutl) ${etcdutl} ;; esac ;;
*) exit 9 ;;
esac
`,
      0o755,
    );
    const text = scriptText("installed/etcd.sh")
      .replace(/^export PATH=(.*)$/m, `export PATH=${root}/bin:$1`)
      .replace(/\/(var\/lib\/etcd|run\/tailkube)/g, `${root}/$1`);
    return { root, etcd: (...args: string[]) => bash(text, ...args), log: () => logOf(root) };
  }

  it("keeps a verified snapshot for its owner alone, and leaves nothing with etcd's data", () => {
    const { root, etcd, log } = host();
    const { status, stdout } = etcd("snapshot", `${root}/keep/one.db`);
    expect({ status, stdout }).to.deep.equal({
      status: 0,
      stdout: `${root}/keep/one.db {"hash":1,"revision":7}\n`,
    });
    expect(readFileSync(`${root}/keep/one.db`, "utf8")).to.equal("data\n");
    expect(statSync(`${root}/keep/one.db`).mode & 0o777).to.equal(0o600);
    expect(readdirSync(`${root}/var/lib/etcd`)).to.deep.equal([]);
    expect(log()[0]).to.match(
      /^etcdctl --endpoints=https:\/\/127\.0\.0\.1:2379 --cacert=\S+ --cert=\S+ --key=\S+ snapshot save .*\/var\/lib\/etcd\/tailkube-snapshot\.db$/,
    );
    expect(log()[2]).to.match(/^etcdutl snapshot status .*tailkube-snapshot\.db --write-out=json$/);
  });

  it("does without the check of an image that has no tool for it", () => {
    const absent = `echo 'ctr: OCI runtime exec failed: exec failed: exec: "etcdutl": executable file not found in $PATH: unknown' >&2; exit 1`;
    const { root, etcd } = host({ etcdutl: absent });
    expect(etcd("snapshot", `${root}/keep/one.db`)).to.include({ status: 0, stdout: `${root}/keep/one.db\n` });
  });

  it("asks again whether the image has that tool, and keeps no snapshot that it could not verify", () => {
    const second = `[ -e $0.asked ] || { : >$0.asked; echo "ctr: context deadline exceeded" >&2; exit 1; }; case $1 in version) : ;; *) echo verified ;; esac`;
    const late = host({ etcdutl: second });
    expect(late.etcd("snapshot", `${late.root}/keep/one.db`).stdout).to.equal(`${late.root}/keep/one.db verified\n`);
    const silent = host({ etcdutl: 'echo "ctr: context deadline exceeded" >&2; exit 1' });
    const { status, stderr } = silent.etcd("snapshot", `${silent.root}/keep/one.db`);
    expect(status).to.equal(1);
    expect(stderr).to.include("no answer to the question whether etcd's image has etcdutl").and.to.include("deadline");
    expect(readdirSync(`${silent.root}/keep`)).to.deep.equal([]);
  });

  it("keeps none that is damaged or could not be made, and says why", () => {
    const failing: [Parameters<typeof host>[0], RegExp][] = [
      [
        { etcdctl: 'echo "Error: context deadline exceeded" >&2; exit 1' },
        /^etcd: no snapshot could be made: Error: context deadline exceeded$/m,
      ],
      [{ etcdutl: "case $1 in version) : ;; *) exit 1 ;; esac" }, /^etcd: the snapshot is damaged/m],
    ];
    for (const [tools, message] of failing) {
      const { root, etcd } = host(tools);
      const { status, stderr } = etcd("snapshot", `${root}/keep/one.db`);
      expect(status).to.equal(1);
      expect(stderr).to.match(message);
      expect([...readdirSync(`${root}/keep`), ...readdirSync(`${root}/var/lib/etcd`)]).to.deep.equal([]);
    }
  });

  it("overwrites nothing, and says where no etcd runs", () => {
    const { root, etcd, log } = host();
    write(`${root}/keep/one.db`, "mine");
    expect(etcd("snapshot", `${root}/keep/one.db`).stderr).to.match(/one\.db is there already; name another file/);
    expect(etcd("snapshot", `${root}/none/one.db`).stderr).to.match(/the folder \S+\/none does not exist/);
    expect(log()).to.deep.equal([]);
    const other = host({}, false);
    expect(other.etcd("ctl", "member", "list")).to.include({
      status: 1,
      stderr: "etcd: no etcd runs on this host: is it a control plane, and is its kubelet running?\n",
    });
  });

  it("does not take containerd's silence for an etcd that does not run", () => {
    for (const question of ["containers ls", "tasks ls"]) {
      const { etcd, log } = host({}, true, question);
      expect(etcd("ctl", "member", "list"), question)
        .to.include({ status: 1 })
        .and.to.have.property("stderr")
        .that.matches(/^etcd: containerd does not answer .*it is not known whether etcd runs on this host/);
      expect(log()).to.deep.equal([]);
    }
  });

  it("hands anything else to etcdctl, and refuses what it does not know", () => {
    const { etcd, log } = host({ etcdctl: "exit 3" });
    expect(etcd("ctl", "endpoint", "health").status).to.equal(3);
    expect(log()[0]).to.match(/^etcdctl .* endpoint health$/);
    for (const args of [[], ["snapshot"], ["restore", "x"]]) {
      expect(etcd(...args)).to.include({ status: 2, stderr: "usage: etcd snapshot FILE | etcd ctl ARGUMENT...\n" });
    }
  });
});

describe("lib/control-plane/etcd-data.sh", () => {
  const files = partsOf("lib/control-plane/etcd-data.sh");

  it("keeps the newest three of the automatic snapshots, and all others", () => {
    const root = temporaryFolder();
    const folder = `${root}/var/lib/tailkube/snapshots`;
    for (const name of [
      "auto-20250101T000000Z-1.34.0",
      "auto-20250601T000000Z-1.35.0",
      "auto-20260101T000000Z-1.35.4",
      "mine",
    ]) {
      write(`${folder}/${name}.db`, "");
    }
    const stdout = bashOk(
      stage(root, files, {}, 'etcd_command() { log "$*"; echo made >"$2"; }\nsnapshot_etcd 1.36.1\nresult'),
    );
    const [made] = changedBy(stdout).map((line) => line.replace(/^etcd snapshot .*\//, ""));
    expect(made).to.match(/^auto-20\d{6}T\d{6}Z-1\.36\.1\.db$/);
    expect(readdirSync(folder).sort()).to.deep.equal(
      ["auto-20250601T000000Z-1.35.0.db", "auto-20260101T000000Z-1.35.4.db", made, "mine.db"].sort(),
    );
    expect(statSync(folder).mode & 0o777).to.equal(0o755);
  });

  it("names two snapshots of one second apart: a run that failed after its own may be followed at once", () => {
    const root = temporaryFolder();
    write(`${root}/var/lib/tailkube/snapshots/auto-20260101T000000Z-1.36.1.db`, "former");
    const clock = `date() { cat "$ROOT/now" 2>/dev/null || echo 20260101T000000Z; }
      sleep() { log "sleep $1"; echo 20260101T000001Z >"$ROOT/now"; }`;
    const command = 'etcd_command() { log "${2##*/}"; [ ! -e "$2" ] && echo made >"$2"; }';
    bashOk(stage(root, files, {}, `${clock}\n${command}\nsnapshot_etcd 1.36.1`));
    expect(logOf(root)).to.deep.equal(["sleep 1", "auto-20260101T000001Z-1.36.1.db"]);
  });

  it("stops an upgrade that has no snapshot", () => {
    const { status, stderr } = bash(
      stage(
        temporaryFolder(),
        files,
        {},
        'etcd_command() { echo "etcd: disk full" >&2; return 1; }\nsnapshot_etcd 1.36.1',
      ),
    );
    expect(status).to.equal(1);
    expect(stderr).to.equal("tailkube: node1: upgrade: no snapshot of etcd, so nothing was changed: etcd: disk full\n");
  });

  describe("yield_etcd_lead", () => {
    /** On member 1 of three, whose leader and members are as etcdctl says. */
    const run = (leader: number, members: string, answers = "return 0") => {
      const root = temporaryFolder();
      const status = `[{"Endpoint":"https://127.0.0.1:2379","Status":{"header":{"cluster_id":7,"member_id":1,"revision":5,"raft_term":2},"version":"3.6.8","leader":${leader},"raftIndex":9}}]`;
      const finished = bash(
        stage(
          root,
          files,
          {},
          `etcd_command() {
            case "$*" in
            *"endpoint status --write-out=json") echo '${status}' ;;
            *"member list") printf '${members}' ;;
            *) log "$*"; ${answers} ;;
            esac
          }
          yield_etcd_lead\nresult`,
        ),
      );
      expect(finished.status, finished.stderr).to.equal(0);
      return { log: logOf(root), changed: changedBy(finished.stdout) };
    };
    const member = (
      id: string,
      name: string,
      rest = "started, %s, https://100.64.0.9:2380, https://100.64.0.9:2379, false",
    ) => `${id}, ${rest.replace("%s", name)}\\n`;
    const others = member("1", "node1") + member("a2", "cp2") + member("a3", "cp3");

    it("hands the lead to another member that votes", () => {
      const learner = member("b0", "new", "started, %s, https://100.64.0.9:2380, https://100.64.0.9:2379, true");
      const unstarted = member("b1", "", "unstarted, %s, https://100.64.0.9:2380, , false");
      expect(run(1, learner + unstarted + others)).to.deep.equal({
        log: ["ctl --command-timeout=8s move-leader a2"],
        changed: ["gave the lead of etcd to another member"],
      });
    });

    it("has nothing to hand over where another leads, or nobody else could", () => {
      expect(run(2, others)).to.deep.equal({ log: [], changed: [] });
      expect(run(1, member("1", "node1"))).to.deep.equal({ log: [], changed: [] });
    });

    it("asks until it knows who leads, and then stops", () => {
      const { status, stderr } = bash(
        stage(
          temporaryFolder(),
          files,
          {},
          'etcd_command() { echo "context deadline exceeded" >&2; return 1; }\nyield_etcd_lead',
        ),
      );
      expect(status).to.equal(1);
      expect(stderr).to.match(
        /no answer after 60 s to the question which member leads etcd.*context deadline exceeded/,
      );
    });

    it("is no reason to stop: etcd elects another by itself, only later", () => {
      expect(run(1, others, "return 1").changed).to.deep.equal([]);
    });
  });

  describe("etcd_restore", () => {
    const fakes = (
      restore = 'mkdir -p "$ROOT/var/lib/etcd/.tailkube-restore/member"; echo data >"$ROOT/var/lib/etcd/.tailkube-restore/member/db"',
    ) => `
      kubeadm() { printf 'registry.k8s.io/kube-apiserver:v1.36.3\\nregistry.k8s.io/etcd:3.6.8-0\\n'; }
      timeout() { while [[ $1 == -* || $1 =~ ^[0-9]+$ ]]; do shift; done; "$@"; }
      ctr() {
        case "$*" in
        *"images ls -q name==registry.k8s.io/etcd:3.6.8-0") echo registry.k8s.io/etcd:3.6.8-0 ;;
        *" run "*) log "$*"; ${restore} ;;
        *) return 1 ;;
        esac
      }
      `;
    const run = (root: string, text: string, restore?: string) =>
      bash(stage(root, files, {}, `${fakes(restore)}${text}\nresult`));

    it("makes this host the snapshot's only member, by the tool of the image that will run", () => {
      const root = temporaryFolder();
      write(`${root}/keep/one.db`, "snapshot");
      const { status, stderr, stdout } = run(root, `etcd_restore ${root}/keep/one.db "$TK_INIT_DOCUMENT"`);
      expect({ status, stderr }).to.deep.equal({ status: 0, stderr: "" });
      expect(changedBy(stdout)).to.deep.equal([`restored etcd from ${root}/keep/one.db`]);
      expect(logOf(root)).to.deep.equal([
        `-n k8s.io run --rm --mount type=bind,src=${root}/var/lib/etcd,dst=${root}/var/lib/etcd,options=rbind:rw ` +
          `--mount type=bind,src=${root}/keep,dst=/snapshot,options=rbind:ro registry.k8s.io/etcd:3.6.8-0 tailkube-restore ` +
          "etcdutl snapshot restore /snapshot/one.db --name node1 --initial-cluster node1=https://100.64.0.1:2380 " +
          `--initial-advertise-peer-urls https://100.64.0.1:2380 --data-dir ${root}/var/lib/etcd/.tailkube-restore ` +
          "--bump-revision 1000000000 --mark-compacted",
      ]);
      expect(readdirSync(`${root}/var/lib/etcd`)).to.deep.equal(["member"]);
    });

    it("goes on after a kill: what was restored stays, what was half restored is made anew", () => {
      const root = temporaryFolder();
      write(`${root}/keep/one.db`, "snapshot");
      write(`${root}/var/lib/etcd/.tailkube-restore/member/half`, "");
      expect(run(root, `etcd_restore ${root}/keep/one.db "$TK_INIT_DOCUMENT"`).status).to.equal(0);
      expect(readdirSync(`${root}/var/lib/etcd/member`)).to.deep.equal(["db"]);
      expect(run(root, `etcd_restore ${root}/keep/one.db "$TK_INIT_DOCUMENT"`).status).to.equal(0);
      expect(logOf(root)).to.have.lengthOf(1);
    });

    it("pulls the image by kubeadm's document and containerd's mirrors, which ctr does not know", () => {
      const root = temporaryFolder();
      write(`${root}/keep/one.db`, "snapshot");
      const pulled = `
        kubeadm() {
          log "kubeadm $*"
          case "$*" in
          *" list "*) echo "$(sed -n 's/^imageRepository: //p' "\${@: -1}")/etcd:3.6.8-0" ;;
          esac
        }
        ctr() {
          log "ctr $*"
          case "$*" in
          *" run "*) mkdir -p "$ROOT/var/lib/etcd/.tailkube-restore/member" ;;
          esac
        }
        etcd_restore ${root}/keep/one.db "$TK_INIT_DOCUMENT"`;
      expect(run(root, pulled).stderr).to.equal("");
      const log = logOf(root).join("\n");
      expect(log).to.match(/^kubeadm config images pull --config \S+\/cluster\.yaml$/m);
      expect(log).to.match(/^ctr .* run .* images\.example\.com\/k8s\/etcd:3\.6\.8-0 tailkube-restore/m);
      expect(log).to.not.match(/^ctr .* pull/m);
    });

    it("never overwrites data", () => {
      const root = temporaryFolder();
      write(`${root}/keep/one.db`, "snapshot");
      write(`${root}/var/lib/etcd/member/db`, "the last copy");
      const { status, stderr } = run(root, `etcd_restore ${root}/keep/one.db "$TK_INIT_DOCUMENT"`);
      expect(status).to.equal(1);
      expect(stderr).to.match(/holds data already, and a restore would lose it; move \S+\/var\/lib\/etcd\/member away/);
      expect(readFileSync(`${root}/var/lib/etcd/member/db`, "utf8")).to.equal("the last copy");
    });

    it("says what it lacks", () => {
      const root = temporaryFolder();
      expect(run(root, `etcd_restore ${root}/keep/one.db "$TK_INIT_DOCUMENT"`).stderr).to.match(
        /tailkube:kubernetes\.restoreSnapshot: there is no file \S+ on this host/,
      );
      write(`${root}/keep/one.db`, "snapshot");
      const { status, stderr } = run(
        root,
        `etcd_restore ${root}/keep/one.db "$TK_INIT_DOCUMENT"`,
        "echo 'expected sha256 [1], got [2]'; return 1",
      );
      expect(status).to.equal(1);
      expect(stderr).to.match(
        /could not restore \S+ \(images of Kubernetes 1\.34 and older have none\): expected sha256/,
      );
      expect(existsSync(`${root}/var/lib/etcd/member`)).to.equal(false);
    });
  });
});

describe("lib/upgrade/steps.sh", () => {
  it("pulls a control plane's images by the cluster's document, for its image repository and without kube-proxy's", () => {
    const root = temporaryFolder();
    const document = "kind: ClusterConfiguration\nimageRepository: images.example.com/k8s\n";
    const text = [
      'kubeadm() { log "kubeadm $*"; cat "${@: -1}" >>"$ROOT/log"; }',
      'timeout() { shift; "$@"; }',
      "ask_version() { ANSWER=$TK_KUBERNETES_VERSION; }",
      "fetch",
    ].join("\n");
    bashOk(stage(root, partsOf("upgrade").slice(0, -1), { TK_CLUSTER_DOCUMENT: document }, text));
    expect(logOf(root).join("\n")).to.match(
      /^kubeadm config images pull --config \S+\/cluster\.yaml\nkind: ClusterConfiguration\nimageRepository: images\.example\.com\/k8s/,
    );
  });
});

describe("lib/control-plane/certificates.sh", () => {
  const files = partsOf("lib/control-plane/certificates.sh");
  const kubeadm = (leaf: string, renew = ":") => `
    timeout() { shift; "$@"; }
    kubeadm() {
      case "$*" in
      "certs check-expiration --kubeconfig /dev/null -o json") cat <<'END'
{
    "kind": "CertificateExpirationInfo",
    "certificates": [
        { "name": "admin.conf", "expirationDate": "2099-06-01T10:00:00Z", "missing": false },
        { "name": "apiserver", "expirationDate": "${leaf}" },
        { "name": "etcd-peer", "expirationDate": "2099-05-01T10:00:00Z" },
        { "name": "super-admin.conf", "missing": true, "expirationDate": null }
    ],
    "certificateAuthorities": [ { "name": "ca", "expirationDate": "2030-01-01T00:00:00Z" } ]
}
END
        ;;
      "certs renew all") log renew; ${renew} ;;
      *) return 1 ;;
      esac
    }
    `;
  // Each static pod's container; the kubelet has another one up as soon as one is killed.
  const containers = `
    running_container() { cat "$ROOT/$1" 2>/dev/null; }
    ctr() { case "$*" in *"tasks kill"*) log "kill \${*: -1}"; echo "new" >"$ROOT/\${*: -1}" ;; esac; }
    for c in etcd kube-apiserver kube-controller-manager kube-scheduler; do echo $c >"$ROOT/$c"; done
    etcd_healthy() { log "etcd?"; }
    api_ready() { log "api?"; }
    `;

  it("certificate_expiry is the earliest of this host's certificates, authorities aside", () => {
    const of = (leaf: string) => bashOk(stage(temporaryFolder(), files, {}, `${kubeadm(leaf)}certificate_expiry`));
    expect(of("2098-01-01T00:00:00Z")).to.equal("2098-01-01T00:00:00Z\n");
    expect(of("2099-12-01T00:00:00Z")).to.equal("2099-05-01T10:00:00Z\n");
  });

  it("says when kubeadm cannot tell", () => {
    const { status, stderr } = bash(stage(temporaryFolder(), files, {}, "kubeadm() { false; }\ncertificate_expiry"));
    expect(status).to.equal(1);
    expect(stderr).to.match(/kubeadm cannot say when this control plane's certificates end/);
  });

  it("renews all, and restarts what uses them, one after the other", () => {
    const root = temporaryFolder();
    bashOk(stage(root, files, {}, `${kubeadm("2098-01-01T00:00:00Z")}${containers}renew_certificates\nresult`));
    expect(logOf(root)).to.deep.equal([
      "renew",
      "kill etcd",
      "etcd?",
      "kill kube-apiserver",
      "kill kube-controller-manager",
      "kill kube-scheduler",
      "api?",
    ]);
  });

  it("does not take containerd's silence for a container that has ended", () => {
    const root = temporaryFolder();
    const text = `${kubeadm("2098-01-01T00:00:00Z")}${containers}running_container() { return 1; }\nrestart_static_pod etcd`;
    const { status, stderr } = bash(stage(root, files, {}, text));
    expect({ status, log: logOf(root) }).to.deep.equal({ status: 1, log: [] });
    expect(stderr).to.include("no answer after 60 s to the question which container of etcd runs, to containerd");
  });

  it("does not wait for a majority that cannot be: the others' certificates have run out as well", () => {
    const root = temporaryFolder();
    bashOk(stage(root, files, {}, `${kubeadm("2020-01-01T00:00:00Z")}${containers}renew_certificates\nresult`));
    expect(logOf(root)).to.not.include("etcd?").and.not.include("api?");
    expect(logOf(root)).to.include("kill kube-apiserver");
  });

  it("says what kubeadm says when it cannot", () => {
    const { status, stderr } = bash(
      stage(
        temporaryFolder(),
        files,
        {},
        `${kubeadm("2098-01-01T00:00:00Z", 'echo "no CA key"; return 1')}${containers}renew_certificates`,
      ),
    );
    expect(status).to.equal(1);
    expect(stderr).to.match(/kubeadm certs renew: no CA key/);
  });
});

describe("stage upgrade", () => {
  const files = partsOf("upgrade");

  interface Host {
    role?: "control-plane" | "worker";
    /** What kubeadm-config says. */
    cluster?: string;
    /** What runs on this host, and lies there. */
    kubelet?: string;
    wanted?: string;
    /** Whether another control plane's API server is ready. */
    others?: boolean;
    variables?: Record<string, string>;
    /** What it was secured by. */
    secured?: string;
    /** Bash before `apply`. */
    text?: string;
    root?: string;
  }

  /** A host whose tools are noted in the log and do what they are for, in files below its root. */
  function upgrade(host: Host = {}) {
    const { role = "control-plane", cluster = "1.35.4", kubelet = cluster, wanted = "1.36.3", others = true } = host;
    const root = host.root ?? temporaryFolder();
    const isNew = !existsSync(`${root}/s`);
    const state = (name: string, value: string) => existsSync(`${root}/s/${name}`) || write(`${root}/s/${name}`, value);
    state("cluster", cluster);
    state("endpoint", role === "control-plane" ? "active" : "");
    if (role === "control-plane") write(`${root}/etc/systemd/system/tailkube-endpoint.service`, "[Unit]\n");
    for (const name of ["kubelet", "kubectl", "kubeadm", "running"]) state(name, kubelet);
    write(`${root}/etc/containerd/config.toml`, "version = 3\n");
    if (isNew) {
      write(`${root}/var/lib/tailkube/secured`, `${host.secured ?? "secured"}\n`);
      write(`${root}/etc/kubernetes/tailkube/encryption.yaml`, `${given.TK_ENCRYPTION}\n`, 0o600);
    }
    if (!existsSync(`${root}/var/lib/tailkube/joined`)) write(`${root}/var/lib/tailkube/joined`, "mark\n");
    if (role === "control-plane") {
      for (const name of ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"]) {
        const path = `${root}/etc/kubernetes/manifests/${name}.yaml`;
        if (isNew) write(path, `    image: registry.k8s.io/${name}:v${kubelet}\n`);
      }
    }
    const fakes = `
      s() { cat "$ROOT/s/$1"; }
      cluster_version() { s cluster; }
      kubelet() { :; }
      kubectl() { :; }
      kubeadm() { :; }
      containerd() { :; }
      tailscaled() { :; }
      kubelet_binary() { s kubelet; }
      kubectl_binary() { s kubectl; }
      kubeadm_binary() { s kubeadm; }
      running_kubelet() { s running; }
      containerd_version() { echo 2.2.1; }
      tailscale_version() { echo 1.102.5; }
      outdated() { return 1; }
      certificate_expiry() { echo 2099-01-01T00:00:00Z; }
      kubectl_cluster() { case "$*" in "get namespace"*) printf key-1 ;; *) log "notes $*" ;; esac; }
      tighten_modes() { :; }
      harden_node() { log "secure with $(s cluster)"; printf '%s\\n' "$TK_SECURITY" >"$HARDENED"; }
      install_kubernetes() {
        local binary
        log "install $TK_STAGE $*"
        for binary in "$@"; do printf '%s' "$TK_KUBERNETES_VERSION" >"$ROOT/s/$binary"; done
      }
      fetch() { log fetch; }
      whole_etcd() { true; }
      snapshot_etcd() { log "snapshot $1"; }
      drain() { log drain; }
      cordon() { log cordon; }
      uncordon() { log uncordon; }
      tailnet_address_is_up() { true; }
      api_ready() { case $1 in 100.64.0.2) ${others} ;; *) true ;; esac; }
      install_tailscale() { log "install $TK_STAGE tailscale"; }
      install_containerd() { log "install $TK_STAGE containerd"; ask_containerd_major; printf '%s\\n' "$(wanted_containerd_config)" >"$ROOT/etc/containerd/config.toml"; }
      containerd_answers() { true; }
      restart_cilium() { log "restart cilium"; }
      yield_etcd_lead() { log "yield etcd's lead"; }
      run_kubeadm() {
        local manifest
        log "kubeadm $*"
        printf '%s' "$TK_KUBERNETES_VERSION" >"$ROOT/s/cluster"
        for manifest in "$ROOT"/etc/kubernetes/manifests/kube-*.yaml; do
          [ ! -e "$manifest" ] || sed -i "s/:v.*/:v$TK_KUBERNETES_VERSION/" "$manifest"
        done
        mkdir -p "$ROOT/etc/kubernetes/tmp/kubeadm-backup-etcd-1"
      }
      follow_endpoint() { log "follow endpoint"; }
      kubectl_admin() { case "$*" in "get nodes "*) echo "100.64.0.1 100.64.0.2" ;; *) return 1 ;; esac; }
      kubelet_ready() { [ "$(s running)" = "$TK_KUBERNETES_VERSION" ]; }
      api_at_version() { true; }
      etcd_healthy() { true; }
      has_endpoint() { true; }
      renew_certificates() { log renew; }
      systemctl() {
        case "$*" in
        "show --property=ActiveState --value -- tailkube-endpoint.service") s endpoint ;;
        "stop tailkube-endpoint.service") log "$*"; printf inactive >"$ROOT/s/endpoint" ;;
        "start "*tailkube-endpoint.service) log "$*"; printf active >"$ROOT/s/endpoint" ;;
        "restart kubelet.service") log "$*"; cp "$ROOT/s/kubelet" "$ROOT/s/running" ;;
        *) log "systemctl $*" ;;
        esac
      }
      ${host.text ?? ""}
      apply`;
    const finished = bash(
      stage(root, files, { TK_ROLE: role, TK_KUBERNETES_VERSION: wanted, ...host.variables }, fakes),
    );
    return { root, log: logOf(root), ...finished };
  }

  /** The trap at the end of each run, which does no harm. */
  const end = "start --no-block tailkube-endpoint.service";
  const wholeControlPlane = (kubeadm: string) => [
    "install runtime kubeadm",
    "fetch",
    ...(kubeadm === "upgrade apply --yes" ? ["snapshot 1.35.4"] : []),
    "drain",
    "stop tailkube-endpoint.service",
    `kubeadm ${kubeadm}`,
    "install runtime kubelet kubectl",
    "systemctl daemon-reload",
    "restart kubelet.service",
    "follow endpoint",
    "start tailkube-endpoint.service",
    "uncordon",
    end,
  ];

  it("the first control plane: a snapshot, and the cluster's version with its own", () => {
    const { log, status, stderr, stdout, root } = upgrade();
    expect({ status, stderr }).to.deep.equal({ status: 0, stderr: "" });
    expect(log).to.deep.equal(wholeControlPlane("upgrade apply --yes"));
    expect(JSON.parse(stdout)).to.deep.equal({
      changed: ["withdrew the endpoint", "kubeadm upgrade to 1.36.3"],
      encryption: "wanted",
      kubernetes: "1.36.3",
      containerd: "2.2.1",
      tailscale: "1.102.5",
      certificateExpiry: "2099-01-01T00:00:00Z",
    });
    expect(existsSync(`${root}/var/lib/tailkube/upgrading`)).to.equal(false);
    expect(readdirSync(`${root}/etc/kubernetes/tmp`)).to.deep.equal([]);
  });

  it("a further control plane: no second snapshot, its own node only", () => {
    const { log, status } = upgrade({ cluster: "1.36.3", kubelet: "1.35.4" });
    expect(status).to.equal(0);
    expect(log).to.deep.equal(wholeControlPlane("upgrade node"));
  });

  it("a worker: no endpoint, no etcd, no certificates", () => {
    const { log, status, stdout } = upgrade({ role: "worker", cluster: "1.36.3", kubelet: "1.35.4" });
    expect(status).to.equal(0);
    expect(log).to.deep.equal([
      "install runtime kubeadm",
      "fetch",
      "drain",
      "kubeadm upgrade node",
      "install runtime kubelet kubectl",
      "systemctl daemon-reload",
      "restart kubelet.service",
      "follow endpoint",
      "uncordon",
    ]);
    expect(JSON.parse(stdout)).to.include({ kubernetes: "1.36.3", certificateExpiry: "" });
  });

  it("a node that is as wanted: nothing, not even a drain", () => {
    for (const role of ["control-plane", "worker"] as const) {
      const { log, status, stdout } = upgrade({ role, cluster: "1.36.3" });
      expect({ status, changed: changedBy(stdout) }).to.deep.equal({ status: 0, changed: [] });
      expect(log).to.deep.equal(["uncordon", ...(role === "worker" ? [] : [end])]);
    }
  });

  it("a second run touches nothing of what the first has done", () => {
    const { root, log } = upgrade();
    const again = upgrade({ root });
    expect(again.status).to.equal(0);
    expect(again.log.slice(log.length)).to.deep.equal(["uncordon", end]);
  });

  it("a node that was hardened by something else: without a drain, and a control plane without the endpoint", () => {
    const plane = upgrade({ cluster: "1.36.3", secured: "" });
    expect(plane.log).to.deep.equal([
      "uncordon",
      "stop tailkube-endpoint.service",
      "secure with 1.36.3",
      "start tailkube-endpoint.service",
      end,
    ]);
    expect(upgrade({ role: "worker", cluster: "1.36.3", secured: "" }).log).to.deep.equal([
      "uncordon",
      "secure with 1.36.3",
    ]);
    expect(upgrade({ root: plane.root }).log.slice(plane.log.length)).to.deep.equal(["uncordon", end]);
  });

  it("hardens at the new version, and has the files of the new API server there before it starts", () => {
    const text = `eval "$(declare -f run_kubeadm | sed '1s/run_kubeadm/old_kubeadm/')"
      run_kubeadm() { old_kubeadm "$@"; log "policy: $(cat "$API_SERVER_FILES/audit-policy.yaml")"; }`;
    const { log, status } = upgrade({ secured: "", variables: { TK_AUDIT_POLICY: "kind: Policy" }, text });
    expect(status).to.equal(0);
    const steps = log.filter((line) => /^(kubeadm|policy|secure|start tailkube)/.test(line));
    expect(steps).to.deep.equal([
      "kubeadm upgrade apply --yes",
      "policy: kind: Policy",
      "secure with 1.36.3",
      "start tailkube-endpoint.service",
    ]);
  });

  it("does not harden while a member of etcd is missing", () => {
    const { log, status, stderr } = upgrade({
      cluster: "1.36.3",
      secured: "",
      text: 'whole_etcd() { false; }\nwait_for() { poll 0 "${@:3}" || fail "$2"; }',
    });
    expect(status).to.equal(1);
    expect(stderr).to.match(
      /not all of etcd's members are healthy, and the API could become unavailable; nothing was changed/,
    );
    expect(log).to.deep.equal(["uncordon", end]);
  });

  it("keeps the endpoint where no other control plane could have it", () => {
    const { log, status } = upgrade({ others: false });
    expect(status).to.equal(0);
    expect(log).to.include("kubeadm upgrade apply --yes");
    expect(log).to.not.include("stop tailkube-endpoint.service");
  });

  describe("refuses, before anything is changed,", () => {
    const refused: [string, Host, RegExp][] = [
      [
        "to skip a minor",
        { cluster: "1.34.9" },
        /the cluster is at Kubernetes 1\.34\.9, .* 1\.36\.3 skips a minor.* Go to a version of 1\.35 first/,
      ],
      [
        "a downgrade",
        { cluster: "1.36.3", wanted: "1.36.1" },
        /the cluster is at Kubernetes 1\.36\.3, .* 1\.36\.1 is a downgrade.* Set 1\.36\.3 or newer/,
      ],
      ["a downgrade to a pre-release", { cluster: "1.36.0", wanted: "1.36.0-rc.1" }, /1\.36\.0-rc\.1 is a downgrade/],
      [
        "a kubelet older than the one here",
        { cluster: "1.36.1", kubelet: "1.36.3", wanted: "1.36.1" },
        /the kubelet here is of Kubernetes 1\.36\.3/,
      ],
      [
        "a worker ahead of its control planes",
        { role: "worker", cluster: "1.35.4" },
        /the control planes are at Kubernetes 1\.35\.4 still.* nothing was changed here/,
      ],
      ["a host that is in no cluster", { text: 'rm "$SENTINEL"' }, /this host has not joined the cluster/],
      [
        "to stop a member of an etcd that lacks one",
        { text: 'whole_etcd() { false; }\npoll() { shift; "$@" >/dev/null; }' },
        /not all of etcd's members are healthy/,
      ],
    ];
    for (const [what, host, message] of refused) {
      it(what, () => {
        const { status, stdout, stderr, log, root } = upgrade(host);
        expect({ status, stdout }).to.deep.equal({ status: 1, stdout: "" });
        expect(stderr).to.match(message);
        expect(log.filter((line) => line !== end)).to.deep.equal([]);
        expect(existsSync(`${root}/var/lib/tailkube/upgrading`)).to.equal(false);
      });
    }
  });

  describe("asks etcd", () => {
    /** etcd on this host and, by another member, of the whole cluster: which of three members is healthy. */
    const etcd = (own: boolean, cp2 = true, cp3 = true) => `
      etcd_healthy() { ${own}; }
      etcd_command() { case "$*" in *"endpoint health --cluster") ${own && cp2 && cp3} ;; *) return 1 ;; esac; }
      etcd_node_list() { printf 'node1 cp2 cp3'; }
      etcd_member_list() {
        [ "$1" != node1 ] || return 1
        printf '%s %s false https://%s:2380 https://%s:2379\\n' 1 node1 n1 n1 2 cp2 n2 n2 3 cp3 n3 n3
      }
      etcd_health() { printf 'https://%s:2379 %s\\n' n1 ${own} n2 ${cp2} n3 ${cp3}; }`;
    /** Bash after which the check is the program's own. */
    const real = "unset -f whole_etcd\n" + scriptText("lib/upgrade/steps.sh").match(/^whole_etcd\(\) \{[^]*?^\}/m)![0];

    it("again after the drain, and gives the node back if a member was lost meanwhile", () => {
      const text = `${real}\n${etcd(true)}\ndrain() { log drain; ${etcd(true, false).trim()}\n}`;
      const { status, stderr, log, root } = upgrade({ text });
      expect(status).to.equal(1);
      expect(stderr).to.match(/not all of etcd's members are healthy after the drain.*the node is in use again/);
      expect(log.filter((line) => line !== end)).to.deep.equal([
        "install runtime kubeadm",
        "fetch",
        "snapshot 1.35.4",
        "drain",
        "uncordon",
      ]);
      expect(existsSync(`${root}/var/lib/tailkube/upgrading`)).to.equal(false);
    });

    it("in an upgrade that is continued, too: only this node's own member may be down", () => {
      const continued = (state: string) => {
        const root = temporaryFolder();
        upgrade({ root, text: 'run_kubeadm() { log "killed in kubeadm"; trap - EXIT; kill -KILL $$; }' });
        const before = logOf(root).length;
        const finished = upgrade({ root, text: `${real}\n${state}` });
        return { ...finished, log: finished.log.slice(before) };
      };
      expect(continued(etcd(true)).status).to.equal(0);
      // It starts again in the course of the upgrade, which is not played here.
      expect(continued(etcd(false)).log).to.include("kubeadm upgrade apply --yes");
      for (const state of [etcd(true, false), etcd(false, false), etcd(false, true, false)]) {
        const { status, stderr, log } = continued(state);
        expect(status).to.equal(1);
        expect(stderr).to.match(/not all of etcd's members are healthy/);
        expect(log.filter((line) => line !== end)).to.deep.equal([]);
      }
    });
  });

  it("does not drain a node because a request failed", () => {
    const once = (command: string) =>
      `eval "$(declare -f ${command} | sed '1s/${command}/old_${command}/')"
      ${command}() { [ -e "$ROOT/asked" ] || { : >"$ROOT/asked"; return 1; }; old_${command}; }`;
    for (const command of ["cluster_version", "running_kubelet"]) {
      const { status, log } = upgrade({ cluster: "1.36.3", text: once(command) });
      expect({ status, log }, command).to.deep.equal({ status: 0, log: ["uncordon", end] });
      const never = upgrade({ cluster: "1.36.3", text: `${command}() { false; }` });
      expect({ status: never.status, log: never.log }, command).to.deep.equal({ status: 1, log: [end] });
      expect(never.stderr).to.match(/no answer after \d+ s to the question which version/);
    }
  });

  it("takes a release after its pre-release", () => {
    expect(upgrade({ cluster: "1.36.0-rc.1", wanted: "1.36.0" }).log).to.include("kubeadm upgrade apply --yes");
  });

  describe("killed", () => {
    /** Each step of a whole run at which it may be killed. */
    const runs: [string, Host][] = [
      ["upgrade apply --yes", {}],
      ["upgrade node", { cluster: "1.36.3", kubelet: "1.35.4" }],
    ];
    for (const [kubeadm, host] of runs) {
      const steps = wholeControlPlane(kubeadm);
      for (const step of steps.slice(0, -1)) {
        it(`at '${step}' of ${kubeadm}: goes on, and ends as an unbroken run does`, () => {
          const root = temporaryFolder();
          // As by a loss of power: not even the trap runs.
          const killer = `log() { echo "$*" >>"$ROOT/log"; [ "$*" != ${JSON.stringify(step)} ] || { trap - EXIT; kill -KILL $BASHPID $$; }; }`;
          expect(upgrade({ ...host, root, text: killer }).status).to.not.equal(0);
          const before = logOf(root).length;
          const { status, stderr, log } = upgrade({ ...host, root });
          expect({ status, stderr }).to.deep.equal({ status: 0, stderr: "" });
          const state = (name: string) => readFileSync(`${root}/s/${name}`, "utf8");
          const versions = ["cluster", "kubelet", "kubectl", "kubeadm", "running"].map(state);
          expect(versions).to.deep.equal(Array(5).fill("1.36.3"));
          expect(state("endpoint")).to.equal("active");
          expect(existsSync(`${root}/var/lib/tailkube/upgrading`)).to.equal(false);
          const after = log.slice(before);
          // What comes after kubeadm is done anew whatever the kill has left of it.
          if (step !== "uncordon") {
            expect(after).to.include("follow endpoint");
          }
          expect(after.at(-2)).to.equal("uncordon");
          // kubeadm writes the cluster's version early: only the same command finishes what was begun.
          if (steps.indexOf(step) <= steps.indexOf("systemctl daemon-reload")) {
            expect(after).to.include(`kubeadm ${kubeadm}`);
          }
          expect(upgrade({ ...host, root }).log.slice(log.length)).to.deep.equal(["uncordon", end]);
        });
      }
    }

    it("between the restart of tailscaled and that of Cilium: Cilium is restarted by the next run", () => {
      const root = temporaryFolder();
      const wanted = { variables: { TK_TAILSCALE_VERSION: "1.102.5" }, root, cluster: "1.36.3" };
      const old =
        'tailscale_version() { if grep -qs "tailnet tailscale" "$ROOT/log"; then echo 1.102.5; else echo 1.100.0; fi; }';
      upgrade({ ...wanted, text: `${old}\nrestart_cilium() { trap - EXIT; kill -KILL $$; }` });
      expect(logOf(root)).to.include("install tailnet tailscale").and.not.include("restart cilium");
      const { status, log } = upgrade({ ...wanted, text: old });
      expect(status).to.equal(0);
      expect(log.filter((line) => line === "install tailnet tailscale")).to.have.lengthOf(1);
      expect(log.filter((line) => line === "restart cilium")).to.have.lengthOf(1);
    });

    it("within kubeadm, with a manifest taken away: the newest copy is put back first", () => {
      const root = temporaryFolder();
      upgrade({ root, text: "drain() { trap - EXIT; kill -KILL $$; }" });
      const manifests = `${root}/etc/kubernetes/manifests`;
      bashOk(`rm ${manifests}/kube-scheduler.yaml`);
      write(`${root}/etc/kubernetes/tmp/kubeadm-backup-manifests-2026-11-20-10-00-00/kube-scheduler.yaml`, "older\n");
      write(
        `${root}/etc/kubernetes/tmp/kubeadm-backup-manifests-2026-11-21-10-00-00/kube-scheduler.yaml`,
        "  image: registry.k8s.io/kube-scheduler:v1.35.4\n",
      );
      const { status, stdout } = upgrade({ root });
      expect(status).to.equal(0);
      expect(changedBy(stdout)[0]).to.equal("put the manifest of kube-scheduler back");
      expect(readFileSync(`${manifests}/kube-scheduler.yaml`, "utf8")).to.equal(
        "  image: registry.k8s.io/kube-scheduler:v1.36.3\n",
      );
      expect(readdirSync(manifests).sort()).to.deep.equal([
        "etcd.yaml",
        "kube-apiserver.yaml",
        "kube-controller-manager.yaml",
        "kube-scheduler.yaml",
      ]);
    });
  });

  it("gives the endpoint back when a step fails, and leaves the node cordoned for the next run", () => {
    const { status, log } = upgrade({ text: 'run_kubeadm() { fail "kubeadm upgrade failed"; }' });
    expect(status).to.equal(1);
    expect(log.slice(-2)).to.deep.equal(["stop tailkube-endpoint.service", end]);
    expect(log).to.not.include("uncordon");
  });

  describe("containerd and Tailscale", () => {
    const at = { cluster: "1.36.3", wanted: "1.36.3" };

    it("of the wanted version stay as they are, and none is wanted where the config names none", () => {
      const variables = { TK_CONTAINERD_VERSION: "2.2.1", TK_TAILSCALE_VERSION: "1.102.5" };
      expect(upgrade({ ...at, variables }).log).to.deep.equal(["uncordon", end]);
    });

    it("of another one are exchanged on a drained node, and Cilium hears of the new tailscale0", () => {
      const variables = { TK_CONTAINERD_VERSION: "2.4.2", TK_TAILSCALE_VERSION: "1.104.0" };
      const { status, log, stdout } = upgrade({ ...at, variables, role: "worker" });
      expect(status).to.equal(0);
      expect(log.slice(0, 6)).to.deep.equal([
        "install runtime kubeadm",
        "fetch",
        "drain",
        "install tailnet tailscale",
        "restart cilium",
        "install runtime containerd",
      ]);
      expect(changedBy(stdout)).to.deep.equal(["tailscaled 1.102.5", "containerd 2.2.1"]);
    });

    it("of Tailscale on a control plane: only after another leads etcd, whose members it would cut this one off from", () => {
      const { log } = upgrade({ ...at, variables: { TK_TAILSCALE_VERSION: "1.104.0" } });
      const [given, exchanged] = ["yield etcd's lead", "install tailnet tailscale"].map((step) => log.indexOf(step));
      expect(given)
        .to.be.at.least(0)
        .and.equal(exchanged! - 1);
    });

    it("a new pause image: containerd's configuration alone", () => {
      const { log } = upgrade({ ...at, variables: { TK_CONTAINERD_V2: "version = 3\nsandbox = new" } });
      expect(log)
        .to.include("install runtime containerd")
        .and.include("drain")
        .and.not.include("install tailnet tailscale");
    });

    it("of the host's own are left alone by a bundle, and those of a former bundle are exchanged", () => {
      const root = temporaryFolder();
      const wanted = (owned: string) => {
        write(`${root}/var/lib/tailkube/owned.runtime`, owned);
        const text = `containerd_version() { if [ "\$1" = /opt/b/bin/containerd ]; then echo 2.4.2; else echo 2.2.1; fi; }\nwanted_containerd`;
        return bashOk(stage(root, files, { TK_BUNDLE: "/opt/b" }, text));
      };
      expect(wanted("/etc/containerd/config.toml\n")).to.equal("");
      expect(wanted("/usr/local/bin/containerd\n")).to.equal("2.4.2\n");
    });
  });

  describe("certificates", () => {
    const at = { cluster: "1.36.3", wanted: "1.36.3" };
    const renewal = (text: string) => ({ variables: { TK_CERTIFICATE_RENEWAL: text } });

    it("a changed text renews them, without a drain, and once", () => {
      const { root, log, status } = upgrade({ ...at, ...renewal("2027") });
      expect(status).to.equal(0);
      const renewed = ["uncordon", "stop tailkube-endpoint.service", "renew", "start tailkube-endpoint.service", end];
      expect(log).to.deep.equal(renewed);
      expect(upgrade({ ...at, ...renewal("2027"), root }).log.slice(log.length)).to.deep.equal(["uncordon", end]);
      expect(upgrade({ ...at, ...renewal("2028"), root }).log).to.include.members(renewed);
    });

    it("kubeadm's upgrade renews them by itself", () => {
      const { root, log } = upgrade({ ...renewal("2027") });
      expect(log).to.include("kubeadm upgrade apply --yes").and.not.include("renew");
      expect(upgrade({ root, ...renewal("2027") }).log).to.not.include("renew");
    });

    it("that have run out are renewed with no API to ask, unless there is more to do", () => {
      const expired = "certificate_expiry() { echo 2020-01-01T00:00:00Z; }\ncluster_version() { false; }";
      const { status, log } = upgrade({ ...at, ...renewal("2027"), text: expired });
      expect(status).to.equal(0);
      expect(log).to.deep.equal(["renew", end]);
      const more = upgrade({ ...renewal("2027"), text: expired });
      expect(more.status).to.equal(1);
      expect(more.stderr).to.match(
        /certificates ended at 2020-01-01T00:00:00Z; renew them first, .* unchanged versions/,
      );
      expect(more.log).to.deep.equal([end]);
    });

    it("are none of a worker's", () => {
      expect(upgrade({ ...at, ...renewal("2027"), role: "worker" }).log).to.deep.equal(["uncordon"]);
    });
  });

  it("cluster_version reads what kubeadm has written, quoted or not", () => {
    for (const line of ["kubernetesVersion: v1.36.3", 'kubernetesVersion: "v1.36.3"']) {
      const text = `kubectl_node() { printf 'apiServer: {}\\n${line}\\nnetworking: {}\\n'; }\ncluster_version kubectl_node`;
      expect(bashOk(stage(temporaryFolder(), files, {}, text))).to.equal("1.36.3\n");
    }
    expect(
      bash(stage(temporaryFolder(), files, {}, "kubectl_node() { :; }\ncluster_version kubectl_node")).status,
    ).to.equal(1);
  });
});

describe("the stages runtime and tailnet on a node that has joined", () => {
  const joined = (root: string) => write(`${root}/var/lib/tailkube/joined`, "mark\n");

  it("runtime imports images, knows new mirrors of registries, and leaves what runs alone", () => {
    const fakes = `
      for f in claim_host kernel_settings install_registries install_containerd install_kubernetes import_images; do eval "$f() { log $f; }"; done
      containerd() { echo "containerd x 2.2.1"; }; kubeadm() { echo v1.35.4; }
      apply`;
    const root = temporaryFolder();
    joined(root);
    expect(JSON.parse(bashOk(stage(root, partsOf("runtime"), {}, fakes)))).to.include({
      kubeadm: "v1.35.4",
    });
    expect(logOf(root)).to.deep.equal(["install_registries", "import_images"]);
    const fresh = temporaryFolder();
    bashOk(stage(fresh, partsOf("runtime"), {}, fakes));
    expect(logOf(fresh)).to.deep.equal([
      "claim_host",
      "kernel_settings",
      "install_registries",
      "install_containerd",
      "install_kubernetes",
      "import_images",
    ]);
  });

  it("tailnet installs nothing, and looks after the rest", () => {
    const fakes = `
      for f in remember_kernel guard_network calm_network_managers forward_ipv4 install_tailscale unit_start log_in install_tailnet_units; do eval "$f() { log $f \\$*; }"; done
      tailnet_address_is_up() { true; }; tailnet_address() { echo 100.64.0.1; }; ask_status() { :; }; self() { echo x; }
      apply`;
    const root = temporaryFolder();
    joined(root);
    bashOk(stage(root, partsOf("tailnet"), {}, fakes));
    expect(logOf(root)).to.include("unit_start tailscaled.service").and.not.include("install_tailscale");
    const fresh = temporaryFolder();
    bashOk(stage(fresh, partsOf("tailnet"), {}, fakes));
    expect(logOf(fresh)).to.include("install_tailscale");
  });
});

describe("packages of a version", () => {
  const madison = `
    apt-cache() { [ "$*" != "madison containerd" ] || printf ' containerd | 1.7.24~ds1-6+b4 | http://deb.example.com trixie/main\\n containerd | 1.7.2-1 | http://deb.example.com old/main\\n'; }
    apt-get() { log "apt-get \${*: -1}"; }`;

  it("apt_version finds the repositories' name for an upstream version", () => {
    const of = (wanted: string) =>
      bash(stage(temporaryFolder(), [], {}, `${madison}\napt_version containerd ${wanted}`));
    expect(of("1.7.24").stdout).to.equal("1.7.24~ds1-6+b4\n");
    expect(of("1.7.2").stdout).to.equal("1.7.2-1\n");
    expect(of("1.7.24~ds1-6+b4").stdout).to.equal("1.7.24~ds1-6+b4\n");
    expect(of("1.7").status).to.equal(1);
  });

  it("apt_install_version installs just that, or says that there is none", () => {
    const root = temporaryFolder();
    bashOk(
      stage(
        root,
        [],
        {},
        `${madison}\ndpkg-query() { printf 'installed 1.6.20~ds1-1'; }\napt_install_version containerd 1.7.24`,
      ),
    );
    expect(logOf(root)).to.deep.equal(["apt-get containerd=1.7.24~ds1-6+b4"]);
    const same = temporaryFolder();
    bashOk(
      stage(
        same,
        [],
        {},
        `${madison}\ndpkg-query() { printf 'installed 1:1.7.24~ds1-6+b4'; }\napt_install_version containerd 1.7.24`,
      ),
    );
    expect(logOf(same)).to.deep.equal([]);
    const { status, stderr } = bash(
      stage(
        temporaryFolder(),
        [],
        {},
        `${madison}\ndpkg-query() { echo "dpkg-query: no packages found matching containerd" >&2; return 1; }\napt_install_version containerd 2.0.0`,
      ),
    );
    expect(status).to.equal(1);
    expect(stderr).to.match(
      /this host's package repositories have no containerd 2\.0\.0; 'apt-cache madison containerd' lists theirs/,
    );
  });
});
