/**
 * What the scripts do to rules, routes, filters and kernel settings, with the real `ip` and the real kernel: each test has a
 * network namespace of its own. That takes root; without it these tests are skipped, and say so.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { expect } from "chai";
import { networkScript, scriptText } from "../../../components/hosts/script-text";
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

const namespace = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
const canUnshare = spawnSync(namespace[0]!, [...namespace.slice(1), "true"]).status === 0;

/** Runs bash in a new network namespace that has an uplink eth0 with 192.168.1.5/24 and a default route. */
function inNamespace(text: string) {
  const prelude = `
    ip link set lo up
    ip link add eth0 type veth peer name peer0
    ip addr add 192.168.1.5/24 dev eth0
    ip link set eth0 up; ip link set peer0 up
    ip route add default via 192.168.1.1 dev eth0\n`;
  const [command, ...args] = [...namespace, "bash", "-s"];
  const run = spawnSync(command, args, {
    input: prelude + text,
    encoding: "utf8",
    timeout: 60_000,
    killSignal: "SIGKILL",
  });
  return { status: run.status, stdout: run.stdout, stderr: run.stderr };
}

/** As inNamespace, for bash that has to end well and say nothing on stderr; the lines that it prints, blanks as one. */
function linesIn(text: string): string[] {
  const { status, stdout, stderr } = inNamespace(`set -euo pipefail\n${text}`);
  expect({ status, stderr }).to.deep.equal({ status: 0, stderr: "" });
  return stdout
    .trim()
    .split("\n")
    .map((line) => line.replace(/\s+/g, " ").trim());
}

describe("with the real ip", () => {
  before(function () {
    if (!canUnshare) {
      console.log("      skipped: network namespaces take root here");
      this.skip();
    }
  });
  afterEach(removeTemporaryFolders);

  describe("installed/network.sh", () => {
    function host(changes: Record<string, string> = {}) {
      const root = temporaryFolder();
      const settings = {
        ADDRESS: "100.64.0.1",
        POD_CIDR: "10.50.0.0/16",
        POD_ROUTING: "native",
        ENDPOINT: "10.200.0.1",
        ...changes,
      };
      write(
        `${root}/etc/tailkube/node.env`,
        Object.entries(settings)
          .map(([key, value]) => `TAILKUBE_${key}=${value}\n`)
          .join(""),
      );
      // It does not write what it is given: nothing may fall on this machine's own filters or sockets.
      write(
        `${root}/bin/nft`,
        `#!/bin/bash\nif [ "$1" = -f ]; then cat >${root}/table; else rm -f ${root}/table; fi\n`,
        0o755,
      );
      write(`${root}/bin/ss`, `#!/bin/bash\ncat ${root}/sockets 2>/dev/null\n`, 0o755);
      write(
        `${root}/network`,
        networkScript()
          .replace(/^export PATH=/m, `export PATH=${root}/bin:`)
          .replaceAll("/etc/tailkube/", `${root}/etc/tailkube/`),
      );
      return root;
    }
    const ours = "ip rule show | grep -E '^(5180|52..):' || true";
    const native = [
      "5180: from all to 10.50.0.0/16 lookup main suppress_prefixlength 16",
      "5200: from all to 10.50.0.0/16 lookup 52",
      "5201: from all to 10.200.0.1 lookup 52",
      "5202: from all to 100.64.0.0/10 lookup 52",
      "5205: from all lookup main suppress_prefixlength 7",
    ];

    it("makes the rules once, and takes all of them away", () => {
      const root = host();
      const run = `bash ${root}/network`;
      expect(linesIn(`${run} up; ${ours}`)).to.deep.equal(native);
      expect(linesIn(`${run} up; ${run} up; ${ours}`)).to.deep.equal(native);
      expect(
        linesIn(
          `before=$(ip rule show); ${run} up; ${run} down; ${run} down; diff <(echo "$before") <(ip rule show) && echo same`,
        ),
      ).to.deep.equal(["same"]);
      expect(readFileSync(`${root}/network`, "utf8")).to.not.include("fwmark 0xf00");
    });

    it("leaves a rule of the user's at one of its preferences alone", () => {
      const root = host();
      const theirs = "5202: from 192.168.7.0/24 lookup 77";
      const run = `ip rule add pref 5202 from 192.168.7.0/24 lookup 77; bash ${root}/network up; ${ours}; bash ${root}/network down; ${ours}`;
      expect(linesIn(run)).to.have.members([...native, theirs, theirs]);
    });

    it("has no way to the pods through the tailnet where they are tunnelled", () => {
      const root = host({ POD_ROUTING: "vxlan" });
      expect(linesIn(`bash ${root}/network up; ${ours}`)).to.deep.equal(
        native.filter((rule) => !rule.startsWith("5200:")),
      );
    });

    it("puts the rule of all marks in the place of the former one", () => {
      const root = host();
      const former = "ip rule add pref 5200 fwmark 0xf00/0xf00 to 10.50.0.0/16 lookup 52";
      expect(linesIn(`${former}; bash ${root}/network up; ${ours}`)).to.deep.equal(native);
    });

    /** Where packets go on a node in a tailnet whose other devices advertise what they like. */
    const tailnet = `
      ip link add tailscale0 type veth peer name peer1; ip link set tailscale0 up; ip link set peer1 up
      ip link add cilium_host type veth peer name peer2; ip link set cilium_host up; ip link set peer2 up
      ip addr add 100.64.0.1/32 dev tailscale0; ip addr add 10.50.0.9/32 dev cilium_host
      ip route add 10.50.0.0/24 dev cilium_host src 10.50.0.9
      # Tailscale's rules and table.
      ip rule add pref 5210 fwmark 0x80000/0xff0000 lookup main
      ip rule add pref 5270 lookup 52
      for route in 10.50.1.0/24 10.200.0.1 100.64.0.2 172.20.0.0/16 $HOSTILE; do ip route add "$route" dev tailscale0 table 52; done
      way() { ip route get "$@" | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p'; }`;

    it("sends every mark of Cilium's to the other nodes' pods, the endpoint and the nodes by the tailnet", () => {
      const root = host();
      const marks = [
        "0x80200",
        "0x80a00",
        "0x80b00",
        "0x80f00",
        "0x080f00",
        "0x8080f00",
        "0x40f00",
        "0xc00",
        "0xe00",
        "0",
      ];
      const ways = linesIn(`HOSTILE=; ${tailnet}
        bash ${root}/network up
        for mark in ${marks.join(" ")}; do way 10.50.1.7 mark $mark; way 10.200.0.1 mark $mark; way 100.64.0.2 mark $mark; done`);
      expect(ways).to.deep.equal(Array(3 * marks.length).fill("tailscale0"));
    });

    it("keeps the host's own networks and its own pods, whatever other devices advertise", () => {
      const root = host();
      // The host's own network, half of it, its gateway, and half of its own pods.
      const hostile = "192.168.1.0/24 192.168.1.128/25 192.168.1.1 10.50.0.0/25 10.50.0.128/25";
      const ways = (up: string) =>
        linesIn(`HOSTILE="${hostile}"; ${tailnet}
          ${up}
          way 192.168.1.200; way 192.168.1.1; way 8.8.8.8; way 10.50.0.7; way 10.50.0.200; way 172.20.1.1`);
      expect(ways(`bash ${root}/network up`)).to.deep.equal([
        "eth0",
        "eth0",
        "eth0",
        "cilium_host",
        "cilium_host",
        "tailscale0",
      ]);
      expect(ways(":").slice(0, 2), "what it is for").to.deep.equal(["tailscale0", "tailscale0"]);
    });

    it("leaves the cluster's ways to the tailnet on a host with wide routes of its own", () => {
      const root = host();
      // A provider's private network, and the halves of a default route that a VPN client makes.
      const ways = linesIn(`HOSTILE=; ${tailnet}
        ip route add 10.0.0.0/8 via 192.168.1.1; ip route add 0.0.0.0/1 via 192.168.1.1; ip route add 128.0.0.0/1 via 192.168.1.1
        bash ${root}/network up
        way 10.50.1.7; way 10.200.0.1; way 100.64.0.2; way 172.20.1.1; way 10.9.9.9`);
      expect(ways).to.deep.equal(["tailscale0", "tailscale0", "tailscale0", "tailscale0", "eth0"]);
    });

    it("drops tailscaled's own packets to pods, from whatever port it has", () => {
      const root = host();
      const table = () => readFileSync(`${root}/table`, "utf8");
      linesIn(`bash ${root}/network up; echo`);
      expect(table()).to.match(/^table inet tailkube\ndelete table inet tailkube\ntable inet tailkube \{/);
      expect(table()).to.include("ip daddr 10.50.0.0/16 udp sport { 41641 } counter drop");
      write(
        `${root}/sockets`,
        [
          'UNCONN 0 0 0.0.0.0:53111 0.0.0.0:* users:(("tailscaled",pid=7,fd=16))',
          'UNCONN 0 0 [::]:53111 [::]:* users:(("tailscaled",pid=7,fd=17))',
          'UNCONN 0 0 0.0.0.0:68 0.0.0.0:* users:(("dhclient",pid=3,fd=7))',
        ].join("\n"),
      );
      linesIn(`bash ${root}/network up; echo`);
      expect(table()).to.include("udp sport { 41641,53111 } counter drop");
    });

    const all = "/proc/sys/net/ipv4/conf/all";
    const uplink = "/proc/sys/net/ipv4/conf/eth0/rp_filter";

    it("clears src_valid_mark, and holds it against every start of tailscaled", () => {
      const root = host();
      const said = linesIn(`echo 1 >${all}/src_valid_mark; echo 0 >${uplink}; echo 0 >${all}/rp_filter
        bash ${root}/network watch >${root}/said & watch=$!
        held() { for _ in {1..100}; do [ "$(cat ${all}/src_valid_mark)" != 0 ] || return 0; sleep 0.1; done; echo never; }
        held; echo 1 >${all}/src_valid_mark; held; kill $watch; cat ${all}/src_valid_mark ${uplink}`);
      expect(said).to.deep.equal(["0", "0"]);
      expect(readFileSync(`${root}/said`, "utf8").trim().split("\n")).to.have.lengthOf(2);
    });

    it("loosens a strict reverse path filter first, and no other", () => {
      const root = host();
      for (const [everywhere, own, after] of [
        ["0", "1", "2"],
        ["1", "0", "2"],
        ["2", "1", "1"],
        ["0", "0", "0"],
      ]) {
        expect(
          linesIn(`echo 1 >${all}/src_valid_mark; echo ${everywhere} >${all}/rp_filter; echo ${own} >${uplink}
            bash ${root}/network up >/dev/null; cat ${all}/src_valid_mark ${uplink}`),
          `all ${everywhere}, eth0 ${own}`,
        ).to.deep.equal(["0", after]);
      }
    });

    it("puts rules back that something else has removed", () => {
      const root = host();
      const text = readFileSync(`${root}/network`, "utf8").replace("interval=2", "interval=0.1");
      write(`${root}/network`, text);
      expect(
        linesIn(`bash ${root}/network watch >/dev/null & watch=$!
          sleep 1; ip rule del pref 5200; ip rule del pref 5205; sleep 4; kill $watch; ${ours}`),
      ).to.deep.equal(native);
    });
  });

  describe("the kernel's own rules", () => {
    /** As Cilium's proxy leaves them. */
    const moved = (family: string) =>
      `ip ${family} rule add pref 100 lookup local protocol kernel; ip ${family} rule del pref 0 lookup local`;
    const kernels = ["0: from all lookup local proto kernel", "32766: from all lookup main proto kernel"];
    const rules = (family: string) => `ip -d ${family} rule show | grep -v ' lookup default'`;
    const reset = (root: string, text: string) =>
      withLibrary(root, [scriptText("lib/node/reset-cilium.sh"), 'mkdir -p "$TK_RUN"', text].join("\n"), "cleanup");

    for (const family of ["-4", "-6"]) {
      it(`come back as the kernel's (${family})`, () => {
        const root = temporaryFolder();
        for (const before of [
          moved(family),
          // As an earlier clean-up has left them: not the kernel's, which a network manager removes when it restarts.
          `${moved(family)}; ip ${family} rule add pref 0 lookup local`,
          // And as they are after that.
          `${moved(family)}; ip ${family} rule del pref 100`,
          ":",
        ]) {
          const once = "restore_local_rule " + family;
          const after = linesIn(reset(root, `${before}\n${once}\n${once}\n${rules(family)}`));
          expect(after, before).to.deep.equal(before === ":" ? after : kernels);
        }
      });
    }

    it("are there at every moment of Cilium's removal", () => {
      const root = temporaryFolder();
      // Each call of ip is followed by a look.
      const log = linesIn(
        reset(
          root,
          `${moved("-4")}
          ip rule add pref 9 fwmark 0x200/0xf00 lookup 2004 protocol kernel; ip rule add pref 10 fwmark 0xa00/0xf00 lookup 2005 protocol kernel
          ip route add local default dev lo table 2004
          ip rule add pref 77 fwmark 0x7 lookup 200
          ip() { command ip "$@"; local status=$?; command ip rule show | grep 'lookup local' >/dev/null || echo "none after $*" >&2; return $status; }
          pkill() { :; }; rm() { :; }; rmdir() { :; }; umount() { :; }; iptables-nft-save() { :; }; ip6tables-nft-save() { :; }; ipset() { :; }; dpkg-query() { echo theirs: x; }; tc() { :; }
          reset_cilium
          command ip -d rule show; command ip route show table 2004 2>/dev/null || true`,
        ),
      );
      expect(log).to.deep.equal([
        kernels[0],
        "77: from all fwmark 0x7 lookup 200 proto unspec",
        kernels[1],
        "32767: from all lookup default proto kernel",
      ]);
    });

    it("takes Cilium's interfaces away, and not LXC's bridge", () => {
      const root = temporaryFolder();
      const text = `for name in lxcbr0 lxc0a1b2c3d4e5f lxc_health cilium_host; do ip link add $name type veth; done
        links() { ip -o link show | awk -F': ' '{sub(/@.*/, "", $2); print $2}' | grep -E '^(lxc|cilium)' || true; }
        pkill() { :; }; rm() { :; }; rmdir() { :; }; umount() { :; }; iptables-nft-save() { :; }; ip6tables-nft-save() { :; }; ipset() { :; }; dpkg-query() { echo theirs: x; }; tc() { :; }
        reset_cilium; links`;
      expect(linesIn(reset(root, text))).to.deep.equal(["lxcbr0"]);
    });

    it("does not end well while something holds Cilium's programs", () => {
      const root = temporaryFolder();
      write(`${root}/pins/devices/tailscale0/links/cil_from_netdev`, "");
      const { status, stderr } = bash(
        reset(
          root,
          `CILIUM_PINS=${root}/pins
          pkill() { :; }; rm() { :; }; rmdir() { :; }; umount() { :; }; iptables-nft-save() { :; }; ip6tables-nft-save() { :; }; ipset() { :; }; dpkg() { :; }; tc() { :; }; ip() { :; }
          reset_cilium`,
        ),
      );
      expect(status).to.equal(1);
      expect(stderr).to.include(
        `Cilium's programs stay on this host's interfaces, because ${root}/pins cannot be removed`,
      );
    });

    it("are recorded with the host, and put back by it", () => {
      const root = temporaryFolder();
      const network = [
        assignments({ TK_POD_CIDR: "10.50.0.0/16" }),
        ...partsOf("lib/network/tailnet-and-lan.sh").map(scriptText),
        "nft() { :; }",
      ].join("\n");
      const after = linesIn(
        withLibrary(
          root,
          `${network}
          ip rule add pref 0 lookup local protocol kernel 2>/dev/null || true
          mkdir -p "$TK_RUN"; remember_kernel; cat "$TK_STATE/ip-rules" | grep -c 'lookup local'
          ip rule del pref 0; ip rule del pref 0 2>/dev/null || true; ip rule add pref 0 lookup local
          restore_kernel_rules; ip -d rule show pref 0 | grep -c 'proto kernel'`,
        ),
      );
      expect(Number(after[0])).to.be.within(1, 2);
      expect(after[1]).to.equal("1");
    });
  });

  it("an undo removes the tables and chains of iptables that have come since, and nothing with a rule or a policy", () => {
    const root = temporaryFolder();
    const add = (family: string, table: string, chain: string, policy = "accept") =>
      `nft add table ${family} ${table}; nft "add chain ${family} ${table} ${chain} { type filter hook ${chain.toLowerCase()} priority 0; policy ${policy}; }"`;
    const text = `${add("ip", "filter", "INPUT")}; nft add rule ip filter INPUT tcp dport 9 counter
      ${add("ip6", "filter", "FORWARD")}
      TK_STAGE=tailnet; mkdir -p "$TK_RUN"; remember_kernel
      ${add("ip", "filter", "OUTPUT")}; ${add("ip", "filter", "FORWARD", "drop")}
      ${add("ip6", "filter", "OUTPUT")}; nft add rule ip6 filter OUTPUT tcp dport 9 counter; ${add("ip6", "filter", "INPUT")}
      ${add("ip", "mangle", "PREROUTING")}; ${add("ip", "raw", "OUTPUT")}; nft add rule ip raw OUTPUT tcp dport 9 counter
      forget_tables; nft list tables; base_chains`;
    const network = [
      assignments({ TK_POD_CIDR: "10.50.0.0/16" }),
      ...partsOf("lib/network/tailnet-and-lan.sh").map(scriptText),
      text,
    ].join("\n");
    expect(linesIn(withLibrary(root, network)).map((line) => line.replace(/^table /, ""))).to.have.members([
      ...["ip filter", "ip6 filter", "ip raw"],
      ...["ip filter INPUT", "ip filter FORWARD", "ip6 filter FORWARD", "ip6 filter OUTPUT", "ip raw OUTPUT"],
    ]);
  });

  describe("installed/guard.sh", () => {
    const folder = (root: string) => `${root}/var/lib/tailkube/guard`;

    /** A host whose systemd only takes notes; `networkd` is what a restart of the network manager does. */
    function host({ networkd = "", active = "systemd-networkd.service" } = {}) {
      const root = temporaryFolder();
      write(
        `${root}/bin/systemctl`,
        `#!/bin/bash
echo "systemctl $*" >>${root}/log
case "$*" in
"show --property=ActiveState --value -- "*)
  if [ "$(cat ${root}/unasked 2>/dev/null || echo 0)" -gt 0 ]; then echo $(($(cat ${root}/unasked) - 1)) >${root}/unasked; exit 1; fi
  case " ${active} " in *" $5 "*) echo active ;; *) echo inactive ;; esac ;;
"try-restart systemd-networkd.service") ${networkd || ":"} ;;
esac\n`,
        0o755,
      );
      write(`${root}/bin/nft`, `#!/bin/bash\necho "nft $*" >>${root}/log\n`, 0o755);
      write(
        `${root}/bin/tailscale`,
        `#!/bin/bash\n[ "$1" != debug ] || exec cat ${root}/prefs\necho "tailscale $*" >>${root}/log\n`,
        0o755,
      );
      write(`${root}/prefs`, '{\n\t"RouteAll": false,\n\t"WantRunning": true\n}\n');
      const text = scriptText("installed/guard.sh")
        .replace(/^export (.*)PATH=/m, `export $1PATH=${root}/bin:`)
        .replaceAll("/var/lib/tailkube", `${root}/var/lib/tailkube`)
        .replaceAll(/([ (=])\/etc\//g, `$1${root}/etc/`)
        .replaceAll("/usr/local/lib", `${root}/usr/local/lib`);
      write(`${root}/etc/systemd/system/other.service`, "");
      write(`${folder(root)}/guard`, text);
      return {
        root,
        guard: `bash ${folder(root)}/guard`,
        log: () => (existsSync(`${root}/log`) ? readFileSync(`${root}/log`, "utf8") : ""),
        said: () => readFileSync(`${root}/said`, "utf8"),
      };
    }
    const dropIn = "etc/systemd/networkd.conf.d/50-tailkube.conf";
    const network = "{ ip rule show; ip route show; ip -4 -o address show scope global; } | sed 's/ *valid_lft.*//'";
    /** The network before and after a stage that cuts the host off: `same`, or what differs. */
    const afterBack = (guard: string, root: string, cut: string, mode = "apply") => `
      before=$(${network}); ${guard} save ${mode} >/dev/null
      { ${cut}; } 2>/dev/null || true
      [ "$before" != "$(${network})" ] || echo "nothing was cut"
      ${guard} back >${root}/said 2>&1
      diff <(echo "$before") <(${network}) && echo same`;

    for (const cut of [
      "ip rule del pref 0 lookup local",
      "ip rule add pref 10 prohibit",
      "ip route del default",
      "ip route flush table main",
      "ip route add blackhole 192.168.1.128/25",
      "ip addr flush dev eth0",
      "ip rule del pref 32766",
      "ip rule add pref 5 to 192.168.1.0/24 lookup 52; ip route add 192.168.1.0/24 dev peer0 table 52",
    ]) {
      it(`puts the network back after: ${cut}`, () => {
        for (const mode of ["apply", "remove"]) {
          const { root, guard, said } = host();
          expect(linesIn(afterBack(guard, root, cut, mode)), said()).to.deep.equal(["same"]);
        }
      });
    }

    it("does not bring back what a clean-up has taken away for good, of ours, Tailscale's and Cilium's", () => {
      const ours = [
        "rule add pref 5180 to 10.50.0.0/16 lookup main suppress_prefixlength 16",
        "rule add pref 5200 to 10.50.0.0/16 lookup 52",
        "rule add pref 5205 lookup main suppress_prefixlength 7",
        "rule add pref 5210 fwmark 0x80000/0xff0000 lookup main",
        "rule add pref 5250 fwmark 0x80000/0xff0000 unreachable",
        "rule add pref 5270 lookup 52",
        "route add 10.50.3.0/24 via 192.168.1.1",
        "address add 10.200.0.1/32 dev lo",
      ];
      const theirs = ["rule add pref 5190 to 10.9.0.0/16 lookup main", "route add 10.51.0.0/16 via 192.168.1.1"];
      const add = (list: string[]) => list.map((line) => `ip ${line}`).join("; ");
      const del = (list: string[]) => list.map((line) => `ip ${line.replace(" add ", " del ")}`).join("; ");
      for (const mode of ["remove", "apply"]) {
        const { root, guard, said } = host();
        write(`${root}/etc/tailkube/node.env`, "TAILKUBE_POD_CIDR=10.50.0.0/16\nTAILKUBE_ENDPOINT=10.200.0.1\n");
        const text = `${add([...ours, ...theirs])}; ${guard} save ${mode} >/dev/null
          ${del([...ours, ...theirs])}; ip route del default; rm ${root}/etc/tailkube/node.env
          ${guard} back >${root}/said 2>&1
          ip route show default | grep -o ^default; ip rule show | grep -oE '^(51|52).{2}'; ip route show | grep -oE '^10\\.5.*/'; ip address show dev lo | grep -o 10.200.0.1/32 || true`;
        const rules = mode === "remove" ? ["5190"] : ["5180", "5190", "5200", "5205", "5210", "5250", "5270"];
        const routes = mode === "remove" ? ["10.51.0.0/"] : ["10.50.3.0/", "10.51.0.0/"];
        expect(linesIn(text), `${mode}: ${said()}`).to.deep.equal(["default", ...rules, ...routes]);
      }
    });

    it("takes a cut-off's rules away although ours and Tailscale's stay, and ours stay while they are there", () => {
      const { root, guard, said } = host();
      const made = "ip rule add pref 5205 lookup main suppress_prefixlength 7; ip rule add pref 5270 lookup 52";
      const cut = "ip rule add pref 5206 prohibit; ip rule add pref 5210 prohibit; ip rule add pref 1 lookup 52";
      expect(linesIn(`${made}\n${afterBack(guard, root, cut, "remove")}`), said()).to.deep.equal(["same"]);
    });

    it("puts the address of LXC's bridge back", () => {
      const { root, guard } = host();
      const bridge =
        "ip link add lxcbr0 type veth peer name peer9; ip link set lxcbr0 up; ip addr add 10.0.3.1/24 dev lxcbr0";
      expect(linesIn(`${bridge}\n${afterBack(guard, root, "ip addr flush dev lxcbr0")}`)).to.deep.equal(["same"]);
    });

    it("puts the kernel's rule back as the kernel's", () => {
      const { root, guard } = host();
      const cut = "ip rule del pref 0 lookup local";
      expect(linesIn(`${afterBack(guard, root, cut)}; ip -d rule show pref 0`)).to.deep.equal([
        "same",
        "0: from all lookup local proto kernel",
      ]);
    });

    it("has the last word over a network manager that restarts", () => {
      const { root, guard } = host({ networkd: "ip rule del pref 7; ip route del 10.99.0.0/16" });
      const made = "ip rule add pref 7 to 10.99.0.0/16 lookup 7; ip route add 10.99.0.0/16 via 192.168.1.1";
      expect(linesIn(`${made}\n${afterBack(guard, root, "ip route del default")}`)).to.deep.equal(["same"]);
    });

    it("says that it has done so until the next stage begins, and leaves nothing behind", () => {
      const { root, guard, log } = host();
      const text = `${guard} save apply >/dev/null; ${guard} alive; ${guard} back >/dev/null 2>&1
        ${guard} alive; ${guard} confirm; ${guard} confirm; ${guard} begin; ${guard} confirm
        find ${root}/var ${root}/etc -type f`;
      expect(linesIn(text)).to.deep.equal([
        ...["counting", "restored", "restored", "restored", "counting", "kept"],
        `${root}/etc/systemd/system/other.service`,
      ]);
      expect(log()).to.include("systemctl restart tailkube-guard.timer\n");
    });

    it("changes nothing when it is confirmed, and never fires afterwards", () => {
      const { root, guard, log } = host();
      const text = `${guard} save apply >/dev/null; ip route add 10.99.0.0/16 via 192.168.1.1
        cp ${folder(root)}/guard ${root}/kept; ${guard} confirm
        bash ${root}/kept back; ip route show 10.99.0.0/16; ls ${root}/etc/systemd/system`;
      expect(linesIn(text)).to.deep.equal(["kept", "10.99.0.0/16 via 192.168.1.1 dev eth0", "other.service"]);
      expect(log())
        .to.include("systemctl disable --quiet --now tailkube-guard.timer\n")
        .and.not.include("restart systemd-networkd");
    });

    it("starts again with a boot: its units are on the disk, and enabled", () => {
      const { root, guard, log } = host();
      linesIn(`${guard} save apply >/dev/null; echo`);
      expect(readFileSync(`${root}/etc/systemd/system/tailkube-guard.timer`, "utf8")).to.match(/^OnActiveSec=40$/m);
      expect(readFileSync(`${root}/etc/systemd/system/tailkube-guard.service`, "utf8")).to.include(
        `${folder(root)}/guard back`,
      );
      expect(log()).to.include("systemctl enable --quiet tailkube-guard.timer\n");
    });

    it("asks systemd again which units run, and saves nothing without an answer", () => {
      for (const [times, saved] of [
        [2, true],
        [1000, false],
      ] as const) {
        const { root, guard } = host({ active: "systemd-networkd.service tailscaled.service" });
        write(`${root}/unasked`, `${times}`);
        linesIn(`${guard} save apply >/dev/null 2>&1 || true; echo`);
        expect(existsSync(`${folder(root)}/saved`), `${times} times`).to.equal(saved);
        expect(existsSync(`${folder(root)}/tailscale-down`), `${times} times`).to.equal(false);
      }
    });

    it("takes the stage's files away, and the ones that it replaced come back; a clean-up's stay away", () => {
      const change = (root: string) =>
        `echo new >${root}/etc/tailkube/node.env; mkdir -p ${root}/${dropIn.replace(/\/[^/]*$/, "")}; echo x >${root}/${dropIn}`;
      for (const [mode, env, made] of [
        ["apply", "old\n", false],
        ["remove", "new\n", true],
      ] as const) {
        const { root, guard } = host();
        write(`${root}/etc/tailkube/node.env`, "old\n");
        linesIn(`${guard} save ${mode} >/dev/null; ${change(root)}; ${guard} back >/dev/null 2>&1; echo`);
        expect(readFileSync(`${root}/etc/tailkube/node.env`, "utf8"), mode).to.equal(env);
        expect(existsSync(`${root}/${dropIn}`), mode).to.equal(made);
      }
    });

    it("gives Tailscale back what it did before: nothing, or routes that were not accepted", () => {
      const tailscaled = (active: string) => {
        const { guard, log } = host({ active });
        linesIn(`${guard} save apply >/dev/null; ${guard} back >/dev/null 2>&1; echo`);
        return log()
          .split("\n")
          .filter((line) => line.startsWith("tailscale "));
      };
      expect(tailscaled("systemd-networkd.service")).to.deep.equal(["tailscale down"]);
      expect(tailscaled("systemd-networkd.service tailscaled.service")).to.deep.equal([
        "tailscale set --accept-routes=false",
      ]);
    });

    /** `command` gives no answer to what matches `question`, the first `times` times. */
    const silent = (root: string, command: string, question: string, times: number) =>
      write(
        `${root}/bin/${command}`,
        `#!/bin/bash
case "$*" in ${question}) if [ "$(cat ${root}/asked 2>/dev/null | wc -l)" -lt ${times} ]; then echo >>${root}/asked; exit 124; fi ;; esac
PATH=\${PATH#*:}
case ${command} in tailscale) cat ${root}/prefs ;; sysctl) echo 1 ;; *) exec ${command} "$@" ;; esac\n`,
        0o755,
      );
    for (const [command, question] of [
      ["sysctl", '"-n "*'],
      ["ip", '*"address show"*'],
      ["ip", '*"route show"*'],
      ["ip", '"-4 rule show"*'],
      ["tailscale", '"debug prefs"*'],
    ] as const) {
      it(`asks again when ${command} gives no answer to ${question}, and saves nothing without one`, () => {
        for (const [times, saved] of [
          [2, true],
          [1000, false],
        ] as const) {
          const { root, guard } = host({ active: "systemd-networkd.service tailscaled.service" });
          silent(root, command, question, times);
          const said = linesIn(
            `sleep() { :; }; export -f sleep; ${guard} save apply 2>&1 >/dev/null && echo saved || echo failed`,
          );
          expect(said.pop()).to.equal(saved ? "saved" : "failed");
          // For the stage, which fails with it.
          if (saved) expect(said).to.deep.equal([]);
          else expect(said.join("\n")).to.match(new RegExp(`^no answer to '(timeout 10 )?${command} `));
          expect(existsSync(`${folder(root)}/saved`)).to.equal(saved);
          if (!saved) continue;
          expect(readFileSync(`${folder(root)}/routes`, "utf8")).to.match(/^default /m);
          expect(readFileSync(`${folder(root)}/addresses`, "utf8")).to.match(/^eth0 /m);
          expect(readFileSync(`${folder(root)}/sysctls`, "utf8")).to.match(/^(net\.\S+=\d\n){3}$/);
          expect(existsSync(`${folder(root)}/tailscale-down`)).to.equal(false);
        }
      });
    }

    it("takes no Tailscale that gives no answer for one that was down, and lets a clean-up begin", () => {
      const { root, guard } = host({ active: "tailscaled.service" });
      silent(root, "tailscale", '"debug prefs"*', 1000);
      expect(
        linesIn(`sleep() { :; }; export -f sleep; ${guard} save remove >/dev/null 2>&1 && echo saved`),
      ).to.deep.equal(["saved"]);
      expect(existsSync(`${folder(root)}/tailscale-down`)).to.equal(false);
    });

    it("puts back no empty setting, which an earlier version may have saved", () => {
      const { root, guard } = host();
      write(`${root}/bin/sysctl`, `#!/bin/bash\n[ "$1" = -n ] && echo 1 || echo "sysctl $*" >>${root}/log\n`, 0o755);
      linesIn(
        `${guard} save apply >/dev/null; sed -i 's/ip_forward=.*/ip_forward=/' ${folder(root)}/sysctls; ${guard} back >/dev/null 2>&1; echo`,
      );
      const log = readFileSync(`${root}/log`, "utf8");
      expect(log).to.include("sysctl -qw net.ipv4.conf.all.rp_filter=1\n").and.not.include("ip_forward");
    });

    it("goes back to what was confirmed last, though another stage has begun meanwhile", () => {
      const { root, guard } = host();
      const again = `ip route del default; ${guard} save apply`;
      expect(linesIn(afterBack(guard, root, again))).to.deep.equal(["same"]);
    });

    it("ends the stage and what it has started", () => {
      const { root, guard } = host();
      write(`${root}/stage`, `sleep 60 & echo $! >${root}/child\n${guard} save apply $$ >/dev/null\nwait\n`);
      const text = `timeout 50 bash -s -- apply <${root}/stage & stage=$!
        until [ -e ${folder(root)}/saved ]; do sleep 0.1; done
        ${guard} back >${root}/said 2>&1; wait $stage || echo "ended $?"; kill -0 "$(cat ${root}/child)" 2>/dev/null || echo "child too"`;
      expect(linesIn(text)).to.deep.equal(["ended 143", "child too"]);
    });

    it("goes only when the stage has ended: one that has lost its connection is ended first", () => {
      const { root, guard } = host();
      write(`${root}/stage`, `${guard} save apply $$ >/dev/null\nsleep 3 &\nwait\n: >${root}/went-on\n`);
      const text = `timeout 50 bash -s -- apply <${root}/stage & stage=$!
        until [ -e ${folder(root)}/saved ]; do sleep 0.1; done
        ${guard} confirm 2>/dev/null; wait $stage || echo "ended $?"; [ ! -e ${root}/went-on ] || echo "went on"`;
      expect(linesIn(text)).to.deep.equal(["kept", "ended 143"]);
    });
  });
});

describe("lib/network/tailnet-and-lan.sh", () => {
  afterEach(removeTemporaryFolders);
  /** The file's functions on a host on which `answers`, arms of a `case` on a command line, are what the commands say. */
  const host = (root: string, answers: string, text: string) =>
    withLibrary(
      root,
      `${partsOf("lib/network/tailnet-and-lan.sh").map(scriptText).join("\n")}
      mkdir -p "$TK_RUN"
      sleep() { SECONDS=$((SECONDS + 15)); }
      interface_filters() { :; }
      REMEMBERED_SYSCTLS=(net.ipv4.ip_forward net.ipv4.of_another_kernel)
      answer() {
        echo "$*" >>${root}/calls
        case "$*" in
        ${answers}
        "ip -d "*" rule show") echo "0: from all lookup local proto kernel" ;;
        "sysctl -n "*) echo 0 ;;
        "nft list tables") grep -qs '^nft delete' ${root}/calls || echo "table ip filter" ;;
        esac
      }
      for name in ip sysctl nft iptables-nft-save ip6tables-nft-save sync; do eval "$name() { answer $name \"\\$@\"; }"; done
      ${text}`,
    );
  const record = (root: string, name: string) =>
    readFileSync(`${root}/var/lib/tailkube/${name}`, "utf8").trim().split("\n");

  it("remembers what the host had, on the disk, and nothing of what has given no answer", () => {
    const root = temporaryFolder();
    bashOk(host(root, "", "remember_kernel"));
    expect(record(root, "sysctls")).to.deep.equal(["net.ipv4.ip_forward=0"]);
    expect(record(root, "ip-rules")[0]).to.equal("-4 0: from all lookup local");
    expect(record(root, "nft-tables")).to.deep.equal(["table ip filter"]);
    const synced = readFileSync(`${root}/calls`, "utf8");
    for (const name of ["sysctls", "ip-rules", "nft-tables"]) {
      expect(synced).to.include(`sync -- ${root}/var/lib/tailkube/${name}.new\n`);
    }
    for (const [question, what, name, said] of [
      ["nft list tables", "which tables nftables has", "nft-tables", "table ip filter"],
      [
        "ip -d -4 rule show",
        "which policy rules are the kernel's",
        "ip-rules",
        "0: from all lookup local proto kernel",
      ],
      ["sysctl -n net.ipv4.ip_forward", "which value net.ipv4.ip_forward has", "sysctls", "0"],
    ] as const) {
      const once = temporaryFolder();
      const arm = `"${question}") if [ ! -e ${once}/failed ]; then : >${once}/failed; return 1; fi; echo "${said}" ;;`;
      bashOk(host(once, arm, "remember_kernel"));
      expect(record(once, name), question).to.deep.equal(record(root, name));
      const never = temporaryFolder();
      const { status, stderr } = bash(host(never, `"${question}") return 1 ;;`, "remember_kernel"));
      expect(status, question).to.equal(1);
      expect(stderr, question).to.include(`no answer after 30 s to the question ${what}`);
      expect(existsSync(`${never}/var/lib/tailkube/${name}`), question).to.equal(false);
    }
  });

  it("knows the tables of a host that has iptables and no nft, and of a kernel without nftables", () => {
    const root = temporaryFolder();
    const without = 'command() { [ "$*" != "-v nft" ] && builtin command "$@"; }; remember_kernel';
    bashOk(
      host(
        root,
        `"nft "*) return 127 ;; iptables-nft-save) printf '*filter\n:FORWARD DROP [0:0]\nCOMMIT\n' ;;`,
        without,
      ),
    );
    expect(record(root, "nft-tables")).to.deep.equal(["table ip filter"]);
    const bare = temporaryFolder();
    bashOk(
      host(
        bare,
        '"nft list tables") echo "netlink: Error: Operation not supported" >&2; return 1 ;;',
        "remember_kernel",
      ),
    );
    expect(record(bare, "nft-tables")).to.deep.equal([""]);
  });

  describe("takes away the tables that iptables has left", () => {
    const empty =
      "printf 'table ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy accept;\n\t}\n}\n'";
    const forget = (answers: string) => {
      const root = temporaryFolder();
      write(`${root}/var/lib/tailkube/nft-tables`, "\n");
      const run = bash(host(root, answers, "forget_tables"));
      return { ...run, deleted: readFileSync(`${root}/calls`, "utf8").includes("nft delete table ip filter") };
    };

    it("if they are empty, and not if somebody has a rule or a policy in them", () => {
      expect(forget(`"nft list table ip filter") ${empty} ;;`)).to.include({ status: 0, stderr: "", deleted: true });
      for (const theirs of ["policy drop;", "policy accept;\\n\\t\\ttcp dport 22 accept"]) {
        expect(
          forget(`"nft list table ip filter") ${empty.replace("policy accept;", theirs)} ;;`).deleted,
          theirs,
        ).to.equal(false);
      }
    });

    it("and none of which nft does not say what is in it", () => {
      expect(forget('"nft list table ip filter") return 1 ;;')).to.include({ status: 1, deleted: false });
      expect(forget('"nft list tables") return 1 ;;')).to.include({ status: 1, deleted: false });
    });

    it("or fails, with what is left", () => {
      const run = forget(
        `"nft list table ip filter") ${empty} ;; "nft delete "*) return 1 ;; "nft list tables") echo "table ip filter" ;;`,
      );
      expect(run.status).to.equal(1);
      expect(run.stderr).to.include("nft cannot delete what iptables has left empty: table ip filter");
    });
  });
});
