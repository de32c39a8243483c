import { expect } from "chai";
import { emptyHostProfile, type ClusterConfig, type HostProfile, type NodeConfig } from "../../../../model/config";
import { requirementIds, requirements, requirementsScript } from "../../../../components/hosts/host-requirements";
import { scriptText } from "../../../../components/hosts/script-text";
import { stageFiles } from "../../../../components/hosts/stages";
import {
  assignments,
  bash,
  bashOk,
  type Finished,
  removeTemporaryFolders,
  temporaryFolder,
  write,
} from "../../host/bash";
import { configOf } from "../../config/fixtures";

const config = configOf();
const [cp1, , , w1] = config.nodes as [NodeConfig, NodeConfig, NodeConfig, NodeConfig];

/** What `gather` of host/stages/facts.sh finds on a host that is fit. */
const goodHost = {
  os_id: "debian",
  os_version: "12",
  os_like: "",
  os_name: "Debian GNU/Linux 12 (bookworm)",
  arch: "x86_64",
  kernel: "6.1.0-37-amd64",
  epoch: "1800000000",
  cpus: "2",
  privilege: "root",
  systemd: "252",
  cgroup: "2",
  network_managers: "systemd-networkd ",
  resolv_conf: "/etc/resolv.conf",
  name_servers: "192.0.2.53 ",
  clock_synced: "true",
  disk_free_mib: "20000",
  memory_mib: "4000",
  swap: "false",
  tun: "true",
  missing_tools: "",
  missing_kernel: "",
  userland: "amd64",
  missing_cgroups: "",
  kernel_log: "",
  address_bits: "47",
  vxlan: "yes",
  own_servers: "",
  reachable_servers: "192.0.2.53 ",
  log_space: "20000 /var/log/pods /dev/sda1",
  docker: "",
  other_networks: "",
  runc_profile: "",
  foreign_cure: "",
  FILTER_IPTABLES: "",
  FILTER_NFT: "",
  FILTER_UNKNOWN: "",
  containerd: "",
  containerd_package: "",
  kubernetes: "",
  foreign_files: "",
  k8s_containers: "",
  etcd_data: "",
  bundle_version: "",
  bundle_arch: "",
};

/** A host: variables of `gather` that differ from the good one's, and sockets as `ss` shows them. */
interface Host extends Partial<typeof goodHost> {
  /** The folder that has this program's records on the host. */
  state?: string;
  /** "2379" or "8472/udp" → process; empty for one of the kernel's own. */
  listening?: Record<string, string>;
}

function withProfile(profile: Partial<HostProfile>, changes: Record<string, unknown> = {}): ClusterConfig {
  return { ...configOf(changes), hostProfile: { ...emptyHostProfile, ...profile } };
}

/** The facts script itself, up to `main`. */
function factsScript(variables: Record<string, string>): string {
  return [
    assignments({
      TK_NODE: "cp1",
      TK_STAGE: "facts",
      TK_BUNDLE: "",
      TK_LOG_FOLDERS: "/var/log/pods",
      TK_REQUIREMENTS: "",
      ...variables,
    }),
    ...stageFiles("facts").map(scriptText),
  ].join("\n");
}

function fakeSs(listening: Record<string, string>): string {
  const cases = Object.entries(listening).map(([socket, process]) => {
    const [port, protocol = "tcp"] = socket.split("/");
    const users = process === "" ? "" : ` users:(("${process}",pid=812,fd=7))`;
    return `*" -${protocol === "tcp" ? "t" : "u"} "*":${port} "*) echo '0 4096 0.0.0.0:${port} 0.0.0.0:*${users}' ;;`;
  });
  return ["ss() {", 'case " $* " in', ...cases, "esac", "}"].join("\n");
}

function examine(node: NodeConfig, { listening = {}, state = "/nonexistent", ...found }: Host, on = config): Finished {
  return bash(
    [
      factsScript({ TK_REQUIREMENTS: requirementsScript(node, on) }),
      assignments({ TK_STATE: state }),
      `gather() {\n${assignments({ ...goodHost, ...found })}\n}`,
      // The machine that runs the tests may be a node itself.
      'is_ours() { [ "$kubernetes" = ours ] || [ -e "$TK_STATE/checked" ]; }',
      fakeSs(listening),
      "interfaces_json() { printf '[]'; }",
      "vxlan_cure() { printf 'Install it, as %s has it' \"$1\"; }",
      "main apply",
    ].join("\n"),
  );
}

/** The problems that the script tells of a host, without the heading. */
function problems(node: NodeConfig, host: Host, on = config): string[] {
  const { status, stdout, stderr } = examine(node, host, on);
  if (status === 0) expect(warningsIn(stdout)).to.deep.equal([]);
  const [heading, ...lines] = stderr.trimEnd().split("\n  - ");
  if (status === 0) {
    expect(stderr).to.equal("");
    JSON.parse(stdout);
    return [];
  }
  expect(heading).to.equal(
    "tailkube: cp1: facts: this host does not meet the requirements, and nothing was changed on it:",
  );
  expect(stdout).to.equal("");
  expect(lines).to.have.length.greaterThan(0);
  return lines;
}

const warningsIn = (stdout: string) => (JSON.parse(stdout) as { warnings: string[] }).warnings;

/** What it warns of on a host that it lets through. */
function warnings(node: NodeConfig, host: Host, on = config): string[] {
  const { status, stdout, stderr } = examine(node, host, on);
  expect(stderr).to.equal("");
  expect(status).to.equal(0);
  return warningsIn(stdout);
}

const os = (os_id: string, os_version: string, os_like = "") => ({
  os_id,
  os_version,
  os_like,
  os_name: `${os_id} ${os_version}`,
});

/** A small board. */
const board = { arch: "aarch64", userland: "arm64", address_bits: "48" };

describe("requirements, as the facts script tests them", () => {
  const good: [string, Host][] = [
    ["Debian 12", {}],
    ["Debian 13", os("debian", "13")],
    ["Debian unstable", os("debian", "")],
    ["Ubuntu 22.04", { ...os("ubuntu", "22.04", "debian"), kernel: "5.15.0-113-generic", systemd: "249" }],
    ["Ubuntu 24.04", os("ubuntu", "24.04", "debian")],
    [
      "Raspberry Pi OS 12 of 64 bits, which says Debian",
      { ...board, kernel: "6.12.25+rpt-rpi-v8", address_bits: "48" },
    ],
    ["Raspberry Pi 5 with pages of 16 KiB", { ...board, kernel: "6.12.25+rpt-rpi-2712", address_bits: "47" }],
    ["Armbian on Debian", { ...os("armbian", "12", "debian"), ...board, kernel: "5.10.160-rockchip-rk3588" }],
    ["Armbian on Ubuntu", { ...os("armbian", "24.04", "ubuntu debian"), ...board }],
    ["Armbian on Debian unstable", { ...os("armbian", "", "debian"), ...board }],
    ["the first long-term kernel that will do", { kernel: "5.10.0" }],
    ["a kernel of two digits", { kernel: "10.2.0" }],
    ["an installed containerd 1.6", { containerd: "1.6.20" }],
    ["an installed containerd 2", { containerd: "2.2.0" }],
    ["sudo without a password", { privilege: "root" }],
    [
      "our own cluster's processes",
      { kubernetes: "ours", listening: { "6443": "kube-apiserver", "2379": "etcd", "10250": "kubelet" } },
    ],
    ["other services' ports", { listening: { "22": "sshd", "53/udp": "dnsmasq", "2379/udp": "games" } }],
    ["two network managers", { network_managers: "systemd-networkd netplan " }],
    ["just enough", { cpus: "2", memory_mib: "1700", disk_free_mib: "5120", systemd: "245", epoch: "1767225600" }],
  ];
  for (const [what, host] of good) {
    it(`find nothing wrong with ${what}`, () => {
      expect(problems(cp1, host)).to.deep.equal([]);
    });
  }

  const bad: [string, Host, RegExp][] = [
    ["privilege", { privilege: "none" }, /^root is not root and sudo asks for a password/],
    ["os", os("debian", "11"), /^the operating system is debian 11; Debian 12, .* is required/],
    ["os", os("ubuntu", "20.04", "debian"), /Ubuntu 22\.04 or newer/],
    ["os", os("ubuntu", "", "debian"), /^the operating system is ubuntu ;/],
    ["os", os("fedora", "42"), /^the operating system is fedora 42/],
    ["os", os("linuxmint", "22", "ubuntu debian"), /skipHostChecks/],
    ["os", os("armbian", "11", "debian"), /^the operating system is armbian 11/],
    ["os", os("armbian", "20.04", "ubuntu debian"), /^the operating system is armbian 20\.04/],
    ["arch", { arch: "armv7l" }, /^the architecture is armv7l; x86_64 or aarch64 is required/],
    ["kernel", { kernel: "5.4.0-42-generic" }, /^the kernel is 5\.4\.0-42-generic; .* requires 5\.10 or newer/],
    ["kernel", { kernel: "4.19.0" }, /requires 5\.10/],
    ["kernel", { kernel: "5.19.0-50-generic" }, /of 5\.x kubeadm accepts only 5\.10 and 5\.15/],
    ["kernel", { kernel: "5.11.0" }, /SystemVerification to ignorePreflightErrors/],
    ["kernel-features", { missing_kernel: "CONFIG_NET_CLS_BPF " }, /lacks CONFIG_NET_CLS_BPF, which/],
    ["tun", { tun: "false" }, /^\/dev\/net\/tun is missing/],
    ["systemd", { systemd: "0" }, /^systemd is 0 \(0: not process 1\)/],
    ["systemd", { systemd: "241" }, /^systemd is 241 .*245 or newer is required/],
    ["cgroup", { cgroup: "1" }, /cgroup v1, on which kubelet 1\.35/],
    ["network-manager", { network_managers: "" }, /^no network manager is active/],
    ["resolv-conf", { name_servers: "" }, /^\/etc\/resolv\.conf has no name server/],
    ["clock", { epoch: "1767225599" }, /^its clock says \d{4}-\d\d-\d\d, so it rejects every certificate/],
    ["clock", { epoch: "3600" }, /timedatectl set-ntp true/],
    ["clock-sync", { clock_synced: "false" }, /not synchronised/],
    [
      "userland",
      { ...os("raspbian", "12", "debian"), ...board, userland: "armhf", address_bits: "32" },
      /^the kernel is 64-bit \(aarch64\), but the system on it is not \(armhf\); amd64 or arm64 is required\. Install the 64-bit/,
    ],
    ["userland", { userland: "i386" }, /^the kernel is 64-bit \(x86_64\), but .* \(i386\)/],
    ["userland", { userland: "x32" }, /\(x32\); amd64 or arm64/],
    ["userland", { ...board, userland: "armel" }, /\(armel\); amd64 or arm64/],
    [
      "address-bits",
      { ...board, kernel: "6.6.62+rpt-rpi-v8", address_bits: "39" },
      /^the kernel 6\.6\.62\+rpt-rpi-v8 has addresses of 39 bits; Cilium's Envoy requires 47 or more\. Boot a kernel with CONFIG_ARM64_VA_BITS=48/,
    ],
    [
      "address-bits",
      { ...board, kernel: "5.10.160-rockchip", address_bits: "39" },
      /rockchip has addresses of 39 bits/,
    ],
    [
      "address-bits",
      { ...board, address_bits: "42" },
      /addresses of 42 bits.*or set envoy: \{ enabled: false \} in cilium\.values/,
    ],
    ["address-bits", { ...board, address_bits: "36" }, /addresses of 36 bits/],
    [
      "cgroup-controllers",
      { missing_cgroups: "memory " },
      /^these cgroup controllers are missing, which the kubelet requires: memory\. /,
    ],
    [
      "kmsg",
      { kernel_log: "is missing" },
      /^\/dev\/kmsg is missing, and the kubelet does not start without it\. Let the container have it \(LXC: lxc\.mount\.entry = \/dev\/kmsg /,
    ],
    ["kmsg", { kernel_log: "cannot be opened" }, /^\/dev\/kmsg cannot be opened, and/],
    [
      "resolv-conf",
      { name_servers: "127.0.0.1 ", own_servers: "127.0.0.1 (dnsmasq)", reachable_servers: "" },
      /^\/etc\/resolv\.conf names a server on this host's own loopback: 127\.0\.0\.1 \(dnsmasq\)\. .* CoreDNS would ask itself\. Name servers/,
    ],
    [
      "resolv-conf",
      { name_servers: "127.0.0.1 1.1.1.1 ", own_servers: "127.0.0.1", reachable_servers: "1.1.1.1 " },
      /own loopback: 127\.0\.0\.1\. In a pod/,
    ],
    [
      "resolv-conf",
      { name_servers: "2001:db8::53 fe80::1%eth0 ", reachable_servers: "" },
      /^\/etc\/resolv\.conf names only servers with IPv6 addresses: 2001:db8::53 fe80::1%eth0\. Pods have IPv4 alone/,
    ],
    [
      "firewall",
      {
        FILTER_IPTABLES: "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j REJECT --reject-with icmp-host-prohibited\nCOMMIT",
      },
      /^its packet filter \(iptables\) drops what the cluster needs: pods to the API server on their own node \(TCP 6443\)\. The rule: -A INPUT -j REJECT/,
    ],
    [
      "log-space",
      { log_space: "37 /var/log /dev/zram1" },
      /^37 MiB are free for logs in \/var\/log \(on \/dev\/zram1\); 512 MiB are/,
    ],
    [
      "apparmor",
      { containerd: "1.7.12", runc_profile: "yes" },
      /^containerd 1\.7\.12 does not let this host's runc stop containers/,
    ],
    ["cpus", { cpus: "1" }, /^it has 1 CPU; a control-plane needs at least 2\. Add more, or make it a worker/],
    ["memory", { memory_mib: "900" }, /^it has 900 MiB of memory; a control-plane needs at least 1700 MiB/],
    ["disk", { disk_free_mib: "100" }, /^100 MiB are free in \/var\/lib; 5120 MiB are required/],
    ["swap", { swap: "true" }, /^swap is on/],
    [
      "ports",
      { listening: { "2379": "consul" } },
      /Kubernetes, etcd or Cilium needs, are taken: 2379 \(consul\)\. Stop/,
    ],
    ["ports", { listening: { "6443": "" } }, /are taken: 6443 \(no process\)\./],
    ["ports", { listening: { "10250": "kubelet", "4240": "x" } }, /are taken: 4240 \(x\) 10250 \(kubelet\)\./],
    ["tools", { missing_tools: "conntrack socat " }, /^these commands are missing: conntrack socat\. Install/],
    ["containerd", { containerd: "1.4.13" }, /^containerd is 1\.4\.13; .* requires 1\.6 or newer/],
    ["containerd", { containerd: "none" }, /^containerd is none/],
    [
      "foreign-cluster",
      {
        kubernetes: "foreign",
        foreign_files: "/var/lib/rancher/k3s ",
        foreign_cure: "/usr/local/bin/k3s-uninstall.sh",
      },
      /^it is in a Kubernetes cluster that .* did not create: \/var\/lib\/rancher\/k3s\. If nothing needs it, remove it: \/usr.*\/k3s-uninstall\.sh\.$/,
    ],
    [
      "kubernetes-containers",
      { k8s_containers: "abc def " },
      /^containerd has containers .* did not create: abc def\. The kubelet/,
    ],
    [
      "etcd-data",
      { etcd_data: "default " },
      /^\/var\/lib\/etcd contains data that is not from this cluster: default\. It must be empty/,
    ],
  ];
  for (const [id, host, line] of bad) {
    it(`${id}: say ${line.source}`, () => {
      const found = problems(cp1, host);
      expect(found).to.have.lengthOf(1);
      expect(found[0]).to.match(line);
    });
  }

  it("are skipped where a host profile says so", () => {
    const idsOf = (on: ClusterConfig) => [...new Set(requirements(cp1, on).map(({ id }) => id))];
    const all = idsOf(config);
    for (const id of all) {
      expect(idsOf(withProfile({ skipHostChecks: [id] })), id).to.deep.equal(all.filter((one) => one !== id));
    }
    const worst = bad.reduce<Host>((host, [, one]) => ({ ...host, ...one }), {});
    expect(problems(cp1, worst).length).to.be.greaterThan(20);
    expect(problems(cp1, worst, withProfile({ skipHostChecks: all }))).to.deep.equal([]);
  });

  it("have a test for each", () => {
    const elsewhere = ["vxlan", "container-engines", "bundle", "proxy"];
    expect([...new Set(bad.map(([id]) => id)), ...elsewhere]).to.have.members([...requirementIds]);
  });

  it("are those that requirementIds names, in the same order", () => {
    const withBundle = configOf({
      bundle: "/opt/bundle",
      proxy: { http: "http://127.0.0.1:1" },
      network: { podRouting: "vxlan" },
    });
    const idsOf = (node: NodeConfig) => [...new Set(requirements(node, withBundle).map(({ id }) => id))];
    expect(idsOf(cp1)).to.deep.equal(requirementIds);
    expect(idsOf(w1)).to.deep.equal(requirementIds.filter((id) => id !== "etcd-data"));
  });

  it("have ethtool among the tools that a host with a bundle brings, if something needs it", () => {
    const lan = {
      nodeNetwork: "lan",
      lan: { cidr: "192.0.2.0/24", checksumOffload: false },
      endpoint: { address: "192.0.2.11" },
      tailnetAuthKey: undefined,
    };
    const users = (changes: Record<string, unknown>) => {
      const on = configOf(changes);
      return requirements(on.nodes[0]!, on).flatMap(({ id, test, problem }) =>
        /ethtool/.test(test) ? `${id}: ${/which (.*) needs/.exec(problem)![1]}` : [],
      );
    };
    const gro = { tailnet: { udpGroForwarding: true } };
    expect(users({ bundle: "/opt/bundle", ...lan })).to.deep.equal(["tools: checksumOffload: false"]);
    expect(users({ bundle: "/opt/bundle", ...gro })).to.deep.equal(["tools: tailnet.udpGroForwarding"]);
    for (const changes of [{ bundle: "/opt/bundle" }, lan, gro]) expect(users(changes)).to.deep.equal([]);
  });

  it("tell all problems of a host at once, in their own order", () => {
    expect(problems(cp1, { swap: "true", tun: "false", memory_mib: "900" })).to.deep.equal([
      "/dev/net/tun is missing, which Tailscale needs. Load the module tun, or pass the device into the container.",
      "it has 900 MiB of memory; a control-plane needs at least 1700 MiB. Add more, or make it a worker.",
      "swap is on, so kubelet would not start. Turn it off permanently (swapoff -a, and its line in /etc/fstab, zram or " +
        "dphys-swapfile), or set kubelet.failSwapOn: false in a host profile.",
    ]);
  });

  it("are warnings on a host that is a node already, if they are newer than nodes may be", () => {
    const state = temporaryFolder();
    const worn = {
      ...{
        userland: "i386",
        missing_cgroups: "pids ",
        kernel_log: "is missing",
        log_space: "3 /var/log/pods /dev/sda2",
      },
      ...{ own_servers: "127.0.0.1", reachable_servers: "", runc_profile: "yes", containerd: "1.7.12", vxlan: "no" },
      FILTER_NFT: "table inet f {\n\tchain i {\n\t\ttype filter hook input priority 0; policy drop;\n\t}\n}",
    };
    const vxlan = configOf({ network: { podRouting: "vxlan" } });
    const refused = problems(cp1, { ...worn, state }, vxlan);
    expect(refused).to.have.lengthOf(8);
    write(`${state}/joined`, "membership");
    expect(warnings(cp1, { ...worn, state }, vxlan)).to.deep.equal(refused);
    expect(problems(cp1, { ...worn, swap: "true", state }, vxlan), "what has always been one").to.have.lengthOf(1);
    removeTemporaryFolders();
  });

  it("count as neither met nor failed without an answer, and say so", () => {
    const silent = {
      ...{ userland: "?dpkg does not answer", missing_cgroups: "?/proc/cgroups cannot be read" },
      ...{ kernel_log: "?only root can open /dev/kmsg", address_bits: "?/proc/self/maps cannot be read" },
      ...{ log_space: "?df /var/log/pods does not answer", FILTER_UNKNOWN: "?nft list ruleset fails" },
      ...{
        vxlan: "?modprobe is not installed",
        runc_profile: "?profiles cannot be read",
        docker: "?systemd does not say it",
      },
    };
    const vxlan = configOf({ network: { podRouting: "vxlan" } });
    const ids = [
      ...["userland", "vxlan", "address-bits", "cgroup-controllers", "kmsg", "firewall", "log-space", "apparmor"],
      "container-engines",
    ];
    const said = warnings(cp1, silent, vxlan);
    expect(said.map((line) => /^the requirement (\S+) could not be checked: /.exec(line)?.[1])).to.deep.equal(ids);
    expect(said[1]).to.equal(
      "the requirement vxlan could not be checked: modprobe is not installed. Check it yourself, or add vxlan to skipHostChecks in a host profile.",
    );
    expect(
      warnings(cp1, silent, { ...vxlan, hostProfile: { ...emptyHostProfile, skipHostChecks: ids } }),
    ).to.deep.equal([]);
  });

  it("ask for VXLAN only where pods use it", () => {
    const lan = {
      nodeNetwork: "lan",
      lan: { cidr: "192.0.2.0/24" },
      endpoint: { address: "192.0.2.11" },
      tailnetAuthKey: undefined,
    };
    const raspberry = { ...os("ubuntu", "22.04", "debian"), ...board, vxlan: "no", kernel: "5.15.0-1005-raspi" };
    expect(problems(cp1, raspberry)).to.deep.equal([]);
    expect(problems(w1, raspberry, configOf({ ...lan, network: { podRouting: "native" } }))).to.deep.equal([]);
    for (const on of [configOf(lan), configOf({ network: { podRouting: "vxlan" } })]) {
      const [line, ...others] = problems(on.nodes[3]!, raspberry, on);
      expect(others).to.deep.equal([]);
      expect(line).to.match(
        /^the kernel 5\.15\.0-1005-raspi cannot load the module vxlan, which network\.podRouting: vxlan requires\. Install it, as ubuntu has it, or set network\.podRouting: native\.$/,
      );
    }
  });

  it("ask for addresses only where Envoy runs", () => {
    const small = { ...board, address_bits: "39" };
    const values = (cilium: Record<string, unknown>) => configOf({ cilium: { values: cilium } });
    expect(problems(w1, small)).to.have.lengthOf(1);
    expect(problems(w1, small, values({ envoy: { rollOutPods: true } }))).to.have.lengthOf(1);
    for (const without of [{ envoy: { enabled: false } }, { l7Proxy: false }]) {
      expect(problems(w1, small, values(without))).to.deep.equal([]);
      expect(problems(w1, small, withProfile({ ciliumValues: without }))).to.deep.equal([]);
    }
  });

  it("let a kubelet in a user namespace do without the kernel's log", () => {
    const featureGates = { KubeletInUserNamespace: true };
    expect(problems(w1, { kernel_log: "is missing" }, withProfile({ kubelet: { featureGates } }))).to.deep.equal([]);
    expect(problems(w1, { kernel_log: "is missing" }, configOf({ kubernetes: { featureGates } }))).to.deep.equal([]);
    expect(problems(w1, { kernel_log: "is missing" }, withProfile({ kubelet: { featureGates: {} } }))).to.have.lengthOf(
      1,
    );
  });

  it("do not mind a containerd that the config replaces", () => {
    const noble = { containerd: "1.7.12", containerd_package: "containerd", runc_profile: "yes" };
    expect(problems(w1, noble)).to.have.lengthOf(1);
    expect(problems(w1, noble, configOf({ kubernetes: { containerdVersion: "2.2.1" } }))).to.deep.equal([]);
    expect(problems(w1, noble, configOf({ kubernetes: { containerdVersion: "1.7.12" } }))).to.have.lengthOf(1);
  });

  it("warn of what will come of other container engines, until the host is the cluster's", () => {
    const state = temporaryFolder();
    const engines = { docker: "Docker, 3 containers run", other_networks: "87-podman-bridge.conflist ", state };
    expect(warnings(w1, engines)).to.deep.equal([
      "Docker, 3 containers run. It stays, and Kubernetes uses its containerd, too: the run adds its own settings to " +
        "/etc/containerd/config.toml and restarts containerd, which stops no container. A destroy restores the file. Kubernetes does not " +
        "count what Docker's containers use.",
      "another container engine has networks in /etc/cni/net.d: 87-podman-bridge.conflist. While the host is a node, Cilium renames these " +
        "files to *.cilium_bak, so that podman and others cannot start containers in them; a destroy restores them. To keep them, set cni: " +
        "{ exclusive: false } in cilium.values.",
    ]);
    expect(warnings(w1, engines, configOf({ cilium: { values: { cni: { exclusive: false } } } }))).to.have.lengthOf(1);
    expect(warnings(w1, engines, withProfile({ skipHostChecks: ["container-engines"] }))).to.deep.equal([]);
    write(`${state}/checked`, "");
    expect(warnings(w1, engines)).to.deep.equal([]);
    removeTemporaryFolders();
  });

  it("leave another package's containerd alone, and refuse a version that would need its removal", () => {
    const docker = { containerd: "1.7.28", containerd_package: "containerd.io" };
    const versioned = (containerdVersion: string) => configOf({ kubernetes: { containerdVersion } });
    expect(problems(cp1, docker)).to.deep.equal([]);
    expect(problems(cp1, docker, versioned("1.7.28"))).to.deep.equal([]);
    expect(problems(cp1, docker, versioned("2.2.1"))).to.deep.equal([
      "containerd is 1.7.28 from containerd.io. kubernetes.containerdVersion 2.2.1 would replace that package and remove packages that " +
        "depend on it, such as Docker. Remove that key, or upgrade the package to that version.",
    ]);
    expect(problems(cp1, { containerd: "1.6.20", containerd_package: "containerd" }, versioned("2.2.1"))).to.deep.equal(
      [],
    );
    expect(problems(cp1, {}, versioned("2.2.1"))).to.deep.equal([]);
  });

  it("let a worker's etcd be the user's", () => {
    expect(problems(w1, { etcd_data: "default " })).to.deep.equal([]);
  });

  it("ask less of a worker", () => {
    const small = { cpus: "1", memory_mib: "900", listening: { "2379": "consul", "6443": "haproxy" } };
    expect(problems(w1, small)).to.deep.equal([]);
    expect(problems(w1, { memory_mib: "500" })).to.deep.equal([
      "it has 500 MiB of memory; a worker needs at least 700 MiB. Add more.",
    ]);
  });

  it("ask for the endpoint's port where another one is declared", () => {
    const other = configOf({ endpoint: { port: 7443 } });
    expect(problems(cp1, { listening: { "6443": "haproxy" } }, other)).to.deep.equal([]);
    expect(problems(cp1, { listening: { "7443": "haproxy" } }, other)[0]).to.match(/7443 \(haproxy\)/);
  });

  it("ask for the tunnel's port only where there is a tunnel, by UDP, on workers too", () => {
    const taken = { listening: { "8472/udp": "" } };
    const vxlan = configOf({ network: { podRouting: "vxlan" } });
    expect(problems(cp1, taken)).to.deep.equal([]);
    expect(problems(cp1, taken, vxlan)).to.deep.equal([
      "these ports, which Kubernetes, etcd or Cilium needs, are taken: 8472/udp (no process). Stop the process or change its port, " +
        "or, for 8472/udp, choose another network.tunnelPort.",
    ]);
    expect(problems(w1, taken, vxlan)).to.have.lengthOf(1);
    expect(problems(cp1, { listening: { "8472": "web" } }, vxlan)).to.deep.equal([]);
    expect(problems(cp1, taken, configOf({ network: { podRouting: "vxlan", tunnelPort: 8223 } }))).to.deep.equal([]);
  });

  it("let kubelet's own settings answer for cgroup v1 and swap, and kubeadm's for the kernel", () => {
    const profile = withProfile({
      kubelet: { failCgroupV1: false, failSwapOn: false },
      ignorePreflightErrors: ["SystemVerification"],
    });
    expect(problems(cp1, { cgroup: "1", swap: "true", kernel: "5.19.1" }, profile)).to.deep.equal([]);
    expect(problems(cp1, { kernel: "5.19.1" }, withProfile({ ignorePreflightErrors: ["all"] }))).to.deep.equal([]);
    expect(problems(cp1, { kernel: "5.19.1" }, withProfile({ ignorePreflightErrors: ["Swap"] }))).to.have.lengthOf(1);
    expect(problems(cp1, { kernel: "5.4.0" }, profile)[0]).to.match(/requires 5\.10 or newer\. Boot a newer kernel\.$/);
  });

  it("say in one line that the proxy is not there, whatever it would be asked for", () => {
    expect(problems(cp1, {}, configOf({ proxy: { http: "http://127.0.0.1:1" } }))).to.deep.equal([
      "the proxy http://127.0.0.1:1 cannot be reached: the connection is refused, or its name is unknown. Correct proxy in the config, " +
        "or let this host connect to it.",
    ]);
  });

  it("want containerd 2 for Kubernetes 1.38", () => {
    const next = configOf({ kubernetes: { version: "1.38.0" } });
    expect(problems(cp1, { containerd: "1.7.2" }, next)[0]).to.match(/Kubernetes 1\.38\.0 requires 2\.0 or newer/);
    expect(problems(cp1, { containerd: "2.0.1" }, next)).to.deep.equal([]);
  });

  describe("bundle", () => {
    const bundled = configOf({ bundle: "/opt/bundle", kubernetes: { version: "1.36.3" } });
    const present = { bundle_version: "1.36.3", bundle_arch: "x86_64" };

    it("is only looked for where the config names one", () => {
      expect(problems(cp1, {})).to.deep.equal([]);
      expect(problems(cp1, {}, bundled)).to.deep.equal([
        "the offline bundle at /opt/bundle has Kubernetes (none) for (none); 1.36.3 for x86_64 is required. Copy the " +
          "right bundle there, or remove the config key bundle.",
      ]);
      expect(
        problems(cp1, {}, { ...bundled, hostProfile: { ...emptyHostProfile, skipHostChecks: ["bundle"] } }),
      ).to.deep.equal([]);
    });

    it("has to be of the right version and architecture", () => {
      expect(problems(cp1, present, bundled)).to.deep.equal([]);
      expect(problems(cp1, { ...present, bundle_version: "1.36.2" }, bundled)[0]).to.match(
        /has Kubernetes 1\.36\.2 for x86_64; 1\.36\.3 for x86_64 is required/,
      );
      expect(problems(cp1, { ...present, ...board }, bundled)[0]).to.match(
        /for x86_64; 1\.36\.3 for aarch64 is required/,
      );
    });
  });

  it("have texts that bash takes as they are, whatever the host and the config", () => {
    const configs = [
      config,
      configOf({
        bundle: "/opt/a+b@c_d",
        network: { podRouting: "vxlan" },
        ssh: { user: "admin" },
        kubernetes: { version: "1.37.0-rc.1" },
      }),
      withProfile({ ignorePreflightErrors: ["SystemVerification"] }),
    ];
    for (const on of configs) {
      for (const node of on.nodes) {
        const all = requirements(node, on);
        const stdout = bashOk(
          [
            factsScript({}),
            "set -u",
            assignments({
              ...goodHost,
              ...{ log_mib: "40", log_folder: "/var/log", log_device: "/dev/zram0", kernel_log: "is missing" },
              ...{
                missing_cgroups: "memory ",
                own_servers: "127.0.0.1 (dnsmasq)",
                docker: "Docker",
                other_networks: "x.conf ",
              },
              ...{ FILTER_KIND: "ufw", FILTER_DROPS: "a, b", FILTER_UNSURE: "c", FILTER_BY: "-A INPUT -j DROP" },
              foreign_cure: "kubeadm reset",
              taken: "2379 (consul) ",
              missing_tools: "nft tc ",
              missing_kernel: "CONFIG_TUN ",
              containerd: "1.4.13",
              foreign_files: "/etc/kubernetes/kubelet.conf ",
              k8s_containers: "abc ",
              etcd_data: "default ",
            }),
            ...all.map(({ problem }) => `printf '%s\\0' "${problem}"`),
          ].join("\n"),
        );
        const texts = stdout.split("\0").slice(0, -1);
        expect(texts).to.have.lengthOf(all.length);
        for (const text of texts) {
          expect(text)
            .to.match(/^\S.*\.$/)
            .and.not.match(/[$`"\\]|\s\s|\s[.,;]/);
        }
      }
    }
  });

  it("are told of what `gather` really finds", () => {
    const names = Object.keys(goodHost);
    const unset = bashOk(
      [
        factsScript({ TK_BUNDLE: "/nonexistent" }),
        "set -uo pipefail",
        "gather 2>/dev/null",
        `for name in ${names.join(" ")}; do [ -v "$name" ] || echo "$name"; done`,
      ].join("\n"),
    );
    expect(unset).to.equal("");
  });
});

describe("whose a host is", () => {
  afterEach(removeTemporaryFolders);

  /** What gather's questions answer on a host with these files. */
  function asked(files: string[], question: string): string {
    const root = temporaryFolder();
    for (const file of files) write(`${root}${file}`, "");
    const text = factsScript({}).replace(
      /\/(etc\/kubernetes|var\/lib\/(?:etcd|rancher|k0s|tailkube)|var\/snap)/g,
      `${root}/$1`,
    );
    return bashOk(`${text}\nset -uo pipefail\n${question}`).replaceAll(root, "").trim();
  }
  const state = "/var/lib/tailkube";

  it("is ours only after a completed check, not where a stage has merely begun", () => {
    expect(asked([`${state}/checked`], "cluster_kind")).to.equal("ours");
    expect(asked([`${state}/joined`], "cluster_kind")).to.equal("ours");
    expect(asked([`${state}/owned.runtime`], "cluster_kind")).to.equal("");
    expect(asked([`${state}/owned.runtime`, "/etc/kubernetes/kubelet.conf"], "cluster_kind")).to.equal("foreign");
  });

  it("is another cluster's where kubeadm would overwrite its files", () => {
    for (const file of [
      "/etc/kubernetes/kubelet.conf",
      "/etc/kubernetes/pki/ca.key",
      "/etc/kubernetes/manifests/haproxy.yaml",
      "/var/lib/rancher/k3s",
      "/var/lib/k0s/x",
      "/var/snap/microk8s/x",
    ]) {
      expect(asked([file], "cluster_kind"), file).to.equal("foreign");
    }
    expect(asked(["/etc/kubernetes/cloud.json"], "cluster_kind")).to.equal("");
  });

  it("says what is in etcd's folder, unless that was recorded as ours before it was made", () => {
    const data = "/var/lib/etcd/default/member";
    expect(asked([data], "etcd_content")).to.equal("default");
    expect(asked([data, `${state}/owned.runtime`, `${state}/checked`], "etcd_content")).to.equal("default");
    expect(asked([data, `${state}/etcd-ours`], "etcd_content")).to.equal("");
    expect(asked([data, `${state}/joined`], "etcd_content")).to.equal("");
    expect(asked([], "etcd_content")).to.equal("");
    expect(asked(["/var/lib/etcd/lost+found/#1"], "etcd_content"), "a disk of its own").to.equal("");
  });

  it("counts a containerd that does not answer as one with containers", () => {
    const ctr = (body: string, state = "active") =>
      `systemctl() { echo ${state}; }; ctr() { :; }; sleep() { SECONDS=$((SECONDS + $1)); }; timeout() { ${body}; }\nkubernetes_containers`;
    expect(asked([], ctr("echo abc; echo def"))).to.equal("abc def");
    expect(asked([], ctr("true"))).to.equal("");
    expect(asked([], ctr("false"))).to.equal("ctr does not answer");
    expect(asked([], ctr("echo abc", "activating"))).to.equal("ctr does not answer");
    expect(asked([], ctr("echo abc", "inactive"))).to.equal("");
    expect(asked([`${state}/checked`], ctr("echo abc"))).to.equal("");
  });
});

describe("the facts of a host that is fit", () => {
  it("are JSON, on the very machine that runs the tests", () => {
    const facts = JSON.parse(bashOk(`${factsScript({})}\nmain apply 2>/dev/null`)) as Record<string, unknown>;
    expect(facts).to.have.all.keys(
      ...["machineId", "bootId", "membership", "os", "arch", "kernel", "cgroup", "networkManagers", "containerd"],
      ...["interfaces", "resolvConf", "warnings"],
    );
    expect(facts.cgroup).to.be.oneOf([1, 2]);
    expect(facts.resolvConf).to.match(/^\/.*resolv\.conf$/);
    expect(facts.networkManagers).to.be.an("array");
  });

  it("hold each interface with its addresses and MTU, however it is named", () => {
    const text = [
      factsScript({}),
      `ip() {
          case "$*" in
          "-o link show")
              echo '1: lo: <LOOPBACK,UP> mtu 65536 qdisc noqueue'
              echo '2: eth0@if7: <BROADCAST,UP> mtu 9000 qdisc noqueue'
              echo '3: br-5d: <BROADCAST,UP> mtu 1500 qdisc noqueue' ;;
          "-o addr show dev eth0")
              echo '2: eth0    inet 192.0.2.11/24 brd 192.0.2.255 scope global eth0'
              echo '2: eth0    inet6 fe80::1/64 scope link' ;;
          "-o addr show dev lo") echo '1: lo    inet 127.0.0.1/8 scope host lo' ;;
          esac
      }`,
      "set -u",
      "interfaces_json",
    ].join("\n");
    expect(JSON.parse(bashOk(text))).to.deep.equal([
      { name: "lo", addresses: ["127.0.0.1/8"], mtu: 65536 },
      { name: "eth0", addresses: ["192.0.2.11/24", "fe80::1/64"], mtu: 9000 },
      { name: "br-5d", addresses: [], mtu: 1500 },
    ]);
  });
});
