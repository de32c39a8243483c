/** The faults of the hosts' network, between network namespaces that stand for hosts: without hosts, in seconds. */
import { expect } from "chai";
import { inNamespaces } from "./namespaces";

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
      lost() { inside cp1 ping -q -c 400 -i 0.005 -W 1 "$(host_address "$1")" | sed -n 's/.* \\([0-9.]*\\)% packet loss.*/\\1/p'; }
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
        receive w2 >/dev/null
        frames() { cat "/sys/class/net/$(host_netns w2)/statistics/tx_packets"; }
        measure() { local begin; begin=$(frames); send cp1 w2 4000000 >/dev/null; echo $(($(frames) - begin)); }
        fault_loss 0.01; measure; fault_loss off; measure`),
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

  it("leads out where hosts install from the official places, but to no other host", () => {
    const words = inNamespaces(`
      uplink() {
        boot cp1
        ip -n tklab-cp1 address add 10.0.2.15/24 dev eth0
        ip -n tklab-cp1 link set eth0 up
        ip -n tklab-cp1 route add default via 10.0.2.2
      }
      ip netns add world
      ip link add world type veth peer name eth0 netns world
      ip address add 198.51.100.1/24 dev world
      ip link set world up
      ip -n world address add 198.51.100.2/24 dev eth0
      # The machine's own name server.
      server=$(awk '$1 == "nameserver" {print $2; exit}' /etc/resolv.conf)
      ip -n world address add "$server/32" dev eth0
      ip -n world link set eth0 up
      ip route add "$server" via 198.51.100.2
      ip netns exec world ${JSON.stringify(process.execPath)} -e 'require("net").createServer((s) => s.end("names")).listen(53)' &
      uplink; reaches cp1 198.51.100.2
      host_sources() { echo official; }
      uplink; reaches cp1 198.51.100.2; cat /proc/sys/net/ipv4/ip_forward
      inside cp1 bash -c 'exec 3<>/dev/tcp/10.0.2.3/53; cat <&3; echo'
      inside cp1 curl -s -m 1 --interface eth0 http://172.31.77.12/ || echo "$?"
      reaches cp1 172.31.77.12
      settings_restore; cat /proc/sys/net/ipv4/ip_forward`);
    expect(words).to.deep.equal(["no", "yes", "1", "names", "28", "yes", "0"]);
  });
});
