import { existsSync, readFileSync } from "node:fs";
import { expect } from "chai";
import { scriptText } from "../../../components/hosts/script-text";
import {
  assignments,
  bash,
  bashOk,
  partsOf,
  removeTemporaryFolders,
  temporaryFolder,
  withLibrary,
  write,
} from "./bash";
import { isThorough, placesTried, someOf } from "../samples";

afterEach(removeTemporaryFolders);

const variables = {
  TK_ADDRESS: "172.31.77.21",
  TK_POD_CIDR: "10.50.0.0/16",
  TK_POD_ROUTING: "vxlan",
  TK_CHECKSUM_OFFLOAD: "on",
  TK_HOST_WAIT_ADDRESS: "#!/bin/bash",
  TK_HOST_OFFLOAD: "#!/bin/bash",
};

/** The stage on a host that takes notes of what systemd is asked; `more` bash at the end. */
function stage(root: string, changes: Record<string, string>, more: string): string {
  const script = partsOf("lan")
    .map(scriptText)
    .join("\n")
    .replace(/\/etc\/systemd/g, `${root}/etc/systemd`);
  return withLibrary(
    root,
    [
      assignments({ ROOT: root, ...variables, ...changes }),
      script,
      'log() { echo "$*" >>"$ROOT/log"; }',
      "sleep() { :; }",
      'mkdir -p "$TK_RUN"',
      // Units are as their files are: there is nothing else that a host would remember.
      'systemctl() { case "$*" in show*) echo inactive ;; *) log "$*" ;; esac; }',
      "remember_kernel() { log remember; }",
      "calm_network_managers() { log calm; }",
      'ip() { case "$*" in *"172.31.77.21/32") echo "3: eth1    inet 172.31.77.21/24 scope global eth1" ;; *" show root "*) [ -e "$ROOT/flushed" ] || echo "10.50.8.0/24 via 172.31.77.22 dev eth1" ;; *" flush "*) log "ip $*"; : >"$ROOT/flushed" ;; esac; }',
      "ethtool() { :; }",
      more,
    ].join("\n"),
    "lan",
  );
}

const logOf = (root: string) => readFileSync(`${root}/log`, "utf8").trimEnd().split("\n");
const offloadUnit = (root: string) => `${root}/etc/systemd/system/tailkube-offload.service`;

describe("stage lan", () => {
  it("declares the address that the host has, and waits for it at each boot", () => {
    const root = temporaryFolder();
    const answer = JSON.parse(bashOk(stage(root, {}, "apply"))) as Record<string, unknown>;
    expect(answer.address).to.equal("172.31.77.21");
    expect(readFileSync(`${root}/etc/tailkube/node.env`, "utf8")).to.equal(
      "TAILKUBE_ADDRESS=172.31.77.21\nTAILKUBE_POD_CIDR=10.50.0.0/16\nTAILKUBE_POD_ROUTING=vxlan\n",
    );
    const unit = readFileSync(`${root}/etc/systemd/system/tailkube-address.service`, "utf8");
    expect(unit).to.include("After=network.target\n").and.not.include("tailscaled");
    expect(logOf(root).slice(0, 2)).to.deep.equal(["remember", "calm"]);
    expect(logOf(root)).to.include("start tailkube-address.service");
    expect(existsSync(offloadUnit(root))).to.equal(false);
  });

  it("changes nothing the second time", () => {
    const root = temporaryFolder();
    bashOk(stage(root, { TK_CHECKSUM_OFFLOAD: "off" }, "apply"));
    const running = 'systemctl() { case "$*" in show*) echo active ;; is-enabled*) : ;; *) log "again $*" ;; esac; }';
    const answer = bashOk(stage(root, { TK_CHECKSUM_OFFLOAD: "off" }, `${running}\napply`));
    expect(JSON.parse(answer)).to.deep.equal({ changed: [], address: "172.31.77.21" });
    expect(logOf(root).filter((line) => line.startsWith("again"))).to.deep.equal([]);
  });

  it("stops on a host that has lost the address", () => {
    const root = temporaryFolder();
    const { status, stderr } = bash(stage(root, {}, 'ip() { :; }\npoll() { shift; "$@"; }\napply'));
    expect(status).to.equal(1);
    expect(stderr).to.match(/^tailkube: node1: lan: this host no longer has the node IP 172\.31\.77\.21/);
    expect(existsSync(`${root}/etc/tailkube/node.env`)).to.equal(false);
  });

  it("turns checksum offload off by a unit, which a boot starts again, and back when it is wanted again", () => {
    const root = temporaryFolder();
    bashOk(
      stage(
        root,
        { TK_CHECKSUM_OFFLOAD: "off" },
        'systemctl() { case "$*" in show*) echo inactive ;; is-*) false ;; *) log "$*" ;; esac; }\napply',
      ),
    );
    expect(logOf(root)).to.include.members([
      "enable --quiet tailkube-offload.service",
      "restart tailkube-offload.service",
    ]);
    const unit = readFileSync(offloadUnit(root), "utf8");
    expect(unit)
      .to.match(/^ExecStart=\/usr\/local\/lib\/tailkube\/offload off$/m)
      .and.match(/^WantedBy=multi-user\.target$/m);
    const answer = bashOk(stage(root, {}, "apply"));
    expect((JSON.parse(answer) as { changed: string[] }).changed).to.include("checksum offload as it was");
    expect(logOf(root)).to.include("disable --quiet --now tailkube-offload.service");
    expect(existsSync(offloadUnit(root))).to.equal(false);
  });

  it("leaves no unit, no file and no route to other nodes' pods behind", () => {
    const root = temporaryFolder();
    bashOk(stage(root, { TK_CHECKSUM_OFFLOAD: "off" }, "apply\nforget_tables() { :; }\nremove_lan"));
    for (const path of [
      "etc/systemd/system/tailkube-address.service",
      "etc/tailkube/node.env",
      "usr/local/lib/tailkube",
    ]) {
      expect(existsSync(`${root}/${path}`), path).to.equal(false);
    }
    expect(logOf(root)).to.include("ip -4 route flush root 10.50.0.0/16");
    expect(existsSync(offloadUnit(root))).to.equal(false);
  });

  it("guards the network before its first change", () => {
    const root = temporaryFolder();
    bashOk(stage(root, {}, "guard_network() { log guard $1; }\napply"));
    expect(logOf(root).slice(0, 3)).to.deep.equal(["remember", "guard apply", "calm"]);
  });

  it(`killed anywhere in its removal: what reads the files again does so once they are back, and nothing is left (${placesTried})`, function () {
    this.timeout(isThorough ? 900_000 : 60_000);
    const dropIn = (root: string) => `${root}/etc/systemd/networkd.conf.d/50-tailkube.conf`;
    const made = "install_text $ROOT/etc/systemd/networkd.conf.d/50-tailkube.conf 0644 ours || true";
    const removal = (root: string, step: number) =>
      stage(
        root,
        {},
        `forget_tables() { :; }
        systemctl() { case "$*" in show*) echo active ;; "restart systemd-networkd.service") [ -e "$ROOT/etc/systemd/networkd.conf.d/50-tailkube.conf" ] || [ ! -e "$TK_STATE/owned.lan" ] || log "$*" ;; *) log "$*" ;; esac; }
        ( steps=0; set -T; trap 'steps=$((steps + 1)); [ $steps != ${step} ] || kill -KILL $BASHPID' DEBUG; clean_up_network >&2; trap - DEBUG; echo $steps ) || true`,
      );
    const host = () => {
      const root = temporaryFolder();
      bashOk(stage(root, {}, `apply >/dev/null\n${made}`));
      bashOk(`: >${root}/log`);
      return root;
    };
    const whole = host();
    const steps = Number(bashOk(removal(whole, 0)));
    const after = [existsSync(dropIn(whole)), existsSync(`${whole}/var/lib/tailkube`)];
    expect(after).to.deep.equal([false, false]);
    for (const step of someOf(steps, 3)) {
      const root = host();
      bash(removal(root, step));
      bashOk(removal(root, 0));
      expect([existsSync(dropIn(root)), existsSync(`${root}/var/lib/tailkube`)], `step ${step}`).to.deep.equal(after);
      expect(logOf(root), `killed at step ${step} of ${steps}`).to.include.members([
        "daemon-reload",
        "restart systemd-networkd.service",
      ]);
    }
  });
});

describe("installed/offload.sh", () => {
  /** A host whose NIC can or cannot change what it is asked to; returns what it is after each of the calls. */
  function after(calls: string[], start: Record<string, string>, fixed: string[] = []) {
    const root = temporaryFolder();
    for (const [way, value] of Object.entries(start)) write(`${root}/nic/${way}`, `${value}\n`);
    write(`${root}/etc/node.env`, "TAILKUBE_ADDRESS=172.31.77.21\n");
    write(
      `${root}/bin/ip`,
      '#!/bin/bash\n[ "$*" != "-o -4 address show to 172.31.77.21/32" ] || echo "3: eth1    inet 172.31.77.21/24"\n',
      0o755,
    );
    write(
      `${root}/bin/ethtool`,
      `#!/bin/bash
cd ${root}
[ "$2" = eth1 ] || exit 9
case $1 in
-k) for way in rx tx; do echo "$way-checksumming: $(cat nic/$way)"; done; echo "tx-checksum-ip-generic: on" ;;
-K) echo "$3 $4" >>asked; case " ${fixed.join(" ")} " in *" $3 "*) echo "Could not change any device features" >&2; exit 1 ;; *) echo "$4" >nic/$3 ;; esac ;;
esac
`,
      0o755,
    );
    const script = scriptText("installed/offload.sh")
      .replace(/^export PATH=/m, `export PATH=${root}/bin:`)
      .replaceAll("/etc/tailkube/node.env", `${root}/etc/node.env`)
      .replaceAll("/run/tailkube-offload", `${root}/before`);
    return calls.map((call) => {
      const { status } = bash(script, call);
      const now = ["rx", "tx"].map((way) => readFileSync(`${root}/nic/${way}`, "utf8").trim());
      return `${status} ${now.join(" ")}`;
    });
  }

  it("turns both off, and what was on before on again", () => {
    expect(after(["off", "off", "on", "on"], { rx: "on", tx: "on" })).to.deep.equal([
      "0 off off",
      "0 off off",
      "0 on on",
      "0 on on",
    ]);
    expect(after(["off", "on"], { rx: "off", tx: "on" })).to.deep.equal(["0 off off", "0 off on"]);
  });

  it("is content with a NIC that always looks at what it receives, not with one that sends as before", () => {
    expect(after(["off", "on"], { rx: "on", tx: "on" }, ["rx"])).to.deep.equal(["0 on off", "0 on on"]);
    expect(after(["off"], { rx: "on", tx: "on" }, ["tx"])).to.deep.equal(["1 off on"]);
  });
});
