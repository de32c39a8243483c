import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { expect } from "chai";
import { scriptText, shellQuote } from "../../../components/hosts/script-text";
import {
  assignments,
  bash,
  type Finished,
  logOf,
  noSettings,
  partsOf,
  removeTemporaryFolders,
  snapshot,
  temporaryFolder,
  withLibrary,
  write,
} from "./bash";
import { type Device, tailnetStatus } from "./tailnet-status";
import { answeredPing } from "./fake-host";

afterEach(removeTemporaryFolders);

const pem = (name: string) => `-----BEGIN ${name}-----\nbase64\n-----END ${name}-----`;
const given = {
  TK_NODE_NETWORK: "tailnet",
  TK_ENDPOINT: "10.200.0.1",
  TK_ENDPOINT_PORT: "6443",
  TK_API_PORT: "6443",
  TK_NODE_IP: "100.64.0.2",
  TK_ROLE: "control-plane",
  TK_POD_CIDR: "10.50.0.0/16",
  TK_POD_ROUTING: "native",
  TK_KUBEADM_SECONDS: "5",
  TK_ENDPOINT_ADVICE: "Is the route approved?",
  TK_MARK: "mark2",
  TK_FOUNDER: "mark1",
  TK_KUBERNETES_VERSION: "1.36.3",
  TK_INIT_DOCUMENT: "kind: Init",
  TK_JOIN_DOCUMENT: "kind: Join",
  TK_SECURITY: "secured",
  ...noSettings,
  TK_HOST_ENDPOINT: "#!/bin/bash",
  TK_HOST_ETCD: "#!/bin/bash",
  TK_HOST_CHECKS: "#!/bin/bash\n# checks",
  TK_HOST_APPROVE: "",
  TK_ENCRYPTION_KEY: "key-1",
  TK_ENCRYPTION: "encrypts: a-key",
  TK_ENCRYPTION_READ: "reads: a-key",
  TK_AUTHENTICATION: "",
  TK_ADMISSION: "",
  TK_AUDIT_POLICY: "",
  TK_RESTORE: "",
  TK_ROUND_TRIP_LIMIT: "500",
  TK_CA_CRT: pem("CA"),
  TK_CA_KEY: pem("CA KEY"),
  TK_ETCD_CA_CRT: pem("ETCD"),
  TK_ETCD_CA_KEY: pem("ETCD KEY"),
  TK_FRONT_PROXY_CA_CRT: pem("FRONT"),
  TK_FRONT_PROXY_CA_KEY: pem("FRONT KEY"),
  TK_SA_PUB: pem("SA"),
  TK_SA_KEY: pem("SA KEY"),
};
const founder = { TK_MARK: "mark1", TK_NODE: "cp1", TK_NODE_IP: "100.64.0.1" };

/** What the world around the host is like. */
interface World {
  /** What etcd lists for this host, asked of another control plane; `silent`: none answers. */
  member?: "none" | "learner" | "voter" | "silent" | "last of two";
  /** Whether this host's API server and kubelet work when the kubelet is started. */
  healthy?: boolean;
  /** Whether the node's mark is the one of this machine. */
  former?: string;
  /** What answers at an address: `cluster`, `foreign`, `refused` or `silent`. */
  answers?: Record<string, string>;
  /** The other devices of the tailnet. */
  devices?: Device[];
  /** Average and number of the answers to pings, by address; without a text none comes. Else all pings are answered. */
  pings?: Record<string, [string, number] | undefined>;
  /** How tailscaled's own ping says that it reaches an address; without a text it does not. */
  ways?: Record<string, string | undefined>;
}

/**
 * The stage with the host's folders below `root`. kubeadm, kubectl, etcd, the network and the way out take notes in `root`/log;
 * everything else is the stage's own. The clock runs as fast as `sleep` is called.
 */
function stage(root: string, more: Record<string, string>, world: World, text = "apply"): string {
  const script = partsOf("control-plane")
    .map(scriptText)
    .join("\n")
    .replace(/\/(etc\/kubernetes|var\/lib\/kubelet|var\/lib\/etcd|var\/log)\b/g, `${root}/$1`);
  for (const folder of ["etc/kubernetes/manifests", "var/log"]) mkdirSync(`${root}/${folder}`, { recursive: true });
  const { member = "none", healthy = true, former = "", answers = { "10.200.0.1": "cluster" } } = world;
  write(`${root}/tailnet`, tailnetStatus(world.devices ?? []));
  const fakes = `
    SECONDS=0
    sleep() { SECONDS=$((SECONDS + 1)); }
    log() { echo "$*" >>"$ROOT/log"; }
    systemctl() { log "systemctl $*"; case $* in *kubelet*) : >"$ROOT/kubelet-runs" ;; esac; }
    sync() { :; }
    timeout() { shift; "$@"; }
    ping() { log "ping \${*: -1}"; case \${*: -1} in ${Object.entries(world.pings ?? {})
      .map(
        ([address, answer]) =>
          `${address}) ${answer === undefined ? "return 1" : `printf %s ${shellQuote(answeredPing(address, ...answer))}`} ;; `,
      )
      .join("")} *) printf %s ${shellQuote(answeredPing("100.64.0.9"))} ;; esac; }
    tailscale() { case $1 in status) cat "$ROOT/tailnet" ;; ping) case \${*: -1} in ${Object.entries(world.ways ?? {})
      .map(([address, way]) => `${address}) ${way === undefined ? "return 1" : `printf %s ${shellQuote(way)}`} ;; `)
      .join("")} *) echo "pong from other (x) via 192.0.2.99:41641 in 1ms" ;; esac ;; *) return 1 ;; esac; }
    api_up() { [ -e "$ROOT/kubelet-runs" ] && [ -s "$ROOT/etc/kubernetes/manifests/etcd.yaml" ] && [ -s "$ROOT/var/lib/kubelet/config.yaml" ] && ${healthy ? ":" : "false"}; }
    api_ready() { if [ "$1" = "$TK_NODE_IP" ]; then api_up; else endpoint_ready; fi; }
    endpoint_ready() { ${answers["10.200.0.1"] === "cluster" ? ":" : "api_up"}; }
    api_at() { log "ask $1"; SECONDS=$((SECONDS + 1)); case $1 in ${Object.entries(answers)
      .map(([address, answer]) => `${address}) echo ${answer} ;; `)
      .join("")} *) echo refused ;; esac; }
    files() { mkdir -p "$ROOT/etc/kubernetes/manifests" "$ROOT/var/lib/etcd/member"; echo of-$1 >"$ROOT/var/lib/etcd/member/db"
      mkdir -p "$ROOT/var/lib/kubelet"; echo "of $1" >"$ROOT/var/lib/kubelet/config.yaml"
      for file in admin.conf kubelet.conf manifests/etcd.yaml; do echo "of $1" >"$ROOT/etc/kubernetes/$file"; done; : >"$ROOT/kubelet-runs"; }
    run_kubeadm() { log "kubeadm $* < \${TK_KUBEADM_DOCUMENT#kind: }"
      case "$*" in "init --skip"* | join)
        # As kubeadm's preflight checks have it.
        case $* in *DirAvailable* | *--skip-phases=preflight*) ;; *) [ -z "$(ls -A "$ROOT/var/lib/etcd" 2>/dev/null)" ] || fail "kubeadm: /var/lib/etcd is not empty" ;; esac
        if [ -e "$ROOT/kill-in" ]; then files killed; rm "$ROOT/kill-in"; kill -9 $BASHPID; fi
        case $* in *--skip-phases=preflight*) return ;; esac
        files "$1"; if [ -e "$ROOT/kill-after" ]; then rm "$ROOT/kill-after"; trap - EXIT; kill -9 $BASHPID; fi ;;
      esac; }
    install_endpoint() { log install_endpoint; }
    withdraw_endpoint() { log withdraw_endpoint; }
    has_pod_cidr() { :; }
    pod_cidr() { echo 10.50.1.0/24; }
    advertise_pod_cidr() { :; }
    tighten_modes() { :; }
    follow_endpoint() { :; }
    declare_nodes() { log "declare $*"; }
    obtain_serving_certificate() { [ ! -e "$ROOT/fail-late" ] || fail "the kubelet has no serving certificate"; }
    install_etcd_command() { :; }
    certificate_expiry() { printf 2027-11-21T00:00:00Z; }
    note_membership() { log "note_membership $1"; }
    kubectl_node() { api_up; }
    kubectl_cluster() { case "$*" in *"get secrets"*) echo secret/bootstrap-token-x ;; "get namespace"*) printf key-1 ;; "get nodes -l "*) log "asks for control planes"; printf 'cp1 100.64.0.1\\ncp2 100.64.0.2\\n' ;; *) log "kubectl $*" ;; esac; }
    cluster_version() { echo 1.36.3; }
    etcd_command() { api_up && cat "$ROOT/keys" 2>/dev/null || api_up; }
    mint_credentials() { : >"$DISCOVERY"; }
    membership_id_of() { ANSWER=${former}; }
    forget_node() { log "forget_node $1"; }
    # etcd-members.sh's, as far as this stage knows them.
    [ -e "$ROOT/member" ] || echo "${member}" >"$ROOT/member"
    find_member() { log "find_member $*"; MEMBER_ID='' ETCD_MEMBERS=''
      case $(cat "$ROOT/member") in
      silent) fail "no other control plane's etcd answers" ;;
      learner) MEMBER_ID=a2 ETCD_MEMBERS="a1 cp1 false https://100.64.0.1:2380 -
a2 - true https://100.64.0.2:2380 -" ;;
      voter | "last of two") MEMBER_ID=a2 ETCD_MEMBERS="a1 cp1 false https://100.64.0.1:2380 -
a2 cp2 false https://100.64.0.2:2380 -" ;;
      esac; }
    forget_etcd_member() { local was; was=$(cat "$ROOT/member"); [ "$was" != "last of two" ] || fail "without the member $1 etcd would have 0 healthy of 1"
      [ "$was" = none ] || log "etcd removes $1"; echo none >"$ROOT/member"; }
    reset_node() { log reset_node; [ "$(cat "$ROOT/member")" != voter ] || log "A VOTER WAS RESET"
      rm -rf "$ROOT/etc/kubernetes"; rm -f "$SENTINEL" "$ROOT/kubelet-runs"; if [ -e "$TK_STATE/etcd-ours" ]; then rm -rf "$ROOT/var/lib/etcd"; fi; }
    mkdir -p "$TK_RUN" "$TK_STATE"
    printf 'cp1 100.64.0.1\\ncp2 100.64.0.2\\ncp3 100.64.0.3\\n' >"$TK_STATE/peers"
    `;
  return withLibrary(
    root,
    [assignments({ ROOT: root, TK_NODE: "cp2", ...given, ...more }), script, fakes, text].join("\n"),
    "control-plane",
  );
}

const isJoined = (root: string) => existsSync(`${root}/var/lib/tailkube/joined`);
const dataOf = (root: string) => readFileSync(`${root}/var/lib/etcd/member/db`, "utf8").trim();
/** What changes something, in order. */
const acts = (root: string, since = 0) =>
  logOf(root)
    .slice(since)
    .filter((line) => /^(reset_node|kubeadm|etcd removes|A VOTER|forget_node|note_membership)/.test(line));

/** A run that ends, and one that fails without a word of bash's own. */
function ends(run: Finished): void {
  expect(run.status, run.stderr).to.equal(0);
  expect(run.stderr).to.equal("");
}

const join = ["kubeadm init phase upload-config kubeadm --kubeconfig DISCOVERY < Init", "kubeadm join < Join"];
const joined = (root: string, since = 0) =>
  acts(root, since).map((line) => line.replace(`${root}/run/tailkube/discovery.conf`, "DISCOVERY"));

describe("stage control-plane, cut off", () => {
  /** A join that is killed, or fails after it; then `world` is as it is for the next run. */
  function afterKilled(how: "kill-in" | "kill-after" | "fail-late", next: World, more: Record<string, string> = {}) {
    const root = temporaryFolder();
    write(`${root}/${how}`, "");
    // What founds has no cluster to ask.
    const first = bash(stage(root, more, "TK_MARK" in more ? { answers: {} } : {}));
    expect(first.status, first.stderr).to.not.equal(0);
    expect(isJoined(root)).to.equal(false);
    for (const file of ["member", "fail-late", "kubelet-runs"]) bash(`rm -f ${root}/${file}`);
    const before = logOf(root).length;
    const run = bash(stage(root, more, next));
    return { root, run, before };
  }

  for (const how of ["kill-in", "kill-after", "fail-late"] as const) {
    describe(`in a join (${how})`, () => {
      it("as a voter that is healthy: goes on, and neither resets nor joins again", () => {
        const { root, run, before } = afterKilled(how, { member: "voter" });
        ends(run);
        expect(joined(root, before)).to.deep.equal([
          ...(how === "fail-late" ? [] : ["kubeadm join phase control-plane-join mark-control-plane < Join"]),
          "note_membership mark2",
        ]);
        // Before anything is asked: the cluster may have no majority without it.
        expect(logOf(root).slice(before)[0]).to.equal("systemctl start containerd kubelet");
        expect(isJoined(root)).to.equal(true);
        expect(dataOf(root)).to.equal(how === "kill-in" ? "of-killed" : "of-join");
        expect(existsSync(`${root}/var/lib/tailkube/attempt`)).to.equal(false);
      });

      it("as a voter that does not become ready: leaves etcd, and only then is it reset and joins again", () => {
        const { root, run, before } = afterKilled(how, { member: "voter", healthy: false });
        expect(run.stderr).to.match(/the API server of this control plane is not ready/);
        expect(joined(root, before)).to.deep.equal(["etcd removes cp2", "reset_node", "forget_node cp2", ...join]);
      });

      it("as a voter without which etcd has no majority: fails, and nothing is reset", () => {
        const { root, run, before } = afterKilled(how, { member: "last of two", healthy: false });
        expect(run.status).to.equal(1);
        expect(run.stderr).to.match(/without the member cp2 etcd would have 0 healthy of 1/);
        expect(joined(root, before)).to.deep.equal([]);
        expect(existsSync(`${root}/var/lib/etcd/member/db`)).to.equal(true);
      });

      it("as a learner: leaves etcd, is reset, and joins again", () => {
        const { root, run, before } = afterKilled(how, { member: "learner" });
        ends(run);
        expect(joined(root, before)).to.deep.equal([
          ...["etcd removes cp2", "reset_node", "forget_node cp2"],
          ...[...join, "note_membership mark2"],
        ]);
        expect(dataOf(root)).to.equal("of-join");
      });

      it("before etcd had it: is reset, and joins again", () => {
        const { root, run, before } = afterKilled(how, { member: "none" });
        ends(run);
        expect(joined(root, before)).to.deep.equal(["reset_node", "forget_node cp2", ...join, "note_membership mark2"]);
      });

      it("and no etcd answers: fails, and nothing is reset", () => {
        const { root, run, before } = afterKilled(how, { member: "silent" });
        expect(run.status).to.equal(1);
        expect(run.stderr).to.match(/no other control plane's etcd answers/);
        expect(joined(root, before)).to.deep.equal([]);
        expect(existsSync(`${root}/etc/kubernetes/admin.conf`)).to.equal(true);
      });
    });
  }

  it("in the reset itself: is reset again", () => {
    const { root } = afterKilled("kill-after", { member: "silent" });
    bash(`rm -rf ${root}/etc/kubernetes ${root}/member`);
    const before = logOf(root).length;
    ends(bash(stage(root, {}, { member: "none" })));
    expect(joined(root, before)).to.deep.equal(["reset_node", "forget_node cp2", ...join, "note_membership mark2"]);
  });

  it("in a join: is recorded before etcd can have it, for a removal that finds no Node", () => {
    const root = temporaryFolder();
    write(`${root}/kill-in`, "");
    expect(bash(stage(root, {}, {})).status).to.not.equal(0);
    const log = logOf(root);
    const declared = log.indexOf("declare cp2=100.64.0.2");
    expect(declared).to.be.within(
      log.indexOf("forget_node cp2") + 1,
      log.findIndex((line) => line.startsWith("kubeadm join")) - 1,
    );
  });

  it("of an older release, as a voter: the same", () => {
    const { root } = afterKilled("kill-after", { member: "silent" });
    bash(`rm -f ${root}/var/lib/tailkube/attempt ${root}/member`);
    const before = logOf(root).length;
    ends(bash(stage(root, {}, { member: "voter" })));
    expect(joined(root, before)).to.deep.equal([
      "kubeadm join phase control-plane-join mark-control-plane < Join",
      "note_membership mark2",
    ]);
  });

  it("of an older release, as a voter that does not become ready: its data goes with the reset, without a record of it", () => {
    const { root } = afterKilled("kill-in", { member: "silent" });
    bash(`rm -f ${root}/var/lib/tailkube/attempt ${root}/var/lib/tailkube/etcd-ours ${root}/member`);
    const before = logOf(root).length;
    const { stderr } = bash(stage(root, {}, { member: "voter", healthy: false }));
    expect(stderr).to.match(/the API server of this control plane is not ready/);
    expect(joined(root, before)).to.deep.equal(["etcd removes cp2", "reset_node", "forget_node cp2", ...join]);
  });

  const alone: World = { answers: {} };

  /** A \`kubeadm init\` that was killed when its API server had stored something. */
  function afterStored(next: World) {
    const root = temporaryFolder();
    write(`${root}/kill-in`, "");
    write(`${root}/keys`, "/registry/apiregistration.k8s.io/apiservices/v1.\n\n");
    expect(bash(stage(root, founder, alone)).status).to.not.equal(0);
    bash(`rm -f ${root}/kubelet-runs`);
    const before = logOf(root).length;
    return { root, before, run: bash(stage(root, founder, next)) };
  }

  it("in kubeadm init, when its API server has stored something: goes on with it, and its etcd stays", () => {
    const { root, run, before } = afterStored(alone);
    ends(run);
    expect(acts(root, before)).to.deep.equal([
      "kubeadm init --skip-phases=preflight,addon/kube-proxy --skip-token-print --skip-certificate-key-print < Init",
      "note_membership mark1",
    ]);
    expect(dataOf(root)).to.equal("of-killed");
    expect(isJoined(root)).to.equal(true);
  });

  it("in kubeadm init, and its etcd does not answer: fails, and nothing is reset", () => {
    const { root, run, before } = afterStored({ ...alone, healthy: false });
    expect(run.status).to.equal(1);
    expect(run.stderr).to.match(/no answer after 300 s to the question whether an API server has stored anything/);
    expect(acts(root, before)).to.deep.equal([]);
    expect(dataOf(root)).to.equal("of-killed");
  });

  for (const file of ["etc/kubernetes/manifests/etcd.yaml", "var/lib/kubelet/config.yaml"]) {
    it(`in kubeadm init, by a power cut that emptied ${file}: is reset, and founds the cluster again`, () => {
      const root = temporaryFolder();
      write(`${root}/kill-in`, "");
      expect(bash(stage(root, founder, alone)).status).to.not.equal(0);
      write(`${root}/${file}`, "");
      const before = logOf(root).length;
      ends(bash(stage(root, founder, alone)));
      expect(acts(root, before)).to.deep.equal([
        "reset_node",
        "kubeadm init --skip-token-print --skip-certificate-key-print < Init",
        "note_membership mark1",
      ]);
    });
  }

  it("in kubeadm init, before anything was stored: is reset, and founds the cluster again", () => {
    const { root, run, before } = afterKilled("kill-in", alone, founder);
    expect(run.stderr).to.equal("");
    expect(acts(root, before)).to.deep.equal([
      "reset_node",
      "kubeadm init --skip-token-print --skip-certificate-key-print < Init",
      "note_membership mark1",
    ]);
    expect(dataOf(root)).to.equal("of-init");
  });

  it("after kubeadm init: goes on, and its etcd stays", () => {
    const { root, run, before } = afterKilled("fail-late", alone, founder);
    ends(run);
    expect(acts(root, before)).to.deep.equal(["note_membership mark1"]);
    expect(logOf(root).slice(before)).to.include(
      "kubectl -n kube-system delete secret/bootstrap-token-x --ignore-not-found",
    );
    expect(dataOf(root)).to.equal("of-init");
    expect(isJoined(root)).to.equal(true);
  });

  it("after kubeadm init, with an API server that does not come back: fails, and nothing is reset", () => {
    const { root, run, before } = afterKilled("fail-late", { ...alone, healthy: false }, founder);
    expect(run.status).to.equal(1);
    expect(run.stderr).to.match(/kubeadm init had finished on this host, but .* nothing was reset/);
    expect(acts(root, before)).to.deep.equal([]);
    expect(dataOf(root)).to.equal("of-init");
  });
});

describe("stage control-plane, on a host with data of somebody's", () => {
  const alone: World = { answers: {} };

  for (const [what, path, more] of [
    ["another etcd's", "var/lib/etcd/default/member/db", founder],
    ["newer than the snapshot", "var/lib/etcd/member/db", { ...founder, TK_RESTORE: "/root/one.db" }],
    ["another etcd's, for a join", "var/lib/etcd/default/member/db", {}],
  ] as const) {
    it(`${what}: is refused by the first run and the second, and nothing is touched`, () => {
      const root = temporaryFolder();
      write(`${root}/${path}`, "theirs");
      const before = snapshot(`${root}/var/lib/etcd`);
      for (const run of [1, 2, 3]) {
        const { status, stderr } = bash(stage(root, more, "TK_MARK" in more ? alone : {}));
        expect(status, `run ${run}`).to.equal(1);
        expect(stderr).to.match(
          /\/var\/lib\/etcd on this host has data that this program did not put there \((default|member)\)/,
        );
        expect(snapshot(`${root}/var/lib/etcd`), `run ${run}`).to.deep.equal(before);
        expect(existsSync(`${root}/etc/kubernetes/pki`)).to.equal(false);
        expect(existsSync(`${root}/var/lib/tailkube/owned.control-plane`)).to.equal(false);
      }
      expect(acts(root)).to.deep.equal([]);
    });
  }

  for (const path of ["pki/ca.key", "admin.conf", "manifests/etcd.yaml"]) {
    it(`/etc/kubernetes/${path} of another cluster stays`, () => {
      const root = temporaryFolder();
      write(`${root}/etc/kubernetes/${path}`, "theirs");
      for (const run of [1, 2]) {
        const { status, stderr } = bash(stage(root, founder, alone));
        expect(status, `run ${run}`).to.equal(1);
        expect(stderr).to.include(`has files of another cluster (${root}/etc/kubernetes/${path})`);
        expect(readFileSync(`${root}/etc/kubernetes/${path}`, "utf8")).to.equal("theirs");
      }
      expect(acts(root)).to.deep.equal([]);
    });
  }

  it("is not taken for another cluster's: the file by which kubelet's package keeps its folder", () => {
    const root = temporaryFolder();
    write(`${root}/etc/kubernetes/manifests/.kubelet-keep`, "");
    ends(bash(stage(root, founder, alone, "check_kubernetes_folder")));
    ends(bash(stage(root, founder, alone, '[ -z "$(foreign_kubernetes)" ]')));
  });

  it("is not taken for somebody's: a file system's lost+found", () => {
    const root = temporaryFolder();
    mkdirSync(`${root}/var/lib/etcd/lost+found`, { recursive: true });
    ends(bash(stage(root, founder, alone, "check_etcd_data")));
  });

  for (const joined of [true, false]) {
    it(`is not claimed on a worker whose role was changed (joined: ${joined})`, () => {
      const root = temporaryFolder();
      const state = `${root}/var/lib/tailkube`;
      write(`${root}/var/lib/etcd/default/member/db`, "somebody's");
      write(`${root}/etc/kubernetes/pki/ca.crt`, `${given.TK_CA_CRT}\n`);
      write(`${state}/owned.join`, `${state}/joined\n`);
      if (joined) write(`${state}/joined`, "mark1\n");
      const run = bash(stage(root, founder, alone));
      expect(run.status).to.equal(1);
      expect(run.stderr).to.match(
        /^tailkube: cp1: control-plane: an earlier run made this host a worker, or began to\. .*Remove the node in one run/,
      );
      expect(existsSync(`${state}/etcd-ours`)).to.equal(false);
      expect(existsSync(`${state}/owned.control-plane`)).to.equal(false);
      expect(acts(root)).to.deep.equal([]);
    });
  }

  it("is its own from before kubeadm's first byte, and of a control plane of an older release", () => {
    const root = temporaryFolder();
    write(`${root}/kill-in`, "");
    bash(stage(root, founder, alone));
    expect(readFileSync(`${root}/var/lib/tailkube/etcd-ours`, "utf8")).to.equal("mark1\n");
    const older = temporaryFolder();
    write(`${older}/var/lib/tailkube/joined`, "mark1\n");
    write(`${older}/etc/kubernetes/admin.conf`, "apiVersion: v1");
    expect(bash(stage(older, founder, alone)).stderr).to.match(/pki\/ca\.crt, .*, cannot be read on this host/);
    write(`${older}/etc/kubernetes/pki/ca.crt`, `${given.TK_CA_CRT}\n`);
    ends(bash(stage(older, founder, alone)));
    expect(existsSync(`${older}/var/lib/tailkube/etcd-ours`)).to.equal(true);
  });
});

describe("founding", () => {
  const decide = 'decide_init; echo "inits=$INITS after $SECONDS s"';
  const run = (answers: Record<string, string>, more: Record<string, string> = {}, text = "") => {
    const root = temporaryFolder();
    const finished = bash(stage(root, { ...founder, ...more }, { answers }, `${text}\n${decide}`));
    return { ...finished, log: logOf(root) };
  };
  const areNew = 'authority_digest >"$NEW_AUTHORITIES"';
  const restoring = { TK_MARK: "mark9", TK_RESTORE: "/root/one.db" };

  it("is at once for authorities that no cluster has used, when all others refuse; the endpoint may be silent", () => {
    for (const endpoint of ["silent", "refused"]) {
      const { stdout, log } = run({ "10.200.0.1": endpoint }, {}, areNew);
      // One round: the clock of a slow machine counts, too.
      expect(stdout).to.match(/^inits=1 after \d+ s$/m);
      expect(log).to.deep.equal(["ask 10.200.0.1", "ask 100.64.0.2", "ask 100.64.0.3"]);
    }
  });

  it("takes a minute of refusals for authorities that have been used, or for a snapshot: an API server may restart", () => {
    for (const [more, text] of [
      [{}, ""],
      [{}, 'echo other >"$NEW_AUTHORITIES"'],
      [restoring, areNew],
    ] as const) {
      const { stdout } = run({ "10.200.0.1": "silent" }, more, text);
      expect(Number(/^inits=1 after (\d+) s$/m.exec(stdout)?.[1]), JSON.stringify(more)).to.be.at.least(60);
    }
  });

  it("is none where any control plane answers, even once within the minute", () => {
    for (const more of [{}, restoring]) {
      expect(run({ "100.64.0.3": "cluster" }, more, areNew).stdout).to.match(/^inits=0 /);
      expect(run({ "10.200.0.1": "cluster" }, more, areNew).stdout).to.match(/^inits=0 /);
      // One that was lost at first.
      const late =
        'api_at() { [ "$SECONDS" -lt 40 ] || [ "$1" != 100.64.0.2 ] || { echo cluster; return; }; echo refused; }';
      expect(run({}, more, late).stdout).to.match(/^inits=0 after 4\d s/);
    }
  });

  it("fails where a declared control plane is silent or shows another certificate", () => {
    for (const [answer, text] of [
      ["silent", "cp3 at 100.64.0.3:6443 neither answers nor refuses"],
      ["foreign", "cp3 at 100.64.0.3:6443 shows the certificate of another authority"],
    ] as const) {
      for (const more of [{}, restoring]) {
        const { status, stdout, stderr } = run({ "100.64.0.3": answer }, more, areNew);
        expect(status, stdout).to.equal(1);
        expect(stderr).to.include(`so no new cluster was created: ${text} (asked for 60 s)`);
      }
    }
  });

  it("is none of a host that is not the founder", () => {
    expect(run({}, { TK_MARK: "mark2" }).stdout).to.match(/^inits=0 /);
  });

  it("is none of a founder that knows no other control plane, as one that comes back at the list's end: it joins, or fails", () => {
    const alone = 'rm -f "$PEERS"';
    for (const more of [{}, restoring]) {
      for (const answer of ["cluster", "foreign"]) {
        expect(run({ "10.200.0.1": answer }, more, `${areNew}; ${alone}`).stdout, answer).to.match(/^inits=0 after /);
      }
      for (const answer of ["silent", "refused"]) {
        const { status, stderr } = run({ "10.200.0.1": answer }, more, `${areNew}; ${alone}`);
        expect(status).to.equal(1);
        expect(stderr).to.include("no API server answers at the endpoint").and.to.include("did not create another one");
      }
    }
  });

  it("notes new authorities in the stage that makes them, for the same text", () => {
    const root = temporaryFolder();
    const text = `TK_CA_CRT=$(printf 'a\\nb'); mkdir -p "$TK_RUN"; printf 'a\\nb\\n' >"$TK_RUN/ca.crt"
      sha256sum <<<"$(cat "$TK_RUN/ca.crt")" | awk '{print $1}' >"$NEW_AUTHORITIES"
      are_new_authorities && echo new; forget_new_authorities; are_new_authorities || echo used`;
    expect(bash(stage(root, founder, {}, text)).stdout).to.equal("new\nused\n");
    expect(scriptText("stages/make-authorities.sh")).to.include(
      `sha256sum <<<"$(cat "$directory/ca.crt")" | awk '{print $1}' >"$TK_RUN/new-authorities"`,
    );
  });

  describe("api_at", () => {
    /** With what curl says, and its exit status. */
    const at = (status: number, said: string) => {
      const root = temporaryFolder();
      const text = `${scriptText("lib/control-plane/init-or-join.sh")}
        curl() { echo "* connect to 100.64.0.3 port 6443 failed: ${said}" >&2; return ${status}; }
        api_at 100.64.0.3 6443`;
      return bash(withLibrary(root, `${assignments({ ...given })}\n${text}`)).stdout.trim();
    };

    it("tells an answer, another authority, a refusal and silence apart", () => {
      expect(at(0, "")).to.equal("cluster");
      expect(at(60, "")).to.equal("foreign");
      expect(at(7, "Connection refused")).to.equal("refused");
      for (const [status, said] of [
        [7, "No route to host"],
        [7, "Network is unreachable"],
        [28, "Connection timed out"],
        [35, ""],
      ] as const) {
        expect(at(status, said), `${status} ${said}`).to.equal("silent");
      }
    });

    it("knows the real refusal of a closed port", () => {
      const text = `${scriptText("lib/control-plane/init-or-join.sh")}\napi_at 127.0.0.1 1`;
      expect(bash(withLibrary(temporaryFolder(), `${assignments(given)}\n${text}`)).stdout).to.equal("refused\n");
    });
  });
});

describe("founding in a tailnet where other devices advertise", () => {
  const alone = { answers: {} };
  const found = (devices: Device[], more: Record<string, string> = {}, text?: string) => {
    const root = temporaryFolder();
    return { root, ...bash(stage(root, { ...founder, ...more }, { ...alone, devices }, text)) };
  };
  /** The overlaps that a founder sees, in words. */
  const overlaps = (devices: Device[], more: Record<string, string> = {}) =>
    found(devices, more, 'overlapping_routes <"$ROOT/tailnet"').stdout.trimEnd().split("\n").filter(Boolean);

  it("a part of the pod CIDR, or the endpoint, fails before anything is made or advertised, in one line", () => {
    for (const [route, said] of [
      ["10.50.7.0/24", "d1 (100.64.1.1) has 10.50.7.0/24, which is in network.podCidr 10.50.0.0/16 of this stack"],
      ["10.200.0.1/32", "d1 (100.64.1.1) has 10.200.0.1/32, which is the endpoint of this stack"],
    ] as const) {
      for (const routing of ["native", "vxlan"]) {
        const { root, status, stderr } = found([{ routes: [route] }], { TK_POD_ROUTING: routing });
        expect(status, route).to.equal(1);
        expect(stderr.trimEnd().split("\n"), route).to.have.lengthOf(1);
        expect(stderr).to.include(
          `has a route to this cluster's networks: ${said}. Nothing was founded or advertised.`,
        );
        expect(stderr).to.include(
          "change tailkube:endpoint.address or tailkube:network.podCidr, or take the route from that device",
        );
        expect(acts(root), "what was done").to.deep.equal([]);
        expect(logOf(root)).not.to.include("install_endpoint");
        expect(existsSync(`${root}/var/lib/tailkube/attempt`)).to.equal(false);
        expect(existsSync(`${root}/var/lib/tailkube/etcd-ours`)).to.equal(false);
      }
    }
  });

  it("it founds as soon as the other device is gone", () => {
    const { root } = found([{ routes: ["10.50.7.0/24"] }]);
    expect(isJoined(root)).to.equal(false);
    ends(bash(stage(root, founder, alone)));
    expect(isJoined(root)).to.equal(true);
  });

  it("what is wider, elsewhere, of an offline device or of this host is fine", () => {
    const fits: Device[] = [
      { routes: ["0.0.0.0/0", "::/0"] },
      { routes: ["10.0.0.0/8", "10.50.0.0/15", "10.200.0.0/24"] },
      { routes: ["10.49.255.0/24", "10.51.0.0/24", "10.200.0.2/32", "fd00:50::/64"] },
      { routes: ["10.50.7.0/24"], Online: false, LastSeen: "2026-11-20T10:00:00Z" },
      { routes: ["10.50.7.0/24"], Expired: true },
    ];
    const { root, ...run } = found(fits);
    ends(run);
    expect(isJoined(root)).to.equal(true);
    ends(found([]));
    for (const none of [tailnetStatus(null), tailnetStatus([])]) {
      const text = `printf '%s\\n' ${shellQuote(none)} >"$ROOT/tailnet"; check_route_overlap; echo fits`;
      expect(found([], {}, text).stdout).to.equal("fits\n");
    }
  });

  it("tells networks apart at every length of the pod CIDR", () => {
    for (const [podCidr, inside, outside] of [
      [
        "10.0.0.0/8",
        ["10.0.0.0/8", "10.255.255.255/32", "10.96.0.0/12"],
        ["8.0.0.0/6", "11.0.0.0/8", "9.255.255.0/24"],
      ],
      [
        "192.168.64.0/20",
        ["192.168.64.0/20", "192.168.79.128/25"],
        ["192.168.80.0/24", "192.168.0.0/16", "192.168.63.0/24"],
      ],
      ["10.50.7.0/24", ["10.50.7.0/24", "10.50.7.9/32"], ["10.50.6.0/23", "10.50.8.0/24"]],
    ] as const) {
      const seen = overlaps([{ routes: [...inside, ...outside] }], { TK_POD_CIDR: podCidr });
      expect(seen.map((line) => / has (\S+),/.exec(line)?.[1])).to.deep.equal(inside);
    }
  });

  it("a device of which it is not known whether it is online counts", () => {
    expect(overlaps([{ routes: ["10.50.7.0/24"], Online: false }])).to.have.lengthOf(1);
  });

  it("names that others choose neither hide a route nor make one, and cannot break the line", () => {
    const hidden = 'x",\n      "Online": false,\n      "Expired": true,\n    },\n  },';
    const made = 'x",\n      "AllowedIPs": [\n        "10.50.9.0/24"\n      ],';
    const seen = overlaps([{ HostName: hidden, DNSName: `${hidden}.`, routes: ["10.50.7.0/24"] }, { HostName: made }]);
    expect(seen).to.have.lengthOf(1);
    expect(seen[0]).to.match(
      /^[A-Za-z0-9-]+ \(100\.64\.1\.1\) has 10\.50\.7\.0\/24, which is in network\.podCidr 10\.50\.0\.0\/16 of this stack$/,
    );
    expect(overlaps([{ DNSName: "", routes: ["10.50.7.0/24"] }])[0]).to.match(/^one without a name \(100\.64\.1\.1\)/);
  });

  it("names three, and how many more there are", () => {
    const { stderr } = found(["1", "2", "3", "4", "5"].map((i) => ({ routes: [`10.50.${i}.0/24`] })));
    expect(stderr.match(/ has 10\.50\./g)).to.have.lengthOf(3);
    expect(stderr).to.include("of this stack; and 2 more. Nothing was founded");
  });

  it("without an answer nothing is founded, and the question is named", () => {
    for (const silence of [
      "tailscale() { return 1; }",
      `tailscale() { echo ${shellQuote(tailnetStatus([], "NeedsLogin"))}; }`,
    ]) {
      const { root, status, stderr } = found([], {}, `${silence}\napply`);
      expect(status).to.equal(1);
      expect(stderr).to.match(/no answer after 30 s to the question which routes other devices of the tailnet have/);
      expect(acts(root)).to.deep.equal([]);
    }
    // Once is not for good.
    const late = 'tailscale() { [ -e "$ROOT/asked" ] || { : >"$ROOT/asked"; return 1; }; cat "$ROOT/tailnet"; }\napply';
    ends(found([], {}, late));
  });

  it("is not asked about where a cluster is: when this host joins, has founded, or restores a snapshot, and in a lan", () => {
    const devices = [{ routes: ["10.50.7.0/24", "10.200.0.1/32"] }];
    const silent = 'tailscale() { [ "$1" = ping ] || log asked; return 1; }';
    const joining = temporaryFolder();
    ends(bash(stage(joining, {}, { devices }, `${silent}\napply`)));
    const { root } = found([]);
    ends(bash(stage(root, founder, { ...alone, devices }, `${silent}\napply`)));
    for (const [name, value] of [
      ["TK_RESTORE", "/root/one.db"],
      ["TK_NODE_NETWORK", "lan"],
    ] as const) {
      const text = `${silent}\ncheck_route_overlap; echo fits`;
      expect(found(devices, { [name]: value }, text).stdout, name).to.equal("fits\n");
    }
    expect([...logOf(joining), ...logOf(root)]).not.to.include("asked");
  });
});

describe("the paths to other control planes", () => {
  const alone: World = { answers: {} };
  /** The pieces of the result, or why the stage failed. */
  function measured(more: Record<string, string>, world: World, text = "apply") {
    const root = temporaryFolder();
    const run = bash(stage(root, more, world, text));
    const result = run.status === 0 ? (JSON.parse(run.stdout) as { roundTrips: string }).roundTrips : undefined;
    return { root, ...run, result, log: logOf(root) };
  }
  const relayed = "pong from cp1 (100.64.0.1) via DERP(fra) in 260ms\n".repeat(8);

  it("are measured to all declared control planes before the cluster is created", () => {
    const world = {
      ...alone,
      pings: { "100.64.0.3": ["251.3", 48] as [string, number] },
      ways: { "100.64.0.3": relayed },
    };
    const { result, log } = measured(founder, world);
    expect(result).to.equal("cp2 0.321 50 50 direct\ncp3 251.3 50 48 relay:fra");
    expect(log.filter((line) => line.startsWith("ping")).sort()).to.deep.equal(["ping 100.64.0.2", "ping 100.64.0.3"]);
    const founded = log.findIndex((line) => line.startsWith("kubeadm init"));
    expect(log.findLastIndex((line) => line.startsWith("ping"))).to.be.below(founded);
  });

  it("are measured to the control planes of the cluster before a join, not to the host itself", () => {
    const { result, log } = measured({}, {});
    expect(result).to.equal("cp1 0.321 50 50 direct");
    expect(log.filter((line) => line.startsWith("ping"))).to.deep.equal(["ping 100.64.0.1"]);
    expect(log.indexOf("ping 100.64.0.1")).to.be.below(log.findIndex((line) => line.startsWith("kubeadm init phase")));
    for (const line of ["forget_node cp2", "etcd removes cp2"])
      expect(log.slice(0, log.indexOf("ping 100.64.0.1"))).to.not.include(line);
  });

  for (const [what, more, world, said, done] of [
    ["the founder", founder, alone, "cp2 612 ms (relayed through fra)", "No cluster was created"],
    ["a host that joins", {}, {}, "cp1 612 ms (relayed through fra)", "This host did not join the cluster"],
  ] as const) {
    it(`${what} fails in one line where no time-outs help, before etcd, the cluster or the endpoint change`, () => {
      const address = what === "the founder" ? "100.64.0.2" : "100.64.0.1";
      const far: World = { ...world, pings: { [address]: ["612", 50] }, ways: { [address]: relayed } };
      const { root, status, stderr, log } = measured(more, far);
      expect(status).to.equal(1);
      expect(stderr.trimEnd().split("\n")).to.have.lengthOf(1);
      expect(stderr).to.include(
        `the average round-trip time from this host to other control planes is too long: ${said}. Allowed: at most 500 ms, because`,
      );
      expect(stderr).to.include(`${done}. Give these hosts a faster path`);
      // One busy moment is not enough for that.
      expect(log.filter((line) => line === `ping ${address}`)).to.have.lengthOf(2);
      expect(acts(root)).to.deep.equal([]);
      expect(log).to.not.include("install_endpoint");
      expect(existsSync(`${root}/var/lib/tailkube/etcd-ours`)).to.equal(false);
      // And the next run goes on from there.
      ends(bash(stage(root, more, world)));
    });
  }

  it("without an answer are asked for once more, are unknown, and stop neither the founder nor a join", () => {
    const world = { pings: { "100.64.0.1": undefined, "100.64.0.2": undefined }, ways: { "100.64.0.1": undefined } };
    const found = measured(founder, { ...alone, ...world });
    expect(found.result).to.equal("cp2 - - - direct\ncp3 0.321 50 50 direct");
    expect(found.log.filter((line) => line === "ping 100.64.0.2")).to.have.lengthOf(2);
    const joining = measured({}, world);
    expect(joining.result).to.equal("cp1 - - - -");
    // As where all are lost, which ping says by itself.
    expect(measured({}, { pings: { "100.64.0.1": ["", 0] } }).result).to.equal("cp1 - - - direct");
    // A host without the program.
    expect(measured({}, {}, "ping() { return 127; }; tailscale() { return 127; }\napply").result).to.equal(
      "cp1 - - - -",
    );
  });

  it("in a lan are asked without tailscaled", () => {
    const { result } = measured({ TK_NODE_NETWORK: "lan" }, {}, "tailscale() { log tailscale; return 1; }\napply");
    expect(result).to.equal("cp1 0.321 50 50 -");
  });

  it("are measured again on a control plane that is in, where the longest one is no error", () => {
    const root = temporaryFolder();
    ends(bash(stage(root, {}, {})));
    const before = logOf(root).length;
    const far: World = { pings: { "100.64.0.1": ["612", 50] } };
    const run = bash(stage(root, {}, far));
    ends(run);
    expect(JSON.parse(run.stdout)).to.deep.include({ roundTrips: "cp1 612 50 50 direct" });
    expect(acts(root, before)).to.deep.equal([]);
    const silent = bash(stage(root, {}, {}, "control_plane_addresses() { log asked; return 1; }\napply"));
    ends(silent);
    expect(JSON.parse(silent.stdout)).to.deep.include({ roundTrips: "" });
    expect(logOf(root).filter((line) => line === "asked")).to.have.lengthOf(2);
  });

  it("do not stop a cluster that comes back from a snapshot", () => {
    const world: World = { ...alone, pings: { "100.64.0.3": ["612", 50] } };
    const text = "etcd_restore() { log etcd_restore; }\napply";
    const { result, status, stderr } = measured({ ...founder, TK_RESTORE: "/root/one.db" }, world, text);
    expect(status, stderr).to.equal(0);
    expect(result).to.include("cp3 612 50 50 direct");
  });

  describe("what tailscaled's ping says of the way", () => {
    const way = (said: string) => {
      const root = temporaryFolder();
      const text = `timeout() { shift; "$@"; }; tailscale() { printf %s ${shellQuote(said)}; return 1; }; tailnet_path 100.64.0.1`;
      return bash(withLibrary(root, `${scriptText("lib/control-plane/round-trips.sh")}\n${text}`)).stdout.trim();
    };
    const pong = (via: string) => `pong from cp1 (100.64.0.1) via ${via} in 24ms\n`;

    it("is the last word, by address, relay or peer relay, or nothing", () => {
      expect(way(pong("DERP(fra)") + pong("203.0.113.9:41641"))).to.equal("direct");
      expect(way(pong("[2001:db8::1]:41641"))).to.equal("direct");
      expect(way(`${pong("DERP(fra)").repeat(8)}direct connection not established\n`)).to.equal("relay:fra");
      expect(way(pong("DERP(lab-1)"))).to.equal("relay:lab-1");
      expect(way(pong("peer-relay(203.0.113.9:7777:vni:1)"))).to.equal("peer-relay");
      expect(way('ping "100.64.0.1" timed out\nno reply\n')).to.equal("-");
      expect(way("")).to.equal("-");
    });
  });
});

describe("stage peers", () => {
  it("notes the declared control planes, once", () => {
    const root = temporaryFolder();
    const run = () =>
      bash(
        withLibrary(
          root,
          `${assignments({ TK_PEERS: "cp1 100.64.0.1\ncp2 100.64.0.2" })}\n${scriptText("stages/peers.sh")}\napply`,
          "peers",
        ),
      );
    expect(JSON.parse(run().stdout)).to.deep.equal({ changed: ["noted the declared control planes"] });
    expect(JSON.parse(run().stdout)).to.deep.equal({ changed: [] });
    expect(readFileSync(`${root}/var/lib/tailkube/peers`, "utf8")).to.equal("cp1 100.64.0.1\ncp2 100.64.0.2\n");
    expect(readFileSync(`${root}/var/lib/tailkube/owned.peers`, "utf8")).to.equal(`${root}/var/lib/tailkube/peers\n`);
  });
});
