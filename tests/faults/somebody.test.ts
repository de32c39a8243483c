import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect } from "chai";
import * as lab from "../lab/lab";
import { inSteps } from "../lab/steps";
import { allowed, expectAsBefore, type HostState, stateOf } from "../lab/leftovers";
import { engine, engineOk, refreshKubeconfig, useOwnStack } from "./stack";

/** Runs bash on a host; throws with what it said if it fails. */
function on(host: lab.HostName, script: string): string {
  return execFileSync(join(lab.root, "lab/hosts/hosts"), ["exec", host, "bash", "-c", `set -e\n${script}`], {
    cwd: lab.root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 300_000,
  });
}

/** A host that already has containerd with settings, containers and networks of its own. */
const containerHost = `
  mkdir -p /etc/containerd/certs.d/docker.io /etc/cni/net.d/default /var/lib/cni/networks/podman
  cat >/etc/containerd/config.toml <<'EOF'
# Written by the owner of this machine.
version = 2
root = "/var/lib/containerd/own"

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d"
EOF
  printf 'server = "https://registry-1.docker.io"\\n[host."https://mirror.example"]\\n' >/etc/containerd/certs.d/docker.io/hosts.toml
  echo '{"cniVersion":"1.0.0","name":"podman","plugins":[{"type":"bridge"}]}' >/etc/cni/net.d/87-podman-bridge.conflist
  echo '{"cniVersion":"1.0.0","name":"bridge","plugins":[{"type":"bridge"}]}' >/etc/cni/net.d/default/nerdctl-bridge.conflist
  echo 10.88.0.2 >/var/lib/cni/networks/podman/last_reserved_ip.0
  systemctl restart containerd
  ctr -n default images import "/opt/tailkube-bundle/$(awk '$1 ~ /pause/ {print $2; exit}' /opt/tailkube-bundle/images.list)" >/dev/null
  ctr -n default run -d --null-io "$(ctr -n default images ls -q | grep pause | head -n 1)" foreign
  ip netns add cni-foreign
  systemd-run -q --unit=foreign-netns ip netns exec cni-foreign sleep infinity`;

/** Hosts that are in the tailnet already, each with another network manager, and their names there. */
const devices = { cp2: "media-box", cp3: "office-box", w1: "build-box" } as const;
const withDevices = Object.keys(devices) as (keyof typeof devices)[];

/** A host in the tailnet already, as a subnet router with MagicDNS. */
const routerHost = (name: string, network: string) => `
  install -m 0755 /opt/tailkube-bundle/bin/tailscaled /usr/sbin/tailscaled
  install -m 0755 /opt/tailkube-bundle/bin/tailscale /usr/bin/tailscale
  cat >/etc/systemd/system/tailscaled.service <<'EOF'
[Unit]
Description=Tailscale node agent
[Service]
Type=notify
ExecStart=/usr/sbin/tailscaled --state=/var/lib/tailscale/tailscaled.state --socket=/run/tailscale/tailscaled.sock --port=41641
RuntimeDirectory=tailscale
StateDirectory=tailscale
[Install]
WantedBy=multi-user.target
EOF
  systemctl enable -q --now tailscaled
  tailscale up --auth-key=file:/run/key --login-server=http://172.31.77.1:3340 --hostname=${name} --accept-dns=true --advertise-routes=${network}
  rm /run/key`;

/** Docker's packages, as far as apt and dpkg see them: they own containerd and conflict with the distribution's. */
const dockerHost = `
  root=$(mktemp -d)
  mkdir -p "$root/DEBIAN" "$root/usr/bin" "$root/lib/systemd/system"
  for name in containerd containerd-shim-runc-v2 ctr; do install -m 0755 "/opt/tailkube-bundle/bin/$name" "$root/usr/bin/"; done
  printf '[Unit]\\nDescription=containerd container runtime\\n[Service]\\nType=notify\\nExecStart=/usr/bin/containerd\\nDelegate=yes\\nKillMode=process\\n[Install]\\nWantedBy=multi-user.target\\n' >"$root/lib/systemd/system/containerd.service"
  printf 'Package: containerd.io\\nVersion: 2.4.2-1\\nArchitecture: amd64\\nMaintainer: nil\\nProvides: containerd, runc\\nConflicts: containerd\\nReplaces: containerd\\nDescription: stand-in for the package of Docker\\n' >"$root/DEBIAN/control"
  dpkg-deb --build "$root" /run/containerd.io.deb >/dev/null
  dpkg -i /run/containerd.io.deb >/dev/null
  rm -r "$root" /run/containerd.io.deb
  systemctl enable -q --now containerd`;

/** Beside what any destroy may leave: what the owner's own tailscaled and containerd write while they run. */
const mayDiffer = [
  ...allowed,
  /^\/var\/lib\/tailscale\/tailscaled\.log[12]\.txt$/,
  // Its books, as in `allowed`, but no image and no snapshot.
  /^\/var\/lib\/containerd\/own(\/io\.containerd\.[^/]+)*(\/(meta(data)?\.db|uuid|k8s\.io|containers|sandboxes|blobs(\/sha256)?|ingest|opt|lib|bin))?$/,
];

/** Hosts that are in use already: what is theirs is refused before anything changes, or is there and as it was at the end. */
describe("hosts that are somebody's", function () {
  inSteps();
  this.timeout(60 * 60_000);

  const peers = (host: lab.HostName) =>
    Object.keys((JSON.parse(on(host, "tailscale status --json")) as { Peer?: object }).Peer ?? {}).length;

  const before = new Map<lab.HostName, HostState>();
  const prefs = () => withDevices.map((host) => on(host, "tailscale debug prefs"));
  let prefsBefore: string[] = [];
  /** What NetworkManager makes of the interface of a login that is not ours. */
  const managed = () => on("cp3", "nmcli -g GENERAL.STATE device show tailscale0").trim();

  after(() => lab.run("lab/down", [], 300));

  it("hosts are made with what their owners have on them", async () => {
    useOwnStack();
    await lab.bareHosts([], "bundle");
    on("w1", containerHost);
    withDevices.forEach((host, i) => {
      // Its owner has given the device the tags of the node that it becomes.
      const key = lab.read(host === "w1" ? "tailnet/authkey" : "tailnet/authkey-control-plane").trim();
      lab.writeOnHost(host, "/run/key", Buffer.from(key));
      on(host, routerHost(devices[host], `192.168.${50 + i}.0/24`));
    });
    on("cp3", dockerHost);
    on("cp1", "mkdir -p /var/lib/etcd/default/member/wal; echo precious >/var/lib/etcd/default/member/wal/0.wal");
    // Each hears of the others, and has a route to them.
    await lab.until("routes to the other devices", () => withDevices.every((host) => peers(host) === 2), 60);
    expect(managed()).to.equal("100 (connected (externally))");
    for (const host of lab.hosts) before.set(host, stateOf(host));
    prefsBefore = prefs();
  });

  it("an etcd of the owner's is refused, twice, and nothing is changed on any host", async () => {
    for (const attempt of [1, 2]) {
      const run = await engine(["up"], 600);
      expect(run.code, `attempt ${attempt}`).not.to.equal(0);
      expect(run.text).to.match(/\/var\/lib\/etcd/);
      for (const host of lab.hosts) expectAsBefore(host, before.get(host)!, mayDiffer);
    }
    expect(on("cp1", "cat /var/lib/etcd/default/member/wal/0.wal")).to.equal("precious\n");
    on("cp1", "rm -r /var/lib/etcd/default");
    before.set("cp1", stateOf("cp1"));
  });

  const container = () => on("w1", "ctr -n default tasks ls | awk '$1 == \"foreign\" {print $2, $3}'").trim();

  it("a cluster comes up beside what they have, which goes on meanwhile", async () => {
    const running = container();
    expect(running).to.match(/^\d+ RUNNING$/);
    await engineOk(["up"], 900);
    refreshKubeconfig();
    await lab.until("four Ready nodes", () => lab.readyNodes().length === 4, 120);
    expect(container()).to.match(/^\d+ RUNNING$/);
    const config = on("w1", "containerd config dump");
    expect(config, "the owner's root and mirrors")
      .to.contain('root = "/var/lib/containerd/own"')
      .and.to.contain("/etc/containerd/certs.d");
    expect(on("w1", "ip netns pids cni-foreign").trim()).to.match(/^\d+$/);
    expect(on("cp3", "dpkg-query -W -f '${db:Status-Status}' containerd.io")).to.equal("installed");
  });

  it("after a destroy the disk, the network and the login are as they were", async () => {
    await engineOk(["destroy"], 900);
    // Its tailscaled has a route for each peer until the server has told it that they are gone.
    await lab.until("no peers but the owners' own", () => withDevices.every((host) => peers(host) === 2), 120);
    for (const host of lab.hosts) expectAsBefore(host, before.get(host)!, mayDiffer);
    expect(prefs()).to.deep.equal(prefsBefore);
    expect(managed()).to.equal("100 (connected (externally))");
    on("cp3", "tailscale ping -c 1 --timeout 10s media-box");
    expect(container()).to.match(/^\d+ RUNNING$/);
    expect(on("w1", "ip netns pids cni-foreign").trim()).to.match(/^\d+$/);
  });
});

/** By apt: nothing that is installed goes away for what the cluster needs. */
describe("hosts whose own engine cannot be there beside containerd.io", function () {
  inSteps();
  this.timeout(60 * 60_000);

  /** One without containerd, and one with its distribution's, which would give way alone. */
  const owners = ["cp2", "w1"] as const;
  const statusOf = (host: lab.HostName, name: string) =>
    on(host, `dpkg-query -W -f '\${db:Status-Status}' ${name} 2>/dev/null || true`);
  const packages = (host: lab.HostName) =>
    ["own-engine", "containerd", "containerd.io"].map((name) => statusOf(host, name));
  const former = new Map<lab.HostName, string[]>();

  before(async function () {
    useOwnStack();
    await lab.bareHosts();
    if (lab.output("lab/sources", ["name"]).trim() === "bundle") {
      console.log("      the lab's hosts install from a bundle, without apt");
      this.skip();
    }
    for (const host of owners) {
      // As docker.io and Docker's own packages exclude each other.
      on(
        host,
        `mkdir -p /run/engine/DEBIAN /run/engine/etc/own-engine; echo 'kept: true' >/run/engine/etc/own-engine/config
        printf '%s\\n' 'Package: own-engine' 'Version: 1.0' 'Architecture: all' 'Maintainer: its owner' 'Conflicts: containerd.io' 'Description: an engine' >/run/engine/DEBIAN/control
        dpkg-deb -b /run/engine /run/engine.deb >/dev/null; dpkg -i /run/engine.deb >/dev/null; rm -r /run/engine /run/engine.deb`,
      );
      former.set(host, packages(host));
      expect(former.get(host)![0], host).to.equal("installed");
    }
  });
  after(() => lab.run("lab/down", [], 300));

  it("keep it: the run fails, and names it and what to do", async () => {
    const run = await engine(["up"], 900);
    expect(run.code).not.to.equal(0);
    expect(run.text).to.match(
      /cp2: [^.]*apt-get install [^ ]*containerd\.io\S* would remove own-engine from this host, and tailkube removes no package\. Remove it yourself if nothing needs it/,
    );
    expect(run.text).to.match(
      /w1: [^.]*containerd \S+ is in Docker's package containerd\.io alone, which would remove own-engine from this host\. Remove tailkube:kubernetes\.containerdVersion, or remove these yourself/,
    );
    for (const host of owners) expect(packages(host), host).to.deep.equal(former.get(host));
  });

  it("keep it also after a destroy", async () => {
    await engineOk(["destroy"], 900);
    for (const host of owners) {
      expect(packages(host), host).to.deep.equal(former.get(host));
      expect(on(host, "cat /etc/own-engine/config"), host).to.equal("kept: true\n");
    }
  });
});
