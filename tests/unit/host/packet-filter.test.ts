import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { scriptText } from "../../../components/hosts/script-text";
import { firewallRequirements } from "../../../components/hosts/firewall-requirements";
import type { ClusterConfig, NodeConfig } from "../../../model/config";
import { configOf } from "../config/fixtures";
import { assignments, bashOk } from "./bash";

/** Rules as the host's own programs print them. */
interface Rules {
  iptables?: string;
  nft?: string;
}

/** What ufw, firewalld and nft have really printed. */
const printed = (name: string) => readFileSync(join(__dirname, "packet-filters", `${name}.txt`), "utf8");

const chains = (lines: string, policies = "ACCEPT ACCEPT") => {
  const [input, forward] = policies.split(" ");
  return `*filter\n:INPUT ${input} [0:0]\n:FORWARD ${forward} [0:0]\n:OUTPUT ACCEPT [0:0]\n${lines}\nCOMMIT\n`;
};
const table = (input: string, forward = "", policy = "accept") =>
  `table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy ${policy};\n${input}\n\t}\n\n` +
  `\tchain forward {\n\t\ttype filter hook forward priority filter; policy ${policy};\n${forward}\n\t}\n}\n`;

/** The image of Oracle Cloud for Ubuntu: /etc/iptables/rules.v4. */
const oracleCloud = chains(
  [
    ":InstanceServices - [0:0]",
    "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT",
    "-A INPUT -p icmp -j ACCEPT",
    "-A INPUT -i lo -j ACCEPT",
    "-A INPUT -p udp -m udp --sport 123 -j ACCEPT",
    "-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT",
    "-A INPUT -j REJECT --reject-with icmp-host-prohibited",
    "-A FORWARD -j REJECT --reject-with icmp-host-prohibited",
    "-A OUTPUT -d 169.254.0.0/16 -j InstanceServices",
    '-A InstanceServices -d 169.254.169.254/32 -p udp -m udp --dport 53 -m comment --comment "See the Oracle-Provided Images -j DROP" -j ACCEPT',
  ].join("\n"),
);

const pod = "input|lxc12345|?|10.50.0.0/16|?|tcp|6443";
const tailnetNode = "input|tailscale0|?|100.64.0.0/10|?|tcp|10250";
const lanNode = "input|eth1|?|172.31.77.0/24|?|tcp|6443";
const tunnel = "input|eth1|?|172.31.77.0/24|?|udp|8472";
const outgoing = "forward|lxc12345|?|10.50.0.0/16|?|tcp|443";

const given = ({ iptables = "", nft = "" }: Rules) =>
  [
    scriptText("lib/network/packet-filter.sh"),
    assignments({ FILTER_IPTABLES: iptables, FILTER_NFT: nft, FILTER_UNKNOWN: "" }),
  ].join("\n");

/** The first word of each packet's verdict. */
const verdicts = (rules: Rules, ...packets: string[]) =>
  bashOk([given(rules), ...packets.map((one) => `packet_verdict '${one}'; echo`)].join("\n"))
    .trimEnd()
    .split("\n")
    .map((line) => line.split(" ")[0]);

const config = configOf();
const [cp1, , , w1] = config.nodes as [NodeConfig, NodeConfig, NodeConfig, NodeConfig];
const lan = configOf({
  nodeNetwork: "lan",
  lan: { cidr: "172.31.77.0/24" },
  endpoint: { address: "172.31.77.11" },
  tailnetAuthKey: undefined,
});

/** What the requirements say of a host with these rules. */
function said(node: NodeConfig, rules: Rules, on: ClusterConfig = config): string[] {
  const lines = firewallRequirements(node, on).map(
    ({ test, problem, kind }) => `{ ${test}; } || printf '%s\\n' "${kind}: ${problem}"`,
  );
  const text = bashOk(
    [
      given(rules),
      "ip() { echo '3: eth1    inet 172.31.77.11/24 brd 172.31.77.255 scope global eth1'; }",
      ...lines,
    ].join("\n"),
  );
  return text === "" ? [] : text.trimEnd().split("\n");
}

describe("packet-filter.sh: what a host's packet filter does to a packet", () => {
  const cases: [string, Rules, Record<string, string>][] = [
    ["nothing without rules", {}, { [pod]: "accept", [outgoing]: "accept" }],
    [
      "ufw drops what it is not told to accept, but tailscaled's and Cilium's own rules come first",
      { iptables: printed("ufw") },
      { [pod]: "drop", [tailnetNode]: "accept", [lanNode]: "drop", [tunnel]: "drop", [outgoing]: "accept" },
    ],
    [
      "ufw accepts the pods' network and the nodes'",
      {
        iptables: printed("ufw").replace(
          "-A ufw-user-limit ",
          "-A ufw-user-input -s 10.50.0.0/16 -j ACCEPT\n-A ufw-user-input -s 172.31.77.0/24 -j ACCEPT\n-A ufw-user-limit ",
        ),
      },
      { [pod]: "accept", [lanNode]: "accept", [tunnel]: "accept" },
    ],
    [
      "ufw accepts one port of a wider network",
      {
        iptables: printed("ufw").replace(
          "-A ufw-user-limit ",
          "-A ufw-user-input -s 172.16.0.0/12 -p tcp -m multiport --dports 2379:2380,6443 -j ACCEPT\n-A ufw-user-limit ",
        ),
      },
      { [lanNode]: "accept", [tunnel]: "drop", [pod]: "drop" },
    ],
    [
      "firewalld rejects in a table of its own, which no other accepts for",
      { nft: printed("firewalld") },
      { [pod]: "drop", [tailnetNode]: "drop", [lanNode]: "drop", [outgoing]: "maybe" },
    ],
    [
      "firewalld accepts what is in its zone trusted",
      { nft: printed("firewalld-trusted") },
      { [pod]: "accept", [tailnetNode]: "accept", [outgoing]: "accept", [lanNode]: "drop" },
    ],
    [
      "Oracle Cloud's images reject",
      { iptables: oracleCloud },
      { [pod]: "drop", [tailnetNode]: "accept", [lanNode]: "drop", [outgoing]: "accept" },
    ],
    [
      "a rule before Oracle Cloud's accepts",
      { iptables: oracleCloud.replace("-A INPUT -p icmp", "-A INPUT -s 10.50.0.0/16 -j ACCEPT\n-A INPUT -p icmp") },
      { [pod]: "accept", [lanNode]: "drop" },
    ],
    [
      "a rule behind them does not",
      { iptables: oracleCloud.replace("COMMIT", "-A INPUT -s 10.50.0.0/16 -j ACCEPT\nCOMMIT") },
      { [pod]: "drop" },
    ],
    [
      "nftables.conf with a policy of drop, sets and maps",
      {
        nft: table(
          '\t\tct state vmap { invalid : drop, established : accept, related : accept }\n\t\tiif "lo" accept\n' +
            '\t\ttcp dport { 22, 80 } ct state new accept comment "web {and} ssh"\n\t\tmeta l4proto { icmp, ipv6-icmp } accept\n' +
            '\t\tiifname "tailscale0" counter packets 0 bytes 0 accept\n\t\tip saddr { 10.50.0.0/16, 172.31.77.0/24,\n\t\t\t     192.168.0.0/16 } tcp dport 6443 accept',
          "",
          "drop",
        ),
      },
      { [pod]: "accept", [tailnetNode]: "accept", [lanNode]: "accept", [tunnel]: "drop", [outgoing]: "drop" },
    ],
    [
      "fail2ban, CrowdSec and libvirt leave the cluster alone",
      { nft: printed("others") },
      { [pod]: "accept", [tailnetNode]: "accept", [lanNode]: "accept", [outgoing]: "accept" },
    ],
    [
      "rules on rates, marks and parts of a network are not foreseeable",
      { nft: printed("limits"), iptables: chains("-A INPUT -m mark --mark 0x1 -j DROP") },
      { [pod]: "maybe", [tailnetNode]: "maybe" },
    ],
    [
      "a rule for everything but the nodes",
      { iptables: chains("-A INPUT ! -s 172.31.77.0/24 -j DROP") },
      { [lanNode]: "accept", [pod]: "drop" },
    ],
    [
      "iptables' wildcard for interfaces",
      { iptables: chains("-A INPUT -i lxc+ -j ACCEPT\n-A INPUT -j DROP") },
      { [pod]: "accept", [lanNode]: "drop" },
    ],
    ["a queue for another program", { iptables: chains("-A INPUT -j NFQUEUE --queue-num 0") }, { [pod]: "maybe" }],
    [
      "chains, returns and gotos",
      {
        iptables: chains(
          [
            ":a - [0:0]",
            ":b - [0:0]",
            "-A INPUT -j a",
            "-A INPUT -j DROP",
            "-A a -p udp -j RETURN",
            "-A a -g b",
            "-A a -j ACCEPT",
            "-A b -p udp -j DROP",
          ].join("\n"),
        ),
      },
      { [pod]: "drop", [tunnel]: "drop" },
    ],
    [
      "what is logged or counted goes on",
      {
        iptables: chains(
          '-A INPUT -m limit --limit 3/min -j LOG --log-prefix "[DROP] "\n-A INPUT -p tcp -m tcp --dport 6443 --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT',
          "DROP ACCEPT",
        ),
      },
      { [pod]: "accept", [tunnel]: "drop" },
    ],
    [
      "IPv6 alone",
      { nft: "table ip6 x {\n\tchain i {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n" },
      { [pod]: "accept" },
    ],
    [
      "a node's own chains, and rules for loopback addresses",
      {
        iptables: chains(
          [
            ...[":KUBE-FIREWALL - [0:0]", ":ts-input - [0:0]", "-A INPUT -j ts-input", "-A INPUT -j KUBE-FIREWALL"],
            "-A INPUT ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
            ...["-A INPUT -d 224.0.0.0/4 -j DROP", "-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP"],
            "-A ts-input -s 100.64.0.0/10 ! -i tailscale0 -j DROP",
          ].join("\n"),
        ),
      },
      { [pod]: "accept", [lanNode]: "accept" },
    ],
    [
      "another address family in a table of both",
      { nft: table("\t\tmeta nfproto ipv6 drop\n\t\tip6 saddr fd00::/8 drop\n\t\ticmpv6 type echo-request drop") },
      { [pod]: "accept" },
    ],
  ];
  for (const [what, rules, expected] of cases) {
    it(what, () => {
      expect(verdicts(rules, ...Object.keys(expected))).to.deep.equal(Object.values(expected));
    });
  }

  it("reads iptables' own tables once, in the form of its own program", () => {
    const twice = {
      iptables: oracleCloud,
      nft: "table ip filter {\n\tchain INPUT {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n",
    };
    expect(verdicts(twice, tailnetNode)).to.deep.equal(["accept"]);
    expect(verdicts({ nft: twice.nft }, tailnetNode)).to.deep.equal(["drop"]);
  });

  it("says so if the rules cannot be read, and that there are none without the kernel's modules", () => {
    const ask = (functions: string, firewalld = "") =>
      bashOk(
        [
          scriptText("lib/network/packet-filter.sh"),
          'id() { echo 0; }; timeout() { shift; "$@"; }',
          // As on a host where only what is a function here is installed.
          'command() { case $2 in iptables-save | iptables-legacy-save | nft) declare -F "$2" ;; *) builtin command "$@" ;; esac; }',
          functions,
          `read_packet_filter '${firewalld}'; printf '%s' "$FILTER_UNKNOWN"`,
        ].join("\n"),
      );
    expect(ask("filter_modules_absent() { false; }")).to.equal("?neither nft nor iptables-save is installed");
    expect(ask("filter_modules_absent() { true; }")).to.equal("");
    expect(ask("nft() { false; }")).to.equal("?nft list ruleset fails");
    const part =
      "iptables-save() { printf '# Table `filter\\'' contains incompatible base-chains, use nft\\n*filter\\nCOMMIT\\n'; }";
    expect(ask(part)).to.match(/^\?iptables-save shows only a part of the rules/);
    expect(
      ask(`${part}; nft() { echo 'table ip filter {'; }; trap 'printf "%s" "$FILTER_IPTABLES$FILTER_NFT"' EXIT`),
    ).to.equal("table ip filter {");
    expect(ask("iptables-save() { return 4; }; nft() { :; }")).to.equal("?iptables-save fails");
    expect(ask("iptables-save() { echo '*filter'; }", "firewalld")).to.match(/^\?firewalld runs, and nft,/);
    expect(ask("iptables-save() { echo '*filter'; }; nft() { echo 'table inet x'; }", "firewalld")).to.equal("");
  });
});

describe("firewall requirements", () => {
  it("say nothing of hosts without rules, and of those that let the cluster through", () => {
    const open = { nft: printed("firewalld-trusted") };
    for (const [node, rules, on] of [
      [cp1, {}, config],
      [w1, {}, lan],
      [cp1, open, config],
      [w1, open, config],
    ] as const)
      expect(said(node, rules, on)).to.deep.equal([]);
  });

  it("name what is dropped on a control plane, the rule that drops it, and the command that lets it through", () => {
    expect(said(cp1, { iptables: printed("ufw") })[0]).to.equal(
      "new host: its packet filter (ufw) drops what the cluster needs: pods to the API server on their own node (TCP 6443). The rule: the policy " +
        "of iptables chain INPUT. Let it through: ufw allow from 10.50.0.0/16 && ufw allow in on tailscale0.",
    );
    expect(said(cp1, { iptables: oracleCloud })[0]).to.equal(
      "new host: its packet filter (iptables) drops what the cluster needs: pods to the API server on their own node (TCP 6443). The rule: -A " +
        "INPUT -j REJECT --reject-with icmp-host-prohibited. Let it through: iptables -I INPUT -s 10.50.0.0/16 -j ACCEPT && iptables -I INPUT -i " +
        "tailscale0 -j ACCEPT, and save them (on Debian and Ubuntu: netfilter-persistent save).",
    );
    expect(said(cp1, { nft: printed("firewalld") })[0]).to.match(
      /^new host: its packet filter \(firewalld\) drops what the cluster needs: nodes to the kubelet \(TCP 10250\), .* Let it through: firewall-cmd --permanent --zone=trusted --add-source=10\.50\.0\.0\/16 --add-interface=tailscale0 && firewall-cmd --reload\.$/,
    );
    expect(said(cp1, { nft: table("", "", "drop") })[0]).to.match(
      /^new host: its packet filter \(nft\) .*Let it through: put ip saddr 10\.50\.0\.0\/16 accept and iifname tailscale0 accept at the beginning/,
    );
  });

  it("refuse no host for what a cluster can do without, but warn", () => {
    expect(said(w1, { iptables: printed("ufw") })).to.deep.equal([
      "risk: its packet filter (ufw) drops what a cluster may need: pods to the kubelet on their own node (TCP 10250). The rule: the policy of " +
        "iptables chain INPUT. Let it through: ufw allow from 10.50.0.0/16 && ufw allow in on tailscale0.",
    ]);
  });

  it("need all of the nodes' ports in a lan, on the interface that is in it", () => {
    const [line, ...others] = said(lan.nodes[3]!, { iptables: oracleCloud }, lan);
    expect(line).to.match(
      /^new host: .* drops what the cluster needs: nodes to the kubelet \(TCP 10250\), pods of other nodes, by VXLAN \(UDP 8472\)\. .*iptables -I INPUT -s 172\.31\.77\.0\/24 -j ACCEPT/,
    );
    expect(others).to.deep.equal([]);
    const onInterface = chains("-A INPUT -i eth1 -j ACCEPT\n-A INPUT -s 10.50.0.0/16 -j ACCEPT", "DROP DROP");
    expect(said(lan.nodes[0]!, { iptables: onInterface }, lan)).to.deep.equal([]);
  });

  it("warn of what nobody can foresee", () => {
    expect(said(cp1, { nft: printed("limits") })[0]).to.match(
      /^risk: its packet filter \(nft\) may drop what the cluster needs: .*The rule: tcp flags syn limit rate over 10\/second drop\. If it does: put ip saddr/,
    );
  });
});
