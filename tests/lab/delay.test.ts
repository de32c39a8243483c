/** The delay of what hosts receive, between network namespaces that stand for hosts. */
import { expect } from "chai";
import { inNamespaces } from "./namespaces";

const helpers = `
round_trips() { inside "$1" ping -c "$3" -i 0.1 -W 2 "$2" | sed -n 's/.* time=\\([0-9.]*\\) ms/\\1/p'; }
processes() { pgrep -cf delay-program || true; }
left() { echo $(($(network_links | grep -c delay || true) + $(processes) + $(cgroup_dirs delay | wc -l) + $(tc qdisc show | grep -c clsact || true))); }
`;

const median = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!;

describe("the delay of what hosts receive", function () {
  this.timeout(120_000);

  before(function () {
    if (process.getuid!() !== 0) {
      console.log("    skipped: only root can make network namespaces");
      this.skip();
    }
  });

  /** For what kernels with netem do in their own way. */
  function withoutNetem(this: Mocha.Context) {
    if (inNamespaces("kernel_has_netem && echo netem || echo none")[0] === "none") return;
    console.log("      skipped: this kernel delays packets itself, by netem");
    this.skip();
  }

  it("is as set for each direction, with jitter, also for the machine's own packets, until it is off", () => {
    const count = 40;
    const words = inNamespaces(`${helpers}
      measure() { round_trips cp1 172.31.77.22 ${count}; }
      measure; fault_delay 60 20; faults_of w2 | tr ' ' _; measure
      round_trips cp1 172.31.77.1 ${count}; fault_delay 0 0; measure; fault_delay off; measure; left`);
    const [state] = words.splice(count, 1);
    expect(state).to.equal("delay_60_20_ms");
    expect(words.pop(), "left").to.equal("0");
    const trips = words.map(Number);
    const [before, both, one, none, after] = [0, 1, 2, 3, 4].map((i) => trips.slice(i * count, (i + 1) * count));
    for (const undelayed of [before!, none!, after!]) expect(median(undelayed)).to.be.below(20);
    expect(both).to.have.length(count);
    // Each way 40 to 80 ms, and what a busy machine adds.
    expect(Math.min(...both!)).to.be.at.least(80);
    expect(median(both!)).to.be.within(100, 180);
    expect(Math.max(...both!) - Math.min(...both!)).to.be.above(20);
    expect(Math.min(...one!)).to.be.at.least(40);
    expect(median(one!)).to.be.within(50, 100);
  });

  it("changes and loses nothing of a transfer and keeps its order, in frames as large as without it", function () {
    withoutNetem.call(this);
    const bytes = 16_000_000;
    const words = inNamespaces(`${helpers}
      receive w2 >"$HOSTS_STATE/received"
      statistic() { cat "/sys/class/net/$1/statistics/$2"; }
      # Segments that came before those ahead of them.
      reordered() { inside w2 nstat -asz TcpExtTCPOFOQueue | awk '$1 == "TcpExtTCPOFOQueue" { print $2 }'; }
      fault_delay 20 10; before=$(statistic tklab-w2 tx_packets)
      send cp1 w2 ${bytes}; sleep 0.5; tail -n 1 "$HOSTS_STATE/received"
      echo $(($(statistic tklab-w2 tx_packets) - before)); statistic tklab-w2-delay tx_dropped; reordered`);
    const [sent, received, frames, dropped, reordered] = words;
    expect(sent).to.match(/^[0-9a-f]{64}$/);
    expect(received).to.equal(sent);
    expect(Number(frames)).to.be.within(bytes / 65536, bytes / 1448 / 4);
    expect(dropped).to.equal("0");
    // The machine itself reorders a few, where a process goes from one CPU to another.
    expect(Number(reordered)).to.be.below(Number(frames) / 20);
  });

  it("lasts over a boot, and ends with the host and with `off`", () => {
    const words = inNamespaces(`${helpers}
      fault_delay 60 0; boot w2; sleep 1; reaches cp1 172.31.77.22; round_trips cp1 172.31.77.22 10
      two() { [ "$(processes)" = 2 ]; }
      network_remove w2; wait_until 10 two && echo ended; boot w2; fault_delay 30 0; fault_delay off; left`);
    expect(words.shift()).to.equal("yes");
    expect(words.splice(-2)).to.deep.equal(["ended", "0"]);
    expect(Math.min(...words.map(Number))).to.be.at.least(120);
  });

  it("goes with partitions, loss and pulled cables", () => {
    const words = inNamespaces(`
      fault_delay 20 5; reaches cp1 172.31.77.22
      fault_partition cp1 w2; reaches cp1 172.31.77.22; reaches cp1 172.31.77.12
      fault_partition_end w2; fault_loss 100; reaches cp1 172.31.77.22; fault_loss off
      fault_cable w2 out; reaches cp1 172.31.77.22; fault_cable w2 in; sleep 1; reaches cp1 172.31.77.22`);
    expect(words).to.deep.equal(["yes", "no", "yes", "no", "no", "yes"]);
  });

  it("says that its process is dead, and `off` or another delay repairs it", function () {
    withoutNetem.call(this);
    const words = inNamespaces(`${helpers}
      alive() { pgrep -f "delay-program --tap=tklab-$1-delay "; }
      fault_delay 20 5; processes; kill -KILL $(alive w2); until ! delay_runs w2; do sleep 0.1; done
      reaches cp1 172.31.77.22; reaches cp1 172.31.77.12; faults_of w2 | grep -o dead; faults_of cp1 | grep -c dead || true
      fault_delay 20 5; reaches cp1 172.31.77.22; faults_of w2 | grep -c dead || true
      kill -KILL $(alive w2); kill -STOP $(alive cp1)
      fault_delay off; reaches cp1 172.31.77.22; reaches cp2 172.31.77.11; left`);
    expect(words).to.deep.equal(["3", "no", "yes", "dead", "0", "yes", "0", "yes", "yes", "0"]);
  });
});
