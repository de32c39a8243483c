import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { expect } from "chai";
import { scriptText } from "../../../components/hosts/script-text";
import {
  assignments,
  bash,
  bashOk,
  partsOf,
  removeTemporaryFolders,
  snapshot,
  temporaryFolder,
  withLibrary,
  write,
} from "./bash";
import { isThorough, placesTried, someOf } from "../samples";

afterEach(removeTemporaryFolders);

/**
 * The operator's side with a real agent and an `ssh` that only takes notes. `host` is how the host answers to it: bash that sees
 * the command line as `$*`. What the guard is told comes as "bash -s -- VERB".
 */
function operator(
  file: "run-cleanup" | "run-guarded-stage",
  host: string,
  more: { key?: string; environment?: Record<string, string>; mktemp?: string } = {},
) {
  const root = temporaryFolder();
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", `${root}/key`]);
  const privateKey = more.key ?? readFileSync(`${root}/key`, "utf8").trim();
  write(
    `${root}/bin/ssh`,
    `#!/bin/bash
ROOT=${root}
printf '%s\\n' "$*" >>${root}/calls
for word; do case $word in UserKnownHostsFile=/dev/null) ;; UserKnownHostsFile=*) cp "\${word#*=}" ${root}/known_hosts ;; esac; done
ssh-add -L >>${root}/agent 2>&1
verb=\${*: -1}; verb=\${verb##* }
${host}
`,
    0o755,
  );
  if (more.mktemp !== undefined) write(`${root}/bin/mktemp`, `#!/bin/bash\n${more.mktemp}\n`, 0o755);
  // Time passes faster here.
  write(`${root}/bin/sleep`, "#!/bin/bash\nexec /bin/sleep 0.05\n", 0o755);
  const run = spawnSync("bash", ["--norc", "-c", 'exec ssh-agent bash --norc -c "$TAILKUBE_SCRIPT"'], {
    input: `${privateKey}\n\nthe host's script\nsecond line`,
    cwd: root,
    encoding: "utf8",
    timeout: 25_000,
    env: {
      PATH: `${root}/bin:${process.env.PATH}`,
      TMPDIR: root,
      TAILKUBE_SCRIPT: ["answers", "ssh", file].map((name) => scriptText(`operator/${name}.sh`)).join("\n"),
      TAILKUBE_NODE: "w1",
      TAILKUBE_HOST: "192.0.2.21",
      TAILKUBE_PORT: "2222",
      TAILKUBE_USER: "admin",
      TAILKUBE_HOST_KEY: hostKey,
      TAILKUBE_COMMAND: `sudo -n timeout 300 bash -s -- ${file === "run-cleanup" ? "remove" : "apply"}`,
      TAILKUBE_SHELL: "sudo -n bash -s --",
      TAILKUBE_OTHER_HOSTS: ["11", "12"].map((n) => `192.0.2.${n}:22,ssh-ed25519,AAAAkey${n}`).join(" "),
      TAILKUBE_LAST: "2",
      ...more.environment,
    },
  });
  const read = (name: string) => (existsSync(`${root}/${name}`) ? readFileSync(`${root}/${name}`, "utf8") : "");
  const calls = () => read("calls").trim().split("\n");
  return { root, privateKey, read, calls, status: run.status, stdout: run.stdout, stderr: run.stderr };
}

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample";
/** A host that answers, whose guard keeps what was done. */
const well = 'case $verb in begin | alive) echo counting ;; confirm) echo kept ;; *) cat >"$ROOT/script" ;; esac';
/** A host that no packet comes back from, beside others that answer or do not. */
const silent = (others: string, what = "Connection timed out") => `case "$*" in
  *192.0.2.21*) echo 'ssh: connect to host 192.0.2.21 port 2222: ${what}' >&2 ;;
  *) echo '${others}' >&2 ;;
  esac; exit 255`;
/** What ssh says of a host that has shown the pinned key, for it logs in nowhere. */
const itself = "tailkube@192.0.2.11: Permission denied (publickey).";
const offline = "ssh: connect to host 192.0.2.11 port 22: Connection timed out";

describe("operator/run-cleanup.sh", () => {
  const cleanUp = (host: string, more?: Parameters<typeof operator>[2]) => operator("run-cleanup", host, more);

  it("runs the host's script there, by the key in an agent and the pinned host key, and says nothing", () => {
    const run = cleanUp(well);
    expect({ status: run.status, stdout: run.stdout, stderr: run.stderr }).to.deep.equal({
      status: 0,
      stdout: "",
      stderr: "",
    });
    expect(run.read("script")).to.equal("the host's script\nsecond line");
    expect(run.read("known_hosts")).to.equal(`[192.0.2.21]:2222 ${hostKey}\n`);
    const [begin, command, confirm, ...rest] = run.calls();
    expect(begin).to.match(
      / -F \/dev\/null -p 2222 -l admin -o BatchMode=yes .* 192\.0\.2\.21 sudo -n bash -s -- begin$/,
    );
    expect(begin).to.include("StrictHostKeyChecking=yes").and.to.include("HostKeyAlgorithms=ssh-ed25519");
    expect(command).to.match(/ 192\.0\.2\.21 sudo -n timeout 300 bash -s -- remove$/);
    // A connection of its own, after the script has ended.
    expect(confirm).to.match(/ 192\.0\.2\.21 sudo -n bash -s -- confirm$/);
    expect(rest).to.deep.equal([]);
    expect(run.read("agent").split("\n")[0]).to.equal(readFileSync(`${run.root}/key.pub`, "utf8").trim());
  });

  it("leaves no agent and no file behind, and the key in no command line", () => {
    const run = cleanUp(`echo "$SSH_AGENT_PID" >"$ROOT/pid"; ${well}`);
    expect(run.read("calls")).to.not.include(run.privateKey.split("\n")[1]);
    expect(readdirSync(run.root).sort()).to.deep.equal(
      ["agent", "bin", "calls", "key", "key.pub", "known_hosts", "pid", "script"].sort(),
    );
  });

  it("is killed, and no agent keeps the key", function () {
    this.timeout(40_000);
    // The whole of the operator's side; an agent looks for its parent every 10 s.
    const run = cleanUp(
      `echo "$SSH_AGENT_PID" >"$ROOT/pid"; [ "$verb" != remove ] || { kill -KILL "$PPID"; }; ${well}`,
    );
    expect(run.status).to.equal(null);
    const pid = Number(run.read("pid"));
    const alive = () => existsSync(`/proc/${pid}/comm`) && readFileSync(`/proc/${pid}/comm`, "utf8") === "ssh-agent\n";
    for (const end = Date.now() + 20_000; alive() && Date.now() < end;) spawnSync("sleep", ["0.5"]);
    expect(alive(), `ssh-agent ${pid}`).to.equal(false);
  });

  it("skips a host that does not answer while another one does, and says what stays there", () => {
    for (const what of ["Connection timed out", "No route to host"]) {
      const run = cleanUp(silent(itself, what));
      expect(run.status).to.equal(0);
      expect(run.read("known_hosts"), "it asks for that host's own key").to.equal("192.0.2.11 ssh-ed25519 AAAAkey11\n");
      expect(run.calls().filter((call) => call.includes("192.0.2.21"))).to.have.lengthOf(3);
      expect(run.stderr).to.match(
        /^tailkube: w1: no answer at 192\.0\.2\.21 port 2222, so nothing was cleaned there: .* Other hosts of the cluster do answer\. If the machine comes back/,
      );
      expect(run.read("tailkube-not-cleaned.log"), "kept, for a terminal shows it only for a moment").to.match(
        /^\d{4}-\d\d-\d\dT[\d:]+Z w1: no answer at 192\.0\.2\.21 port 2222, .*reinstall it .*\n$/,
      );
    }
  });

  it("fails where no host answers at all: it is this machine that may be offline", () => {
    for (const others of ["192.0.2.11:22,ssh-ed25519,AAAAkey11", ""]) {
      const run = cleanUp(silent(offline), { environment: { TAILKUBE_OTHER_HOSTS: others } });
      expect(run.status).to.equal(1);
      expect(run.stderr).to.match(
        /^tailkube: w1: no answer at 192\.0\.2\.21 port 2222, and no other host of the cluster presents its pinned host key/,
      );
      expect(run.stderr).to.include("TAILKUBE_FORGET=w1");
      expect(run.read("tailkube-not-cleaned.log")).to.equal("");
    }
  });

  for (const answer of [
    "Host key verification failed.",
    "ssh: connect to host 192.0.2.11 port 22: Connection refused",
  ]) {
    it(`takes no answer for one of the cluster's hosts but of that host itself: ${answer}`, () => {
      const run = cleanUp(silent(answer));
      expect(run.status).to.equal(1);
      expect(run.stderr).to.include(`(192.0.2.11:22: ${answer}; 192.0.2.12:22: ${answer})`);
      expect(run.stderr).to.include("this machine may be offline or in another network").and.to.include("FORGET=w1");
      expect(run.read("tailkube-not-cleaned.log")).to.equal("");
    });
  }

  for (const [what, said] of [
    [
      "its name does not resolve",
      "ssh: Could not resolve hostname w1.example.com: Temporary failure in name resolution",
    ],
    ["it refuses the connection", "ssh: connect to host 192.0.2.21 port 2222: Connection refused"],
    ["this machine has no network", "ssh: connect to host 192.0.2.21 port 2222: Network is unreachable"],
    ["ssh says nothing at all", ""],
    ["it takes the connection and is too busy to say more", "Connection timed out during banner exchange"],
    ["resolving its name takes too long", "ssh: Could not resolve hostname w1.example.com: Connection timed out"],
    [
      "it shows no key of the pinned one's type",
      "Unable to negotiate with 192.0.2.21 port 2222: no matching host key type found. Their offer: ssh-ed25519",
    ],
  ]) {
    it(`fails, and does not take the host for a dead one, if ${what}`, () => {
      const run = cleanUp(`echo '${said}' >&2; exit 255`);
      expect(run.status).to.equal(1);
      expect(run.stderr).to.match(/^tailkube: w1: 192\.0\.2\.21 port 2222 cannot be reached, so nothing was cleaned/);
      expect(run.stderr).to.include(said);
      expect(run.read("tailkube-not-cleaned.log")).to.equal("");
    });
  }

  it("skips a host that the operator says is gone, and no other", () => {
    const gone = "echo 'ssh: Could not resolve hostname w1' >&2; exit 255";
    const named = cleanUp(gone, { environment: { TAILKUBE_FORGET: "w2 w1" } });
    expect(named.status).to.equal(0);
    expect(named.read("tailkube-not-cleaned.log")).to.include(" w1: not cleaned, because TAILKUBE_FORGET names it");
    expect(cleanUp(gone, { environment: { TAILKUBE_FORGET: "w11" } }).status).to.equal(1);
    expect(cleanUp(well, { environment: { TAILKUBE_FORGET: "w1" } }).read("script"), "one that answers").to.not.equal(
      "",
    );
  });

  /** Another machine has the host's address. */
  const stranger = (others: string) => `case "$*" in
    *192.0.2.21*) printf 'REMOTE HOST IDENTIFICATION HAS CHANGED\\nHost key verification failed.\\n' >&2 ;;
    *) echo '${others}' >&2 ;;
    esac; exit 255`;

  it("fails where another machine answers in another network than the cluster's", () => {
    const run = cleanUp(stranger("Host key verification failed."));
    expect(run.status).to.equal(1);
    expect(run.stderr).to.match(
      /^tailkube: w1: a different machine answers at .* no other host of the cluster presents its pinned host key .* TAILKUBE_FORGET=w1/,
    );
    expect(run.read("tailkube-not-cleaned.log")).to.equal("");
    // Nothing else can be asked.
    const only = cleanUp(stranger(""), { environment: { TAILKUBE_OTHER_HOSTS: "" } });
    expect(only.status).to.equal(0);
  });

  it("leaves another machine alone", () => {
    const run = cleanUp(stranger(itself));
    expect(run.status).to.equal(0);
    expect(run.calls()).to.have.lengthOf(2);
    expect(run.stderr).to.match(/^tailkube: w1: a different machine answers at 192\.0\.2\.21 port 2222/);
    expect(run.read("tailkube-not-cleaned.log")).to.include(" w1: a different machine answers at 192.0.2.21 port 2222");
  });

  it("fails, and takes the host for no other machine, where this machine's disk is full", () => {
    const full = 'd=$(/usr/bin/mktemp -d) && mkdir "$d/known_hosts" && echo "$d"';
    const unknown = `for word; do case $word in UserKnownHostsFile=*) [ -f "\${word#*=}" ] || { echo "No ED25519 host key is known for 192.0.2.21. Host key verification failed." >&2; exit 255; } ;; esac; done; ${well}`;
    for (const mktemp of [full, 'echo "mktemp: No space left on device" >&2; exit 1']) {
      for (const file of ["run-cleanup", "run-guarded-stage"] as const) {
        const run = operator(file, unknown, { mktemp });
        expect(run.status).to.equal(1);
        expect(run.stderr).to.match(/tailkube: w1: .*cannot write temporary files/);
        expect(run.read("calls")).to.equal("");
        expect(run.read("tailkube-not-cleaned.log")).to.equal("");
      }
    }
  });

  it("fails where a host that is there lets nobody in, or was not cleaned whole", () => {
    const refused = cleanUp("echo 'admin@192.0.2.21: Permission denied (publickey).' >&2; exit 255");
    expect(refused.status).to.equal(1);
    expect(refused.stderr).to.match(/^tailkube: w1: admin cannot log in at 192\.0\.2\.21 port 2222/);
    const broken = cleanUp(
      `[ "$verb" != remove ] || { echo 'tailkube: w1: tailnet: tailscale logout failed' >&2; exit 1; }; ${well}`,
    );
    expect(broken.status).to.equal(1);
    expect(broken.stderr).to.equal(
      "tailkube: w1: tailnet: tailscale logout failed\ntailkube: w1: it could not be cleaned whole; run again\n",
    );
  });

  it("fails where the clean-up has cut the host off: one that came back by itself, and one that did not", () => {
    const back = cleanUp(well.replace("echo kept", "echo restored"));
    expect(back.status).to.equal(1);
    expect(back.stderr).to.match(
      /^tailkube: w1: this step cut the host off from 192\.0\.2\.21 port 2222, so the host restored/,
    );
    const away = cleanUp(
      well.replace("echo kept", "echo 'ssh: connect to host 192.0.2.21 port 2222: Connection timed out' >&2; exit 255"),
    );
    expect(away.status).to.equal(1);
    expect(away.stderr).to.match(
      /^tailkube: w1: 192\.0\.2\.21 port 2222 has not answered for 2 s since this step .*Connection timed out/,
    );
    expect(away.read("tailkube-not-cleaned.log")).to.equal("");
  });

  it("fails on a key that is none, before it goes anywhere", () => {
    const run = cleanUp(well, { key: "not a key" });
    expect(run.status).to.equal(1);
    expect(run.stderr).to.match(/^tailkube: w1: the private SSH key is refused/);
    expect(run.read("calls")).to.equal("");
  });
});

describe("operator/online.sh", () => {
  /**
   * `ssh` says so, by the host's address, unless the key that it has to find there is `key`; a name of TAILKUBE_FORGET is not
   * asked.
   */
  function online(said: Record<string, string>, forget = "") {
    const root = temporaryFolder();
    const cases = Object.entries(said).map(([address, text]) => `*" ${address} "*) echo '${text}' >&2 ;;`);
    write(
      `${root}/bin/ssh`,
      `#!/bin/bash
echo "$*" >>${root}/calls
for word; do case $word in UserKnownHostsFile=*) cat "\${word#*=}" >>${root}/known_hosts ;; esac; done
case "$*" in ${cases.join("\n")} esac; exit 255\n`,
      0o755,
    );
    const script = ["answers", "online"].map((name) => scriptText(`operator/${name}.sh`)).join("\n");
    const { status, stderr } = spawnSync("bash", ["--norc", "-c", script], {
      encoding: "utf8",
      env: {
        PATH: `${root}/bin:${process.env.PATH}`,
        TMPDIR: root,
        TAILKUBE_HOSTS: "cp1=cp1.example.com:22,ssh-ed25519,AAAA1= w1=192.0.2.21:2222,ssh-ed25519,AAAA2==",
        TAILKUBE_FORGET: forget,
      },
    });
    expect(readdirSync(root).filter((name) => name.startsWith("tmp"))).to.deep.equal([]);
    const known = existsSync(`${root}/known_hosts`) ? readFileSync(`${root}/known_hosts`, "utf8") : "";
    return { status, stderr, known, asked: existsSync(`${root}/calls`) };
  }
  const unresolved = "ssh: Could not resolve hostname cp1.example.com: Name or service not known";

  it("is content with one host that shows its own key, whatever the others do", () => {
    for (const others of [unresolved, "Host key verification failed.", "Connection timed out"]) {
      const run = online({
        "cp1.example.com": others,
        "192.0.2.21": "nobody@192.0.2.21: Permission denied (publickey).",
      });
      expect(run).to.deep.include({ status: 0, stderr: "" });
      expect(run.known).to.equal("cp1.example.com ssh-ed25519 AAAA1=\n[192.0.2.21]:2222 ssh-ed25519 AAAA2==\n");
    }
  });

  it("fails where none does, with what each has said and the way on", () => {
    const { status, stderr } = online({ "cp1.example.com": unresolved, "192.0.2.21": "Network is unreachable" });
    expect(status).to.equal(1);
    expect(stderr)
      .to.match(/^tailkube: none of the hosts can be reached, so nothing was removed .*\n$/)
      .and.include(`(cp1: ${unresolved}; w1: Network is unreachable)`)
      .and.include('TAILKUBE_FORGET="cp1 w1"');
  });

  it("fails in a network in which other machines have the hosts' addresses", () => {
    for (const said of [
      "Host key verification failed.",
      "ssh: connect to host 192.0.2.21 port 2222: Connection refused",
    ]) {
      const { status, stderr } = online({ "cp1.example.com": said, "192.0.2.21": said });
      expect(status).to.equal(1);
      expect(stderr).to.include(`(cp1: ${said}; w1: ${said})`);
    }
  });

  it("goes on where the operator says that all machines are gone", () => {
    expect(online({}, "w1 cp1")).to.deep.equal({ status: 0, stderr: "", known: "", asked: false });
    expect(online({ "192.0.2.21": "Connection timed out" }, "cp1").status).to.equal(1);
  });
});

describe("operator/run-guarded-stage.sh", () => {
  const answers = well.replace("*) cat", `apply) cat >"$ROOT/script"; echo '{"changed":[]}' ;; *) cat`);

  it("prints the result when the host has been reached again from outside", () => {
    const run = operator("run-guarded-stage", answers);
    expect({ status: run.status, stdout: run.stdout, stderr: run.stderr }).to.deep.equal({
      status: 0,
      stdout: '{"changed":[]}\n',
      stderr: "",
    });
    expect(run.read("script")).to.equal("the host's script\nsecond line");
    expect(run.calls().map((call) => call.split(" ").pop())).to.deep.equal(["begin", "apply", "confirm"]);
  });

  it("connects again and again while the stage runs", () => {
    const run = operator(
      "run-guarded-stage",
      answers.replace('{"changed":[]}', "{}").replace("apply) ", "apply) /bin/sleep 3.5; "),
      {
        environment: { TAILKUBE_BEAT: "1" },
      },
    );
    expect(run.status).to.equal(0);
    expect(run.calls().filter((call) => call.endsWith(" alive")).length).to.be.within(2, 4);
  });

  it("waits for a machine that boots", () => {
    const boots = `[ "$(wc -l <"$ROOT/calls")" -gt 5 ] || { echo 'Connection refused' >&2; exit 255; }; ${answers}`;
    expect(operator("run-guarded-stage", boots).status).to.equal(0);
    const never = operator(
      "run-guarded-stage",
      "echo 'ssh: connect to host 192.0.2.21 port 2222: Connection refused' >&2; exit 255",
    );
    expect(never.status).to.equal(1);
    expect(never.stderr).to.match(
      /^tailkube: w1: 192\.0\.2\.21 port 2222 cannot be logged in to as admin: .*refused\n$/,
    );
  });

  it("gives no script to another machine", () => {
    const run = operator("run-guarded-stage", "echo 'Host key verification failed.' >&2; exit 255");
    expect(run.status).to.equal(1);
    expect(run.calls()).to.have.lengthOf(1);
    expect(run.stderr).to.match(/^tailkube: w1: a different machine answers at 192\.0\.2\.21 port 2222/);
  });

  it("fails with the stage's own words, and confirms a host that can still be reached", () => {
    const run = operator(
      "run-guarded-stage",
      answers.replace("apply) ", "apply) echo 'tailkube: w1: tailnet: no' >&2; exit 1;"),
    );
    expect({ status: run.status, stdout: run.stdout, stderr: run.stderr }).to.deep.equal({
      status: 1,
      stdout: "",
      stderr: "tailkube: w1: tailnet: no\n",
    });
    expect(run.calls().pop()).to.match(/ confirm$/);
  });

  it("fails where the stage has cut the host off, though its own script ended well", () => {
    const run = operator("run-guarded-stage", answers.replace("echo kept", "echo restored"));
    expect(run.status).to.equal(1);
    expect(run.stdout).to.equal("");
    expect(run.stderr).to.match(/^tailkube: w1: this step cut the host off/);
  });

  it("does not wait for a connection that hangs when the host has come back by itself", () => {
    const hangs = answers
      .replace("apply) ", "apply) exec /bin/sleep 20;")
      .replace("begin | alive) echo counting", "begin) echo counting ;; alive) echo restored")
      .replace("echo kept", "echo restored");
    const start = Date.now();
    const run = operator("run-guarded-stage", hangs, { environment: { TAILKUBE_BEAT: "1" } });
    expect(run.status).to.equal(1);
    expect(run.stderr).to.match(/^tailkube: w1: this step cut the host off/);
    expect(Date.now() - start).to.be.below(15_000);
  });
});

describe("stages/cleanup.sh", () => {
  /** Which stages' removals run on a host where these stages have written down what they own. */
  function undone(...owners: string[]) {
    const root = temporaryFolder();
    for (const stage of owners) write(`${root}/var/lib/tailkube/owned.${stage}`, "");
    return bashOk(
      withLibrary(
        root,
        [
          assignments({ TK_ROLE: "worker", TK_BUNDLE: "" }),
          scriptText("stages/cleanup.sh"),
          'guard_network() { echo "guard $1"; }',
          'unit_stop() { echo "stop $1"; }',
          "reset_node() { echo reset_node; }",
          'clean_up_files() { echo "files of $TK_STAGE"; }',
          'remove_runtime() { echo "runtime as $TK_STAGE"; }',
          'remove_tailnet() { echo "tailnet as $TK_STAGE"; }',
          "remove",
        ].join("\n"),
        "cleanup",
      ),
    )
      .trim()
      .split("\n");
  }

  it("takes away every stage, the newest first", () => {
    expect(undone("tailnet", "runtime", "peers", "control-plane")).to.deep.equal([
      "guard remove",
      "stop tailkube-endpoint.service",
      "stop tailkube-load-balancer.service",
      "stop tailkube-approve.timer",
      "reset_node",
      "files of upgrade",
      "files of control-plane",
      "files of join",
      "files of peers",
      "runtime as runtime",
      "tailnet as tailnet",
      '{"changed":[]}',
    ]);
  });

  it("takes the automatic snapshots of etcd away, and none that the user has put beside them", () => {
    const root = temporaryFolder();
    const folder = `${root}/var/lib/tailkube/snapshots`;
    for (const name of ["auto-1-1.36.1.db", "auto-2-1.36.2.db.part", "mine.db"]) write(`${folder}/${name}`, "data");
    write(`${root}/var/lib/tailkube/owned.control-plane`, "");
    write(`${root}/var/lib/tailkube/owned.upgrade`, `${folder}\n${folder}/auto-1-1.36.1.db\n`);
    const text = [
      assignments({ TK_ROLE: "control-plane", TK_BUNDLE: "" }),
      scriptText("stages/cleanup.sh"),
      "guard_network() { :; }; unit_stop() { :; }; reset_node() { :; }",
      "remove",
    ].join("\n");
    bashOk(withLibrary(root, text, "cleanup"));
    expect(Object.keys(snapshot(`${root}/var/lib/tailkube`))).to.deep.equal(["snapshots", "snapshots/mine.db"]);
  });

  it("does nothing for a stage that has never run", () => {
    expect(undone("tailnet")).to.deep.equal(["guard remove", "tailnet as tailnet", '{"changed":[]}']);
    expect(undone()).to.deep.equal(['{"changed":[]}']);
  });

  describe("at its end", () => {
    /** A control plane whose endpoint and rules come back while it is cleaned; `stuck` stays whatever is done. */
    function host(network: "tailnet" | "lan", stuck = "nothing") {
      const root = temporaryFolder();
      write(`${root}/etc/tailkube/endpoint.env`, "TAILKUBE_ENDPOINT=10.200.0.1\nTAILKUBE_ENDPOINT_PORT=6443\n");
      write(`${root}/etc/tailkube/node.env`, "TAILKUBE_ADDRESS=100.64.0.1\nTAILKUBE_POD_CIDR=10.50.0.0/16\n");
      for (const stage of ["control-plane", network]) write(`${root}/var/lib/tailkube/owned.${stage}`, "");
      const theirs = ["0:\tfrom all lookup local", "5300:\tfrom all lookup 7"];
      write(`${root}/rules`, `${theirs.join("\n")}\n`);
      for (const file of ["routes", "addresses"]) write(`${root}/${file}`, "");
      const run = (text = "remove") =>
        bash(
          withLibrary(
            root,
            [
              assignments({ TK_ROLE: "control-plane", TK_BUNDLE: "", ROOT: root, STUCK: stuck }),
              ...partsOf("cleanup").map(scriptText),
              'mkdir -p "$TK_RUN"',
              "sleep() { SECONDS=$((SECONDS + 5)); }",
              `guard_network() { :; }
              unit_stop() { :; }
              reset_node() { :; }
              removed() {
                  rm -rf "$TK_ETC" "$TK_STATE/owned.$TK_STAGE"
                  echo "1: lo inet 10.200.0.1/32 scope global lo" >"$ROOT/addresses"
                  printf '5201:\\tfrom all to 10.200.0.1 lookup 52\\n9:\\tfrom all fwmark 0x200/0xf00 lookup 2004\\n' >>"$ROOT/rules"
                  echo "10.50.2.0/24 via 192.0.2.12 dev eth0" >"$ROOT/routes"
              }
              remove_tailnet() { removed; }
              remove_lan() { removed; }
              ip() { case "$*" in
                "-o -4 address show dev lo to 10.200.0.1/32") cat "$ROOT/addresses" ;;
                "address del 10.200.0.1/32 dev lo") [ "$STUCK" = address ] || : >"$ROOT/addresses" ;;
                "-o -4 address show to 10.200.0.1/32") cat "$ROOT/vip" ;;
                "address del 10.200.0.1/32 dev eth1") [ "$STUCK" = address ] || : >"$ROOT/vip" ;;
                "-4 rule show") cat "$ROOT/rules" ;;
                "-4 rule del pref "*) [ "$STUCK" = rule ] || sed -i "/^$5:/d" "$ROOT/rules" ;;
                "-4 route show root 10.50.0.0/16") cat "$ROOT/routes" ;;
                "-4 route flush root 10.50.0.0/16") : >"$ROOT/routes" ;;
              esac; }`,
              text,
            ].join("\n"),
            "cleanup",
          ),
        );
      const left = () =>
        ["addresses", "rules", "routes"].map((file) => readFileSync(`${root}/${file}`, "utf8").trim()).join("|");
      return { root, run, left, theirs: theirs.join("\n") };
    }

    it("takes away what has come back of the endpoint, rules and routes, and nothing else", () => {
      for (const network of ["tailnet", "lan"] as const) {
        const { root, run, left, theirs } = host(network);
        const { status, stderr } = run();
        expect({ status, stderr }).to.deep.equal({ status: 0, stderr: "" });
        // In a lan there is no endpoint of this program's, and no rule; in a tailnet no route.
        const rest = network === "lan" ? "5201:\tfrom all to 10.200.0.1 lookup 52" : "";
        const routes = network === "lan" ? "" : "10.50.2.0/24 via 192.0.2.12 dev eth0";
        expect(left()).to.equal(`|${[theirs, rest].filter(Boolean).join("\n")}|${routes}`);
        expect(existsSync(`${root}/var/lib/tailkube`)).to.equal(false);
      }
    });

    it("takes a virtual IP from whichever interface has it", () => {
      const { root, run } = host("lan");
      write(
        `${root}/etc/tailkube/endpoint.env`,
        "TAILKUBE_ENDPOINT=10.200.0.1\nTAILKUBE_ENDPOINT_PORT=6443\nTAILKUBE_NODE=cp1\nTAILKUBE_ADDRESS=192.0.2.11\n",
      );
      write(`${root}/vip`, "2: eth1    inet 10.200.0.1/32 scope global deprecated dynamic eth1\n");
      const stuck = run("STUCK=address; remove");
      expect(stuck.status).to.equal(1);
      expect(stuck.stderr).to.match(
        /: cleanup: the endpoint's address cannot be removed .*: 10\.200\.0\.1\/32 on eth1\n$/,
      );
      expect(run().status).to.equal(0);
      expect(readFileSync(`${root}/vip`, "utf8")).to.equal("");
      expect(existsSync(`${root}/var/lib/tailkube`)).to.equal(false);
    });

    it("fails and names what cannot be removed, and so does the next run", () => {
      for (const [stuck, line] of [
        ["address", /: cleanup: the endpoint's address cannot be removed .*: 10\.200\.0\.1\/32\n$/],
        ["rule", /: cleanup: what leads to Cilium's routing tables cannot be removed: -4 rule 9: from all .*\n$/],
      ] as const) {
        const { run } = host("tailnet", stuck);
        for (const { status, stderr } of [run(), run()]) {
          expect(status).to.equal(1);
          expect(stderr).to.match(line);
        }
        expect(run("STUCK=; remove").status).to.equal(0);
      }
    });
  });

  it(`is finished by the next run, wherever it was killed (${placesTried})`, function () {
    this.timeout(isThorough ? 900_000 : 120_000);
    const stages = ["tailnet", "runtime", "control-plane", "upgrade"];
    /** A host on which each stage has made a file and replaced one, and the stages' own ways out with what has to follow. */
    function host() {
      const root = temporaryFolder();
      for (const stage of stages) write(`${root}/etc/${stage}.theirs`, "theirs", 0o640);
      mkdirSync(`${root}/var/lib`, { recursive: true });
      const before = files(root);
      for (const stage of stages) {
        bashOk(
          withLibrary(
            root,
            `install_text ${root}/etc/${stage}.theirs 0644 ours; install_text ${root}/etc/new/${stage} 0644 ours
            own "$TK_STATE/of-${stage}"; record "$TK_STATE/of-${stage}" x`,
            stage,
          ),
        );
      }
      return { root, before };
    }
    const files = (root: string) =>
      Object.fromEntries(Object.entries(snapshot(root)).filter(([path]) => !/^(run|done)\b/.test(path)));
    const text = (root: string, step: number) =>
      withLibrary(
        root,
        [
          assignments({ TK_ROLE: "control-plane", TK_BUNDLE: "", ROOT: root }),
          scriptText("stages/cleanup.sh"),
          "guard_network() { :; }",
          "unit_stop() { :; }",
          "reset_node() { :; }",
          'remove_tailnet() { restore_files; [ ! -e "$TK_STATE/of-tailnet" ] || echo tailnet >>"$ROOT/done"; forget_files; }',
          'remove_runtime() { restore_files; [ ! -e "$TK_STATE/of-runtime" ] || echo runtime >>"$ROOT/done"; forget_files; }',
          `( steps=0; set -T; trap 'steps=$((steps + 1)); [ $steps != ${step} ] || kill -KILL $BASHPID' DEBUG; remove >/dev/null; trap - DEBUG; echo $steps ) || true`,
        ].join("\n"),
        "cleanup",
      );
    const whole = host();
    const steps = Number(bashOk(text(whole.root, 0)));
    expect(files(whole.root)).to.deep.equal(whole.before);
    expect(steps).to.be.greaterThan(80);
    for (const step of someOf(steps, 4)) {
      const { root, before } = host();
      bash(text(root, step));
      const between = Object.keys(files(root));
      expect(between, `step ${step}`).to.include.members(stages.map((stage) => `etc/${stage}.theirs`));
      bashOk(text(root, 0));
      expect(files(root), `killed at step ${step} of ${steps}`).to.deep.equal(before);
      // What has to follow the files is done once more rather than never.
      expect(new Set(readFileSync(`${root}/done`, "utf8").trim().split("\n"))).to.deep.equal(
        new Set(["runtime", "tailnet"]),
      );
    }
    // When its last record had gone, and the folder had not.
    const { root, before } = host();
    bash(
      `rmdir() { compgen -G "$TK_STATE/owned.*" >/dev/null || kill -KILL $BASHPID; command rmdir "$@"; }\n${text(root, 0)}`,
    );
    expect(existsSync(`${root}/var/lib/tailkube`)).to.equal(true);
    bashOk(text(root, 0));
    expect(files(root)).to.deep.equal(before);
  });
});
