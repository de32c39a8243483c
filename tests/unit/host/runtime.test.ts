import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { containerdConfig } from "../../../components/kubernetes/containerd";
import { scriptText } from "../../../components/hosts/script-text";
import { expectGolden } from "../../golden/golden";
import {
  assignments,
  bash,
  bashOk,
  libraryText,
  logOf,
  partsOf,
  removeTemporaryFolders,
  snapshot,
  temporaryFolder,
  withLibrary,
  write,
} from "./bash";
import { isThorough, placesTried, someOf } from "../samples";

afterEach(removeTemporaryFolders);

const pause = { pauseImage: "registry.k8s.io/pause:3.10.2", restrictOomScoreAdj: false, cniBinDirs: "/opt/cni/bin" };
const settings = { 1: containerdConfig(1, pause), 2: containerdConfig(2, pause) };
/** `containerd config dump` of 1.6.20 and 2.4.2 for one file with root, mirrors, a default runtime and a proxy plugin; cut. */
const dumpOf = (major: 1 | 2) => readFileSync(join(__dirname, `../../golden/containerd-dump-${major}.toml`), "utf8");

/**
 * The scripts of the stage runtime on a host with containerd of that major, below `root`. Its dump of a file that begins with
 * `# theirs` is the one above; of a dump it is the same again.
 */
function host(root: string, text: string, { major = 2, bundle = "", version = "" } = {}): string {
  const scripts = [libraryText(), ...partsOf("runtime", "lib/software/remove-runtime.sh").map(scriptText)]
    .join("\n")
    .replace(
      /\/(etc\/(?:kubernetes|cni|containerd|systemd|modules-load\.d|sysctl\.d|apt)|var\/lib\/(?:kubelet|etcd|cni|containerd|rancher|k0s)|var\/snap|lib\/modules|var\/log|run\/containerd|opt\/(?:containerd|cni)|usr\/libexec|usr\/local\/bin(?=\/))/g,
      `${root}/$1`,
    );
  write(`${root}/dump`, dumpOf(major as 1 | 2));
  for (const folder of ["etc", "var/lib", "var/log", "run/tailkube", "usr/local/bin", "opt", "usr/libexec"]) {
    mkdirSync(`${root}/${folder}`, { recursive: true });
  }
  return withLibrary(
    root,
    [
      assignments({
        ROOT: root,
        TK_ROLE: "worker",
        TK_BUNDLE: bundle,
        TK_CONTAINERD_VERSION: version,
        TK_CONTAINERD_V1: settings[1],
        TK_CONTAINERD_V2: settings[2],
        TK_KUBERNETES_VERSION: "1.36.3",
      }),
      scripts,
      assignments({
        TK_STATE: `${root}/var/lib/tailkube`,
        TK_RUN: `${root}/run/tailkube`,
        TK_MOUNTS: "/dev/null",
        SENTINEL: `${root}/var/lib/tailkube/joined`,
      }),
      'log() { echo "$*" >>"$ROOT/log"; }',
      `sleep() { SECONDS=$((SECONDS + 30)); }
      systemctl() { case "$1" in
        show) if [ -e "$ROOT/inactive" ]; then echo inactive; else echo active; fi ;;
        is-enabled) [ ! -e "$ROOT/inactive" ] ;; *) log "systemctl $*" ;; esac; }
      containerd() {
        case "$*" in
        --version) echo "containerd x v${major === 1 ? "1.7.24" : "2.2.1"}" ;;
        *"config dump") if [[ $(head -n 1 "$2") == "# theirs"* ]]; then cat "$ROOT/dump"; else cat "$2"; fi ;;
        esac
      }
      timeout() { shift; "$@"; }
      containerd_answers() { true; }
      pkill() { log "pkill $*"; }
      ctr() { :; }
      apt-mark() { log "apt-mark $*"; [ "$1" != showhold ] || cat "$ROOT/holds" 2>/dev/null || true; }
      apt-get() { log "apt-get $*"; }`,
      text,
    ].join("\n"),
    "runtime",
  );
}

const read = (root: string, file: string) => readFileSync(`${root}/${file}`, "utf8");
const config = "etc/containerd/config.toml";
const state = "var/lib/tailkube";

describe("containerd's configuration on a host", () => {
  for (const major of [1, 2] as const) {
    it(`${major}.x: the user's settings stay, with ours in them`, () => {
      const root = temporaryFolder();
      write(`${root}/${config}`, "# theirs\n", 0o600);
      const { stdout, stderr, status } = bash(host(root, "claim_host; configure_containerd; result", { major }));
      expect({ status, stderr }).to.deep.equal({ status: 0, stderr: "" });
      expectGolden(`containerd-theirs-${major}.toml`, read(root, config).replaceAll(root, ""));
      const text = read(root, config).replaceAll("'", '"');
      for (const kept of [
        'root = "/data/containerd"',
        'config_path = "/etc/containerd/certs.d"',
        'default_runtime_name = "nvidia"',
        'BinaryName = "/usr/bin/nvidia-container-runtime"',
        'address = "/run/x.sock"',
      ]) {
        expect(text).to.include(kept);
      }
      expect(text.match(/SystemdCgroup = true/g)).to.have.lengthOf(2);
      expect(text).to.include('"registry.k8s.io/pause:3.10.2"').and.to.include("imports = []");
      expect(snapshot(`${root}/etc/containerd`)["config.toml"]).to.match(/^600 /);
      expect(JSON.parse(stdout)).to.deep.include({
        changed: [`wrote ${root}/${config}`, "restarted containerd.service"],
      });
      // A second run finds it as it should be.
      expect(bashOk(host(root, "claim_host; configure_containerd; result", { major }))).to.equal('{"changed":[]}\n');
      bashOk(host(root, "clean_up_files"));
      expect(snapshot(`${root}/etc/containerd`)).to.deep.equal({ "config.toml": "600 # theirs\n" });
    });
  }

  for (const link of ["../../theirs/config.toml", "ROOT/theirs/config.toml"]) {
    it(`may be a link to ${link}: ours is as closed as theirs, and the link comes back`, () => {
      const root = temporaryFolder();
      const to = link.replace("ROOT", root);
      write(`${root}/theirs/config.toml`, "# theirs\n", 0o640);
      mkdirSync(`${root}/etc/containerd`, { recursive: true });
      symlinkSync(to, `${root}/${config}`);
      bashOk(host(root, "claim_host; configure_containerd; result"));
      expect(snapshot(`${root}/etc/containerd`)["config.toml"]).to.match(/^640 /);
      expect(read(root, config)).to.include("root = '/data/containerd'");
      expect(bashOk(host(root, "claim_host; configure_containerd; result"))).to.equal('{"changed":[]}\n');
      rmSync(`${root}/log`);
      bashOk(host(root, "unit_stop() { :; }; remove_runtime"));
      expect(snapshot(`${root}/etc/containerd`)).to.deep.equal({ "config.toml": `777 ${to}` });
      expect(snapshot(`${root}/theirs`)).to.deep.equal({ "config.toml": "640 # theirs\n" });
      expect(logOf(root)).to.include("systemctl restart containerd.service");
    });
  }

  it("is ours alone where there was none before us, also if a package has brought one since", () => {
    const root = temporaryFolder();
    bashOk(host(root, "claim_host"));
    write(`${root}/${config}`, "# theirs\n");
    bashOk(host(root, "configure_containerd"));
    expect(read(root, config)).to.equal(`${settings[2]}\n`);
    bashOk(host(root, "clean_up_files"));
    expect(read(root, config)).to.equal("# theirs\n");
  });

  it("comes back, and the stage fails, if containerd does not answer with it", () => {
    const root = temporaryFolder();
    write(`${root}/${config}`, "# theirs\n");
    const run = bash(host(root, "claim_host; containerd_answers() { false; }; configure_containerd"));
    expect(run.status).to.equal(1);
    expect(run.stderr).to.match(/containerd does not answer with this host's own .*; the former file is back\./);
    expect(read(root, config)).to.equal("# theirs\n");
    expect(logOf(root).filter((line) => line === "systemctl restart containerd.service")).to.have.lengthOf(2);
  });

  it("is not written where containerd would not have our settings from it", () => {
    const root = temporaryFolder();
    write(`${root}/${config}`, "# theirs\n");
    const run = bash(host(root, 'claim_host; set_toml() { sed "s/^imports.*/imports = []/"; }; configure_containerd'));
    expect(run.status).to.equal(1);
    expect(run.stderr).to.match(/containerd would not take the setting 'plugins\."io\.containerd.*' into this host's/);
    expect(read(root, config)).to.equal("# theirs\n");
  });

  it("has CRI enabled, which Docker's package disables, whatever else is disabled", () => {
    const given = (list: string) => {
      const root = temporaryFolder();
      write(
        `${root}/${config}`,
        `# theirs\nroot = "/x"\n${list}\n[plugins."io.containerd.grpc.v1.cri"]\n  a = ["cri"]\n`,
      );
      bashOk(
        host(
          root,
          'claim_host; ask_containerd_major; dump_containerd() { cp "$1" "$ROOT/asked"; cat "$ROOT/dump"; }; wanted_containerd_config >/dev/null',
        ),
      );
      return read(root, "asked").split("\n").slice(2, -3).join("").replace(/\s/g, "");
    };
    expect(given('disabled_plugins = ["cri"]')).to.equal("disabled_plugins=[]");
    expect(given('disabled_plugins = ["a.b", "cri"]')).to.equal('disabled_plugins=["a.b",]');
    expect(given('disabled_plugins = [\n  "io.containerd.grpc.v1.cri",\n  "a.b",\n]')).to.equal(
      'disabled_plugins=["a.b",]',
    );
    expect(given('disabled_plugins = ["io.containerd.internal.v1.opt"]')).to.equal(
      'disabled_plugins=["io.containerd.internal.v1.opt"]',
    );
  });
});

describe("claim_host", () => {
  it("refuses a host that has got another cluster, or containers, since it was looked at, and claims nothing", () => {
    const kubeadm = temporaryFolder();
    write(`${kubeadm}/etc/kubernetes/kubelet.conf`, "x");
    const run = bash(host(kubeadm, "claim_host"));
    expect(run.status).to.equal(1);
    expect(run.stderr).to.match(
      /has a Kubernetes cluster that this program did not make \(.*kubelet\.conf\); nothing was/,
    );
    expect(existsSync(`${kubeadm}/${state}`)).to.equal(false);
    const kind = temporaryFolder();
    const other = bash(host(kind, "ctr() { echo abc; }; claim_host"));
    expect(other.status).to.equal(1);
    expect(other.stderr).to.match(/holds containers in the namespace k8s\.io that this program did not make \(abc\)/);
    expect(existsSync(`${kind}/${state}`)).to.equal(false);
  });

  it("looks no more once it is ours, and says so last of all", () => {
    const root = temporaryFolder();
    bashOk(host(root, 'claim_host; tail -n 1 "$TK_STATE/owned.runtime" >"$ROOT/last"'));
    expect(read(root, "last")).to.equal(`${root}/${state}/checked\n`);
    write(`${root}/etc/kubernetes/kubelet.conf`, "ours now");
    bashOk(host(root, "claim_host"));
  });
});

describe("packages on a host", () => {
  it("another package's containerd is used, and never replaced", () => {
    const root = temporaryFolder();
    write(`${root}/bin/containerd`, "", 0o755);
    const run = (version: string) =>
      bash(
        host(root, `PATH=$ROOT/bin:$PATH; package_of() { echo containerd.io; }; claim_host; install_containerd`, {
          version,
        }),
      );
    expect(run("").status).to.equal(0);
    expect(run("2.2.1").status).to.equal(0);
    const refused = run("2.4.2");
    expect(refused.status).to.equal(1);
    expect(refused.stderr).to.match(
      /containerd is 2\.2\.1 of containerd\.io, and tailkube does not replace another package's/,
    );
    expect(logOf(root).filter((line) => line.startsWith("apt-get"))).to.deep.equal([]);
  });

  /** A host whose repositories have these packages, `NAME VERSION` a line; Docker's only once its repository is there. */
  const shop = (root: string, own: string, docker: string, text: string, options = {}) =>
    bash(
      host(
        root,
        `apt_repository() { log "repository $1 $3 $4"; : >"$ROOT/docker"; }
        distribution() { echo debian; }
        codename() { echo bookworm; }
        apt-cache() { { printf '${own}'; [ ! -e "$ROOT/docker" ] || printf '${docker}'; } | awk -v p="$2" '$1 == p {print $1 " | " $2 " | x"}'; }
        apt_install() { log "install $*"; : >"$ROOT/installed"; own "$TK_STATE/packages.runtime"; record_line "$TK_STATE/packages.runtime" "\${1%%=*}"; }
        apt_replace() { log "replace $*"; }
        ${text}`,
        options,
      ),
    );
  const acts = (root: string) => logOf(root).filter((line) => !/^(systemctl|apt-get|apt-mark showhold)/.test(line));

  it("containerd is Docker's newest where there is none, and held", () => {
    const root = temporaryFolder();
    const text = 'command() { [ "$2" != containerd ]; }; configure_containerd() { :; }; install_containerd';
    expect(shop(root, "", "", text).stderr).to.equal("");
    expect(acts(root)).to.deep.equal([
      "repository docker https://download.docker.com/linux/debian/gpg " +
        `deb [signed-by=${root}/etc/apt/keyrings/docker.gpg] https://download.docker.com/linux/debian bookworm stable`,
      "apt-mark unhold containerd.io",
      "install containerd.io",
      "apt-mark hold containerd.io",
    ]);
  });

  describe("the distribution's containerd", () => {
    const has = "PATH=$ROOT/bin:$PATH; package_of() { echo containerd; }; installed_version() { echo 2.2.1; };";
    const at = (
      version: string,
      removals: string,
      own = "",
      docker = "containerd.io 2.4.2-1~debian.12~bookworm\\n",
    ) => {
      const root = temporaryFolder();
      write(`${root}/bin/containerd`, "", 0o755);
      const simulate = `apt-get() { case "$*" in *--simulate*) printf '${removals}' ;; esac; };`;
      return { root, ...shop(root, own, docker, `${has} ${simulate} install_containerd_package`, { version }) };
    };

    it("gives way to Docker's where it has not got the wanted version", () => {
      const { root, stderr } = at("2.4.2", "Remv containerd [1.6]\\nRemv runc [1.1]\\n");
      expect(stderr).to.equal("");
      expect(acts(root).at(-1)).to.equal("replace containerd.io=2.4.2-1~debian.12~bookworm");
    });

    it("stays where something else would go with it, and where nobody has the version", () => {
      const { root, stderr } = at("2.4.2", "Remv docker.io [20]\\nRemv containerd [1.6]\\n");
      expect(stderr).to.match(/containerd\.io alone, which would remove docker\.io from this host/);
      expect(acts(root).filter((line) => line.startsWith("replace"))).to.deep.equal([]);
      expect(at("2.9.9", "").stderr).to.match(/neither this host's repositories nor Docker's have containerd 2\.9\.9/);
    });

    it("stays until apt has said what would go with it, and is not replaced where apt does not say", () => {
      const replaced = (simulate: string) => {
        const root = temporaryFolder();
        write(`${root}/bin/containerd`, "", 0o755);
        const apt = `apt-get() { case "$*" in *--simulate*) ${simulate} ;; esac; };`;
        const run = shop(root, "", "containerd.io 2.4.2-1\\n", `${has} ${apt} install_containerd_package`, {
          version: "2.4.2",
        });
        return { ...run, replaced: acts(root).filter((line) => line.startsWith("replace")) };
      };
      const silent = replaced('echo "E: Unable to parse package file" >&2; return 100');
      expect(silent).to.deep.include({ status: 1, replaced: [] });
      expect(silent.stderr).to.match(/no answer .* would remove .*E: Unable to parse package file/);
      const once = replaced('[ -e "$ROOT/asked" ] || { : >"$ROOT/asked"; return 100; }; echo "Remv docker.io [20]"');
      expect(once).to.deep.include({ status: 1, replaced: [] });
      expect(once.stderr).to.match(/containerd\.io alone, which would remove docker\.io from this host/);
    });

    it("is upgraded where it has the version, and left alone where none is wanted", () => {
      const { root } = at("1.7.24", "", "containerd 1.7.24~ds1-6\\n");
      expect(acts(root)).to.deep.equal(["install containerd=1.7.24~ds1-6"]);
      expect(acts(at("", "").root)).to.deep.equal([]);
    });
  });

  it("a kubelet that cannot be enabled fails the stage: it would not start with the host", () => {
    const root = temporaryFolder();
    for (const name of ["kubelet", "kubeadm", "kubectl"]) write(`${root}/b/bin/${name}`, name, 0o755);
    const text = `systemctl() { case "$1" in is-enabled | enable) return 1 ;; esac; }
      kubeadm() { echo v1.36.3; }
      install_kubernetes`;
    const { status, stderr } = bash(host(root, text, { bundle: `${root}/b` }));
    expect(status).to.equal(1);
    expect(stderr).to.match(/systemctl cannot enable kubelet\.service, so it would not start with the host/);
  });

  it("the user's holds are kept when ours go", () => {
    const root = temporaryFolder();
    write(`${root}/holds`, "nginx\nkubectl\n");
    const marks = `apt-mark() {
      case $1 in
      showhold) cat "$ROOT/holds"; return ;;
      hold) printf '%s\\n' "\${@:2}" >>"$ROOT/holds" ;;
      unhold) sed -i "/^$2$/d" "$ROOT/holds" ;;
      esac
      log "$*"
    }`;
    bashOk(
      host(
        root,
        `${marks}\nclaim_host; apt-mark unhold kubectl; apt-mark hold kubelet kubeadm; : >$ROOT/log; restore_holds`,
      ),
    );
    expect(logOf(root)).to.deep.equal(["unhold kubelet", "unhold kubeadm", "hold kubectl"]);
    expect(read(root, "holds").trim().split("\n").sort()).to.deep.equal(["kubectl", "nginx"]);
  });

  it("the user's holds are kept by the clean-up of a stage that could not ask which there are", () => {
    const root = temporaryFolder();
    write(`${root}/holds`, "kubectl\n");
    const silent = 'apt-mark() { [ "$1" != showhold ] || return 1; log "apt-mark $*"; }';
    const { status, stderr } = bash(host(root, `${silent}\nclaim_host`));
    expect({ status, stderr }).to.have.property("status", 1);
    expect(stderr).to.include("which packages are held (apt-mark showhold)");
    bashOk(host(root, "restore_holds"));
    expect(logOf(root)).to.deep.equal([]);
  });
});

describe(`remove_runtime (${placesTried})`, function () {
  this.timeout(isThorough ? 1_800_000 : 180_000);

  const settle = "unit_stop() { :; }; remove_runtime";
  /** A host with a containerd of ours, or one of its own. */
  function installed(ours: boolean): { root: string; before: Record<string, string> } {
    const root = temporaryFolder();
    write(`${root}/b/bin/containerd`, "binary", 0o755);
    write(`${root}/b/bin/containerd-shim-runc-v2`, "shim", 0o755);
    write(`${root}/b/bin/ctr`, "ctr", 0o755);
    if (!ours) {
      write(`${root}/bin/containerd`, "", 0o755);
      write(`${root}/${config}`, "# theirs\n");
      write(`${root}/var/lib/containerd/theirs`, "image");
    }
    bashOk(host(root, ""));
    const before = withoutRuns(snapshot(root));
    bashOk(
      host(
        root,
        `PATH=$ROOT/bin:$PATH; package_of() { echo containerd; }; ${ours ? 'command() { case $2 in containerd) [ -e $ROOT/usr/local/bin/containerd ] ;; *) builtin command "$@" ;; esac; }; ' : ""} claim_host; install_containerd`,
        { bundle: `${root}/b` },
      ),
    );
    if (ours) write(`${root}/var/lib/containerd/io.containerd.x/y`, "ours");
    // What follows is the removal's.
    rmSync(`${root}/log`);
    return { root, before };
  }
  const withoutRuns = (files: Record<string, string>) =>
    Object.fromEntries(Object.entries(files).filter(([path]) => !/^(run\/|log$)/.test(path)));

  it("leaves a host's own containerd as it was, wherever its installation was killed", () => {
    const install = "PATH=$ROOT/bin:$PATH; package_of() { echo containerd; }; claim_host; install_containerd";
    const killed = (step: number) =>
      `( steps=0; set -T; trap 'steps=$((steps + 1)); [ $steps != ${step} ] || kill -KILL $BASHPID' DEBUG; ${install} >/dev/null; trap - DEBUG; echo $steps ) || true`;
    const bare = () => {
      const root = temporaryFolder();
      write(`${root}/bin/containerd`, "", 0o755);
      write(`${root}/${config}`, "# theirs\n", 0o640);
      bashOk(host(root, ""));
      return { root, before: withoutRuns(snapshot(root)) };
    };
    const steps = Number(bashOk(host(bare().root, killed(0))));
    expect(steps).to.be.greaterThan(200);
    for (const step of someOf(steps, 4)) {
      const { root, before } = bare();
      bash(host(root, killed(step)));
      bashOk(host(root, settle));
      expect(withoutRuns(snapshot(root)), `killed at step ${step} of ${steps}`).to.deep.equal(before);
    }
  });

  it("gives the folder of a containerd of ours its own mode back, where that is a link to another disk", () => {
    const root = temporaryFolder();
    for (const name of ["containerd", "containerd-shim-runc-v2", "ctr"]) write(`${root}/b/bin/${name}`, name, 0o755);
    mkdirSync(`${root}/disk`, { mode: 0o711 });
    mkdirSync(`${root}/var/lib`, { recursive: true });
    symlinkSync(`${root}/disk`, `${root}/var/lib/containerd`);
    const install = `command() { case $2 in containerd) [ -e $ROOT/usr/local/bin/containerd ] ;; *) builtin command "$@" ;; esac; }; claim_host; install_containerd`;
    bashOk(host(root, install, { bundle: `${root}/b` }));
    bashOk(host(root, settle));
    expect(statSync(`${root}/disk`).mode & 0o7777).to.equal(0o711);
  });

  it("leaves a host alone that never got a containerd", () => {
    const root = temporaryFolder();
    write(`${root}/inactive`, "");
    bashOk(host(root, "claim_host"));
    bashOk(host(root, `${settle}; [ ! -e "$TK_STATE/owned.runtime" ]`));
    expect(logOf(root).filter((line) => /restart/.test(line))).to.deep.equal([]);
  });

  for (const ours of [true, false]) {
    it(`leaves the host as it was, ${ours ? "with a containerd of ours" : "with its own containerd"}, killed anywhere`, () => {
      const killed = (step: number) =>
        `( steps=0; set -T; trap 'steps=$((steps + 1)); [ $steps != ${step} ] || kill -KILL $BASHPID' DEBUG; ${settle}; trap - DEBUG; echo $steps ) || true`;
      const whole = installed(ours);
      const finished = bash(host(whole.root, killed(0)));
      expect(finished.stderr).to.equal("");
      const steps = Number(finished.stdout);
      expect(withoutRuns(snapshot(whole.root))).to.deep.equal(whole.before);
      expect(steps).to.be.greaterThan(30);
      for (const step of [...someOf(steps, 2), steps - 3, steps - 8]) {
        const { root, before } = installed(ours);
        bash(host(root, killed(step)));
        if (Object.keys(snapshot(root)).some((path) => path.startsWith(`${state}/owned.runtime`))) {
          bashOk(host(root, settle));
        }
        // As the stage cleanup does at its end.
        bash(`rmdir ${root}/${state}`);
        expect(withoutRuns(snapshot(root)), `killed at step ${step} of ${steps}`).to.deep.equal(before);
        if (!ours) expect(logOf(root)).to.include("systemctl restart containerd.service");
      }
    });
  }
});
