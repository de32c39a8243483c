/** The faults of the hosts' network, between network namespaces that stand for hosts: without hosts, in seconds. */
import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { root } from "./lab";

/** In a network namespace of its own the lab's names are free, whatever runs on the machine. */
const prelude = `
mount -t tmpfs tmpfs /run
mount -t sysfs sysfs /sys
cd ${JSON.stringify(root)}/lab/hosts
. lib/common.sh
HOSTS_STATE=$(mktemp -d)
trap 'rm -rf "$HOSTS_STATE"' EXIT
for library in network rootfs faults; do . lib/$library.sh; done
inside() { local host=$1; shift; ip netns exec "$(host_netns "$host")" "$@"; }
boot() {
  network_create "$1"
  ip -n "$(host_netns "$1")" address add "$(host_address "$1")/24" dev eth1
  ip -n "$(host_netns "$1")" link set eth1 up
}
reaches() { inside "$1" ping -q -c 4 -i 0.05 -W 2 "$2" >/dev/null && echo yes || echo no; }
carrier() { inside "$1" cat /sys/class/net/eth1/carrier; }
lost() { inside cp1 ping -q -c 400 -i 0.005 -W 1 "$(host_address "$1")" | sed -n 's/.* \\([0-9.]*\\)% packet loss.*/\\1/p'; }
ip link set lo up
network_bridge_up
for host in cp1 cp2 w2; do boot $host; done
until [ "$(reaches cp1 172.31.77.22)$(reaches cp1 172.31.77.12)" = yesyes ]; do sleep 0.1; done
`;

/** Runs a script after the prelude; the words that it prints. */
function inNamespaces(script: string): string[] {
  return execFileSync("unshare", ["--net", "--mount", "--propagation", "private", "bash", "-euo", "pipefail", "-s"], {
    input: `${prelude}${script}`,
    encoding: "utf8",
    timeout: 100_000,
  })
    .trim()
    .split(/\s+/);
}

describe("the hosts' network", function () {
  this.timeout(120_000);

  it("loses a cable, also over a reboot, and gets it back", () => {
    const words = inNamespaces(`
      fault_cable w2 out; fault_cable w2 out
      carrier w2; reaches cp1 172.31.77.22; faults_of w2
      boot w2; carrier w2
      fault_cable w2 in; fault_cable w2 in
      carrier w2; sleep 1; reaches cp1 172.31.77.22; faults_of w2`);
    expect(words).to.deep.equal(["0", "no", "cable", "out", "0", "1", "yes"]);
  });

  it("is cut between some hosts both ways, and whole again", () => {
    const words = inNamespaces(`
      fault_partition cp1 w2; fault_partition cp1 w2
      reaches cp1 172.31.77.22; reaches w2 172.31.77.11
      reaches cp1 172.31.77.12; reaches w2 172.31.77.12; reaches cp1 172.31.77.1
      boot w2; reaches cp1 172.31.77.22
      fault_partition_end w2; reaches cp1 172.31.77.22; nft list tables | wc -l`);
    expect(words).to.deep.equal(["no", "no", "yes", "yes", "yes", "no", "yes", "0"]);
  });

  it("is cut off from the tailnet server, or from its relay alone", () => {
    // What answers on these ports is curl's exit status: 7, refused, has come back; 28 is silence.
    const words = inNamespaces(`
      ask() { inside "$1" curl -s -m 1 "http://172.31.77.1:$2/" || echo "$?"; }
      ask cp1 3340; ask cp1 3341
      fault_partition cp1 relay; ask cp1 3340; ask cp1 3341; ask cp2 3341
      fault_partition cp1 tailnet; ask cp1 3340; ask cp2 3340; ask cp1 22
      fault_partition_end cp1; ask cp1 3340; ask cp1 3341`);
    expect(words).to.deep.equal(["7", "7", "7", "28", "7", "28", "7", "7", "7", "7"]);
  });

  it("loses packets between hosts, each way, and none of the machine's", () => {
    const words = inNamespaces(`
      lost w2; fault_loss 20; lost w2; inside cp1 ping -q -c 100 -i 0.005 172.31.77.1 | grep -c ' 0% packet loss'
      fault_loss 100; reaches cp1 172.31.77.22
      fault_loss off; lost w2; nft list tables | wc -l`);
    expect(words[0]).to.equal("0");
    // 36 of a hundred round trips, and more than five standard deviations either way.
    expect(Number(words[1])).to.be.within(23, 49);
    expect(words.slice(2)).to.deep.equal(["1", "no", "0", "0"]);
  });

  it("passes on frames of a wire's size while packets are lost", () => {
    const size = (words: string[]) => words.map((frames) => 4_000_000 / Number(frames));
    const [lossy, plain] = size(
      inNamespaces(`
        cat >"$HOSTS_STATE/transfer.js" <<'END'
        const net = require("net");
        // The receiver ends its side when it has read all; only then is the sender done.
        if (process.argv[2] === "receive") net.createServer((socket) => socket.resume()).listen(9999);
        else net.connect(9999, "172.31.77.22").on("close", () => process.exit()).resume().end(Buffer.alloc(4e6));
        setTimeout(() => process.exit(1), 60000);
END
        transfer() { exec ip netns exec "$(host_netns "$1")" ${JSON.stringify(process.execPath)} "$HOSTS_STATE/transfer.js" "$2"; }
        (transfer w2 receive) & receiver=$!
        until inside cp1 bash -c 'exec 3<>/dev/tcp/172.31.77.22/9999' 2>/dev/null; do sleep 0.1; done
        frames() { cat "/sys/class/net/$(host_netns w2)/statistics/tx_packets"; }
        measure() { local begin; begin=$(frames); (transfer cp1 send); echo $(($(frames) - begin)); }
        fault_loss 0.01; measure; fault_loss off; measure
        kill $receiver`),
    );
    expect(lossy).to.be.within(1000, 1500);
    expect(plain).to.be.above(3000);
  });

  it("refuses what makes no sense, in a line", () => {
    const words = inNamespaces(`
      for bad in 'fault_loss x' 'fault_loss 101' 'fault_loss -1' 'fault_partition cp1 cp1' 'fault_partition cp1 nobody' 'fault_delay 1'; do
        ($bad -) >/dev/null 2>"$HOSTS_STATE/said" && echo taken || wc -l <"$HOSTS_STATE/said"
      done; nft list tables | wc -l`);
    expect(words).to.deep.equal(["1", "1", "1", "1", "1", "1", "0"]);
  });
});
