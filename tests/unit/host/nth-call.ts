/**
 * Runs a stage, its text as it is sent to a host, in a root folder of its own: the machine's programs can be read there
 * and nothing else, and every command by which a stage reaches something outside of its files is a fake, which
 * FakeCluster answers. One of the calls can be made to fail.
 */
import { createHash } from "node:crypto";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { snapshot, write } from "./bash";
import type { Answer, FakeCluster } from "./fake-cluster";
import { stub } from "./fake-host";

/**
 * Commands that are fakes on a host of the harness. `approve` stands for a script of this program that has tests of its own, `destroy` for what
 * the engine does once a script of the operator's machine lets it.
 */
const commands = [
  "kubectl kubeadm ctr systemctl curl ip tc nft sysctl modprobe logger tailscale tailscaled",
  "kubelet containerd apt-get apt-cache apt-mark dpkg dpkg-query gpg pkill umount mount ipset ethtool journalctl",
  "systemd-run iptables-nft-save iptables-nft-restore ip6tables-nft-save ip6tables-nft-restore networkctl nmcli ping ssh approve destroy",
].join(" ").split(" "); // prettier-ignore

const ofOurs = new Set(["approve", "destroy"]);

/** once: one call is refused; always: each such call from there on; lost: it was done, but the answer did not come in time. */
export type Mode = "once" | "always" | "lost";

export interface Fault {
  /** The call as `Call.text` has it, and which of the calls with this text. */
  text: string;
  occurrence: number;
  /** What `Call.about` has. */
  about: string;
  mode: Mode;
}

export interface Call {
  text: string;
  occurrence: number;
  /** Kinds and names of the objects that it gets on stdin. */
  about: string;
  change: boolean;
}

export interface Run {
  calls: Call[];
  status: number | undefined;
  stdout: string;
  stderr: string;
  /** What the cluster and the host's files are afterwards. */
  end: Record<string, string>;
}

/** What differs in each run. */
const plain = (text: string) =>
  text
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)/g, "TIME")
    .replace(/\d{8}T\d{6}Z/g, "TIME")
    .replace(/^(\d+ )[0-9a-f]{32}$/gm, "$1NONCE")
    .replace(/--exec-id \S+/g, "--exec-id ID")
    .replace(/\bquestion\.\d+/g, "question.PID")
    .replace(/\/tmp\/tmp\.\w{10}\b/g, "/tmp/tmp.NAME")
    .replace(/(bootstrap-token-)(?!abcdef|123456)[a-z0-9]{6}\b/g, "$1ID");

/** Calls that change nothing; all others do. The text after the command and its options. */
const questions: [string, RegExp][] = [
  ["kubectl", /^(get|version|rollout status|auth|api-resources|explain|wait|logs)\b/],
  ["kubectl", /^exec \S+ -- etcdctl .*(member list|endpoint (health|status)|alarm list|\bget) ?/],
  ["kubeadm", /^(version|certs check-expiration|config images|kubeconfig user)/],
  ["ctr", /^(version|containers ls|tasks ls|images (ls|pull)|tasks exec .*(member list|endpoint (health|status)|etcdctl .*\bget\b|etcdutl|snapshot save|alarm list))/],
  ["systemctl", /^(is-active|is-enabled|is-failed|show|list-units|list-unit-files|cat|status|is-system-running)/],
  ["curl", /^(?!.*(-X|--request) (PATCH|POST|PUT|DELETE))/],
  ["ssh", / true$/],
  ["ip", /^(-\S+ )*(addr|address|link|route|rule|neigh) (show|list|get)/],
  ["tc", /^filter show/],
  ["ipset", /^list\b/],
  ["nft", /^(list|-j list|-a list)/],
  ["sysctl", /^-n/],
  ["tailscale", /^(status|ip|debug prefs|version|--version|netcheck|wait|ping)/],
  ["apt-get", /^(.* )?(update|--download-only|--simulate)\b/],
  ["apt-mark", /^show/],
  ["dpkg", /^(-S|-s|-l|--search|--compare-versions|--audit|-C)/],
]; // prettier-ignore
const alwaysQuestions =
  /^(kubelet|containerd|tailscaled|apt-cache|dpkg-query|modprobe|gpg|journalctl|ping|\S+-save|approve)$/;

export function isChange(command: string, text: string): boolean {
  if (alwaysQuestions.test(command)) return false;
  const bare = text
    .replace(/^(-n k8s\.io|--request-timeout=\S+|--kubeconfig \S+|--server \S+|-n \S+|--namespace \S+) /, "")
    .replace(/^((-n k8s\.io|--request-timeout=\S+|--kubeconfig \S+|--server \S+|-n \S+) )+/, "");
  return !questions.some(([of, pattern]) => of === command && pattern.test(bare));
}

const environment = (port: number, run: string, present: readonly string[]) => `
TK_FAKE_PORT=${port} TK_FAKE_RUN=\${TK_FAKE_QUIET:-}${run}
tk_fake() {
    local - IFS=$' \\t\\n' input= connection status seconds out err
    set +eEux
    case "$1 $*" in *"-nft-restore "*) IFS= read -r -d '' input ;; "kubectl "*" -f -"* | "kubectl "*"--patch-file"* | "nft "*" -f -"* | *" /dev/stdin"*) IFS= read -r -d '' input ;; esac
    exec {connection}<>"/dev/tcp/127.0.0.1/$TK_FAKE_PORT" || return 97
    printf '%s\\0' "$TK_FAKE_RUN" "$#" "$input" "$@" >&"$connection"
    IFS= read -r -d '' status <&"$connection" && IFS= read -r -d '' seconds <&"$connection" &&
        IFS= read -r -d '' out <&"$connection" && IFS= read -r -d '' err <&"$connection" || status=98
    exec {connection}>&-
    [ "$seconds" = 0 ] || echo "$seconds" >>/run/clock
    [ -z "$out" ] || printf '%s' "$out"
    [ -z "$err" ] || printf '%s\\n' "$err" >&2
    return "$status"
}
${present.map((name) => `${name}() { tk_fake ${name} "$@"; }`).join("\n")}
# What runs hundreds of times in a stage, without a process for each. Power is never lost here.
sync() { :; }
dirname() { local tk_path=\${!#} && tk_path=\${tk_path%/*} && printf '%s\\n' "\${tk_path:-/}"; }
mkdir() { [ "$#:\$1" = 2:-p ] && [ -d "$2" ] || command mkdir "$@"; }
# Pauses pass ten times as fast, and what a call has taken passes with the next pause. A real second is as good as none. A run whose
# clock has passed the bound would never end, and is ended.
sleep() {
    local tk_seconds=\${1%%[!0-9]*} tk_more
    SECONDS=$((SECONDS + (tk_seconds > 0 ? tk_seconds * 10 : 5)))
    if [ -s /run/clock ]; then
        while read -r tk_more; do SECONDS=$((SECONDS + tk_more)); done </run/clock
        : >/run/clock
    fi
    [ "$SECONDS" -lt ${clockBound} ] || tk_fake ${tooLate}
}
`;

/** Why the harness cannot run here, or nothing. */
export function whyNot(): string | undefined {
  const tried = spawnSync(namespaces[0]!, [...namespaces.slice(1), "true"], { encoding: "utf8" });
  if (tried.error) return `unshare cannot be run: ${tried.error.message}`;
  return tried.status === 0 ? undefined : `no mount namespace of its own: ${tried.stderr.trim()}`;
}

const namespaces = [
  "unshare",
  ...(process.getuid?.() === 0 ? [] : ["--map-root-user"]),
  "--mount",
  "--pid",
  "--fork",
  "--kill-child",
];

const folders = [
  "etc/systemd/system",
  "var/lib",
  "var/log",
  "var/cache",
  "run",
  "tmp",
  "opt",
  "root",
  "usr/local/bin",
  "usr/local/sbin",
  "usr/libexec",
];

/** What a run says whose clock has passed the bound. */
const tooLate = "too-late";
/** Seconds of a run's own clock after which it is not bounded in time: more than all waits of any stage together. */
const clockBound = 7200;
/** Seconds of the machine's, for a run that hangs without a pause: on a machine that others use, a run takes minutes. */
const realBound = 1800;

/** Mounts the machine's programs below the root and enters it, without any right over the machine. */
const enter = (root: string) => `
set -e
mount --make-rprivate /
for folder in bin sbin lib lib64; do
    [ -d /usr/$folder ] && [ ! -L /usr/$folder ] || continue
    mkdir -p ${root}/usr/$folder
    mount --bind /usr/$folder ${root}/usr/$folder
    mount -o remount,bind,ro ${root}/usr/$folder
done
# The machine's own of these would be found.
for name in $2; do
    for file in ${root}/usr/bin/$name ${root}/usr/sbin/$name; do [ ! -e "$file" ] || mount --bind ${root}/run/none "$file"; done
done
mount -t proc proc ${root}/proc 2>/dev/null || mount --rbind /proc ${root}/proc
mount --bind ${root}/run/sys ${root}/proc/sys
for file in null zero urandom; do mount --bind /dev/$file ${root}/dev/$file; done
exec chroot ${root} setpriv --inh-caps=-all --bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+kill \\
    env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin BASH_ENV=/run/fakes timeout --signal=KILL ${realBound} bash -c "$3" bash "$1"
`;

const kernelSettings = [
  "net/ipv4/ip_forward",
  "net/ipv4/conf/all/rp_filter",
  "net/ipv4/conf/default/rp_filter",
  "net/ipv4/conf/all/src_valid_mark",
  "net/ipv4/conf/eth0/rp_filter",
  "fs/inotify/max_user_instances",
  "fs/inotify/max_user_watches",
];

/** What the operator's machine tells the host's guard after a stage, whatever its calls: they are none of the stage's. */
const confirmed = `bash -s -- "$1"; status=$?
guard=/var/lib/tailkube/guard/guard
if [ -e "$guard" ]; then TK_FAKE_QUIET=quiet- bash "$guard" confirm >/dev/null; fi
exit "$status"`;

/** A root folder as a fresh host has it. */
export function freshRoot(): string {
  const above = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const root = mkdtempSync(join(above, "tailkube-root-"));
  layOut(root);
  return root;
}

function layOut(root: string): void {
  for (const folder of [...folders, "dev", "proc", "usr/bin", "usr/sbin", "usr/lib", "lib"])
    mkdirSync(join(root, folder), { recursive: true });
  for (const file of ["null", "zero", "urandom"]) write(join(root, "dev", file), "");
  symlinkSync("/proc/self/fd", join(root, "dev/fd"));
  for (const [link, to] of [
    ["bin", "usr/bin"],
    ["sbin", "usr/sbin"],
    ["lib64", "usr/lib64"],
  ] as const) {
    if (existsSync(`/${link}`)) symlinkSync(to, join(root, link));
  }
  // Stages make folders in it.
  for (const entry of readdirSync("/usr/lib")) {
    if (entry !== "modules") symlinkSync(`/usr/lib/${entry}`, join(root, "lib", entry));
  }
  mkdirSync(join(root, "lib/modules"));
  if (existsSync("/etc/ld.so.cache")) write(join(root, "etc/ld.so.cache"), "");
  if (existsSync("/etc/alternatives")) {
    for (const name of ["awk"]) {
      mkdirSync(join(root, "etc/alternatives"), { recursive: true });
      symlinkSync(realpathSync(`/usr/bin/${name}`), join(root, "etc/alternatives", name));
    }
  }
  write(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/bash\n");
  write(join(root, "etc/group"), "root:x:0:\n");
  write(join(root, "etc/os-release"), 'ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian"\n');
  for (const name of commands.filter((command) => !ofOurs.has(command))) {
    write(join(root, "usr/local/sbin", name), stub(name), 0o755);
  }
  write(join(root, "run/none"), "");
  // Settings that this kernel has: those of the machine come and go with its interfaces.
  for (const key of kernelSettings) write(join(root, "run/sys", key), "");
}

/** Answers the fakes of all runs. */
export class FakeServer {
  private readonly runs = new Map<string, (argv: string[], stdin: string) => Answer & { seconds: number }>();
  private server: Server | undefined;
  private count = 0;

  async start(): Promise<void> {
    this.server = createServer((socket) => {
      let received = Buffer.alloc(0);
      let answered = false;
      socket.on("error", () => undefined);
      socket.on("data", (data) => {
        received = Buffer.concat([received, data]);
        const parts = received.toString("utf8").split("\0");
        if (answered || parts.length < 4 || parts.length - 1 < 3 + Number(parts[1])) return;
        answered = true;
        const handle = this.runs.get(parts[0]!);
        const answer = handle?.(parts.slice(3, 3 + Number(parts[1])), parts[2]!) ?? {
          status: 96,
          stdout: "",
          stderr: "",
          seconds: 0,
        };
        socket.end(`${answer.status}\0${answer.seconds}\0${answer.stdout}\0${answer.stderr}\0`);
      });
    });
    await new Promise<void>((resolve) => this.server!.listen(0, "127.0.0.1", resolve));
  }
  stop(): void {
    this.server?.close();
  }

  /** Runs a stage's text against a cluster, with at most one fault; and the guard's confirmation after it, if asked for. */
  async stage(cluster: FakeCluster, text: string, verb: string, fault?: Fault, { confirm = false } = {}): Promise<Run> {
    const id = `r${(this.count += 1)}`;
    const calls: Call[] = [];
    const seen = new Map<string, number>();
    const broken: string[] = [];
    this.runs.set(id, (argv, stdin) => {
      const command = argv[0]!;
      if (command === tooLate) {
        child.kill("SIGKILL");
        return { status: 137, stdout: "", stderr: "", seconds: 0 };
      }
      const said = plain(argv.join(" ").replace(/\n/g, "\\n"));
      const occurrence = (seen.get(said) ?? 0) + 1;
      seen.set(said, occurrence);
      // A line in the journal is no question and changes nothing.
      if (command !== "logger")
        calls.push({
          text: said,
          occurrence,
          about: [...stdin.matchAll(/\b(?:kind|name): *"?([\w.-]+)/g)].map(([, word]) => word).join(" "),
          change: isChange(command, said.slice(command.length + 1)),
        });
      const hit =
        fault !== undefined &&
        said === fault.text &&
        (fault.mode === "always" ? occurrence >= fault.occurrence : occurrence === fault.occurrence);
      if (hit && fault.mode !== "lost") return { ...refused(argv), seconds: 1 };
      let answer: Answer;
      try {
        answer = cluster.run(command, argv.slice(1), stdin);
      } catch (error) {
        broken.push(String(error));
        answer = { status: 95, stdout: "", stderr: `harness: ${String(error)}` };
      }
      return hit ? { ...timedOut(argv), seconds: boundOf(argv) } : { ...answer, seconds: 0 };
    });
    this.runs.set(`quiet-${id}`, (argv, stdin) => ({ ...cluster.run(argv[0]!, argv.slice(1), stdin), seconds: 0 }));
    const present = commands.filter((name) => ofOurs.has(name) || cluster.host.has(name));
    write(`${cluster.root}/run/fakes`, environment((this.server!.address() as AddressInfo).port, id, present));
    // From a file, which bash reads in blocks; from a pipe it would take every byte of the text by itself.
    const textFile = `${cluster.root}.stage`;
    write(textFile, text);
    const stdin = openSync(textFile, "r");
    const child = spawn(
      namespaces[0]!,
      [
        ...namespaces.slice(1),
        "bash",
        "-c",
        enter(cluster.root),
        "enter",
        verb,
        [...cluster.host.missing].join(" "),
        confirm ? confirmed : 'exec bash -s -- "$1"',
      ],
      {
        stdio: [stdin, "pipe", "pipe"],
      },
    );
    const { status, stdout, stderr } = await finished(child).finally(() => closeSync(stdin));
    this.runs.delete(id);
    this.runs.delete(`quiet-${id}`);
    if (broken.length > 0) throw new Error(`the fakes lack an answer: ${broken.join("; ")}`);
    return { calls, status, stdout, stderr, end: endOf(cluster) };
  }
}

function finished(child: ChildProcess): Promise<{ status: number | undefined; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    let stdout = "";
    let stderr = "";
    child.stdout!.on("data", (data: Buffer) => (stdout += data.toString()));
    child.stderr!.on("data", (data: Buffer) => (stderr += data.toString()));
    child.on("error", reject);
    child.on("close", (status) => resolve({ status: status ?? undefined, stdout, stderr }));
  });
}

/** What a command says when that fault hits it. */
export function saidOf({ text, mode }: Fault): string {
  const argv = text.split(" ");
  return (mode === "lost" ? timedOut(argv) : refused(argv)).stderr;
}

/** What curl prints of a request that got no answer. */
function noStatus(argv: string[]): string {
  if (argv.includes("-w")) return "000";
  return argv.includes("--write-out") ? "\nstatus 000\n" : "";
}
const host = (argv: string[]) => argv[argv.length - 2] ?? "";
function refused(argv: string[]): Answer {
  if (argv[0] === "curl")
    return { status: 7, stdout: noStatus(argv), stderr: "curl: (7) Failed to connect: No route to host" };
  if (argv[0] === "kubectl")
    return { status: 1, stdout: "", stderr: "Error from server: etcdserver: request timed out" };
  if (argv[0] === "ssh")
    return { status: 255, stdout: "", stderr: `ssh: connect to host ${host(argv)}: No route to host` };
  return { status: 1, stdout: "", stderr: `${argv[0]}: input/output error` };
}
function timedOut(argv: string[]): Answer {
  if (argv[0] === "curl") return { status: 28, stdout: noStatus(argv), stderr: "curl: (28) Operation timed out" };
  if (argv[0] === "kubectl")
    return {
      status: 1,
      stdout: "",
      stderr:
        "Unable to connect to the server: net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
    };
  if (argv[0] === "ssh")
    return { status: 255, stdout: "", stderr: `ssh: connect to host ${host(argv)}: Connection timed out` };
  return { status: 124, stdout: "", stderr: "" };
}
/** Seconds after which a command itself gives up. */
function boundOf(argv: string[]): number {
  const bound = /(?:--request-timeout=|--max-time |--command-timeout=|--timeout=)(\d+)/.exec(argv.join(" "));
  return Number(bound?.[1] ?? 10);
}

/** All that a run can find on a host and in its cluster, as one short text: the same for what differs in each run only. */
export function stateOf(cluster: FakeCluster): string {
  const hash = createHash("sha256");
  const seen = new Set<unknown>();
  const plainJson = (_: string, value: unknown): unknown => {
    if (typeof value !== "object" || value === null) return value;
    if ((value === cluster || value === cluster.host) && seen.has(value)) return undefined;
    seen.add(value);
    return value instanceof Set ? [...(value as Set<unknown>)] : value;
  };
  hash.update(plain(JSON.stringify(cluster, plainJson).split(cluster.root).join("ROOT")));
  for (const folder of ["etc", "var", "opt", "root", "run", "srv", "tmp", "usr", "lib/modules"]) {
    if (!existsSync(join(cluster.root, folder))) continue;
    for (const [path, content] of Object.entries(snapshot(join(cluster.root, folder)))) {
      // The harness's own, and the process that has held the lock.
      if (folder === "run" && /^(fakes|tailkube\/(lock|failed\.\d+)|none|sys)/.test(path)) continue;
      hash.update(plain(`\0${folder}/${path}\0${content}`));
    }
  }
  return hash.digest("hex");
}

/** The host's files of account, and the cluster. */
export function endOf(cluster: FakeCluster): Record<string, string> {
  const files: Record<string, string> = {};
  for (const folder of ["etc", "var/lib", "opt", "usr/local", "usr/libexec", "usr/share", "lib/modules"]) {
    if (!existsSync(join(cluster.root, folder))) continue;
    for (const [path, content] of Object.entries(snapshot(join(cluster.root, folder)))) {
      const command = /^sbin\/(.*)$/.exec(path)?.[1];
      if ((command !== undefined && !cluster.host.missing.has(command)) || /^(alternatives|ld\.so)/.test(path))
        continue;
      files[plain(`/${folder}/${path}`)] = plain(content);
    }
  }
  for (const [key, value] of Object.entries(cluster.state() as Record<string, unknown>)) {
    files[`cluster ${key}`] = plain(JSON.stringify(value));
  }
  return files;
}

/** Everything of a former run goes, and the root is a fresh host's again. */
export function resetRoot(root: string): void {
  for (const entry of readdirSync(root)) {
    const path = join(root, entry);
    if (lstatSync(path).isDirectory()) chmodSync(path, 0o755);
    rmSync(path, { recursive: true, force: true });
  }
  layOut(root);
}
