/** Who answers ARP for an address on the lab's bridge, as the machine sees it there: of all hosts, whatever these cannot see of each other. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import * as lab from "../lab/lab";

/** Of lab/hosts/lib/common.sh. */
const bridge = "tklab0";
/** Each asks once a second. */
const askers = 5;

interface Answer {
  /** In milliseconds. */
  at: number;
  mac: string;
  /** The number of the question that it follows. */
  question: number;
}

/** Installs what the capture needs. */
export function installArpTools(): void {
  execFileSync("bash", ["-euc", ". lab/env; install_packages tcpdump iputils-arping"], {
    cwd: lab.root,
    timeout: 300_000,
  });
}

/** Asks for an address five times a second, and keeps every answer. */
export class ArpCapture {
  readonly answers: Answer[] = [];
  private questions = 0;
  private readonly processes: ChildProcess[];

  constructor(address: string) {
    const tcpdump = spawn("tcpdump", ["-tt", "-enl", "-i", bridge, "arp", "and", "host", address], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    createInterface({ input: tcpdump.stdout }).on("line", (line) => this.read(line, address));
    // To all, also after an answer: so that everyone who has the address answers each of them.
    const ask = `for i in {1..${askers}}; do arping -q -b -I ${bridge} ${address} & sleep 0.2; done; wait`;
    const arping = spawn("bash", ["-c", ask], { stdio: "ignore", detached: true });
    this.processes = [tcpdump, arping];
  }

  private read(line: string, address: string): void {
    const [time, from] = line.split(" ") as [string, string];
    if (line.includes(`Request who-has ${address} `) && !line.includes(` tell ${address},`)) this.questions++;
    // An announcement goes to all.
    if (!line.includes(`Reply ${address} is-at `) || line.includes("> ff:ff:ff:ff:ff:ff")) return;
    this.answers.push({ at: Number(time) * 1000, mac: from, question: this.questions });
  }

  stop(): void {
    const [tcpdump, arping] = this.processes as [ChildProcess, ChildProcess];
    tcpdump.kill("SIGTERM");
    // Its group, which is this one's own.
    if (arping.pid !== undefined) process.kill(-arping.pid, "SIGTERM");
  }

  /** The questions that two hosts have answered, and answers of a host that had already lost the address to another one. */
  duplicates(): string[] {
    const found: string[] = [];
    const byQuestion = new Map<number, Set<string>>();
    for (const { question, mac } of this.answers) {
      byQuestion.set(question, (byQuestion.get(question) ?? new Set<string>()).add(mac));
    }
    for (const [question, macs] of byQuestion) {
      if (macs.size > 1) found.push(`question ${question}: ${[...macs].join(" and ")}`);
    }
    // Less than a question apart, it cannot have come back to the same host.
    this.answers.forEach(({ at, mac }, i) => {
      const [one, two] = [this.answers[i + 1], this.answers[i + 2]];
      if (one === undefined || two === undefined || one.mac === mac || two.mac !== mac || two.at - at > 500) return;
      found.push(`${mac}, ${one.mac} and ${mac} again within ${Math.round(two.at - at)} ms`);
    });
    return found;
  }
}
