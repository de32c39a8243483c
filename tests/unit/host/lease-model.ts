/**
 * A model of control planes that share the endpoint's address by the rule of host/lib/control-plane/endpoint-lease.sh. The rule itself is
 * the script's own, in a bash; what is modelled is the world around it: clocks of different speed, an API that takes writes by version,
 * requests that are late or lost, watches that stand still, and the kernel, which takes an address away when its lifetime is over.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { scriptText } from "../../../components/hosts/script-text";

/** What happens in one round of a host's watch, in milliseconds of real time. */
export interface Round {
  /** From a request to its effect in the API, and from there to the answer. */
  there: number;
  back: number;
  lost: "" | "request" | "answer";
  /** How long the watch stands still before it goes on with an answer, and beside its half second after the round. */
  lag: number;
  pause: number;
  /** How late the kernel takes an address away, and how long it takes to set it. */
  slack: number;
  set: number;
  /** Whether the watch hands the address over, if it has it. */
  stops: boolean;
}

export interface Schedule {
  /** Of each host: the speed of its clock, and its rounds, from the first again after the last. */
  hosts: { speed: number; offset: number; rounds: Round[] }[];
  /** When the Lease is deleted. */
  deletions: number[];
  partitions: { host: number; from: number; for: number }[];
}

/** When a host had the address. */
export interface Held {
  host: number;
  from: number;
  until: number;
}

/** curl's bound, in milliseconds of the host's clock. */
const timeout = 1000;
/** How long a schedule runs, in milliseconds. */
export const duration = 40_000;

interface Answer {
  yes: boolean;
  seconds: number;
}
type Steps<T> = Generator<{ sleep: number } | { call: string }, T, Answer>;

/** The rule, in a bash that keeps the state of all hosts. */
export class Rule {
  private readonly process: ChildProcess;
  private readonly answers: AsyncIterator<string>;
  private hosts = 0;

  /** @param changed replaces values of the script, such as `lease_hold`. */
  constructor(changed: Readonly<Record<string, number>> = {}) {
    const values = Object.entries(changed).map(([name, value]) => `${name}=${value}`);
    const keeper = `
      names=(lease_version lease_holder lease_seen lease_sent)
      declare -A kept
      while read -r lease_self line; do
        for name in "\${names[@]}"; do printf -v "$name" %s "\${kept[$lease_self,$name]:-}"; done
        lease_seen=\${lease_seen:-0} lease_free= lease_seconds=0
        if eval "$line"; then said=yes; else said=no; fi
        for name in "\${names[@]}"; do kept[$lease_self,$name]=\${!name}; done
        echo "$said $lease_seconds"
      done`;
    const text = ["set -u", scriptText("lib/control-plane/endpoint-lease.sh"), ...values, keeper].join("\n");
    this.process = spawn("bash", ["-c", text], { stdio: ["pipe", "pipe", "inherit"] });
    this.answers = createInterface({ input: this.process.stdout! })[Symbol.asyncIterator]();
  }

  /** The name of a host that the rule has not heard of. */
  newHost(): string {
    return `host${++this.hosts}`;
  }

  async ask(host: string, line: string): Promise<Answer> {
    this.process.stdin!.write(`${host} ${line}\n`);
    const next = await this.answers.next();
    if (next.done === true) throw new Error("the rule's bash has ended");
    const [said, seconds] = next.value.split(" ");
    return { yes: said === "yes", seconds: Number(seconds) };
  }

  close(): void {
    this.process.stdin!.end();
  }
}

/** The API, and time. */
class World {
  time = 0;
  readonly held: Held[] = [];
  private lease: { version: number; holder: string } | undefined;
  private version = 0;
  private readonly effects: { at: number; act: () => void }[];

  constructor(private readonly schedule: Schedule) {
    this.effects = schedule.deletions.map((at) => ({ at, act: () => (this.lease = undefined) }));
  }

  later(at: number, act: () => void): void {
    this.effects.push({ at, act });
  }

  goOn(to: number): void {
    this.effects.sort((a, b) => a.at - b.at);
    while (this.effects.length > 0 && this.effects[0]!.at <= to) this.effects.shift()!.act();
    this.time = to;
  }

  /** Where there is no Lease, the watch makes one without a holder. */
  read() {
    this.lease ??= { version: ++this.version, holder: "-" };
    return { ...this.lease };
  }

  /** The new version; "conflict" if the Lease has another one than that. */
  write(replaced: number, holder: string): number | "conflict" {
    if (this.lease?.version !== replaced) return "conflict";
    this.lease = { version: ++this.version, holder };
    return this.lease.version;
  }

  isCutOff(host: number, at: number): boolean {
    return this.schedule.partitions.some((one) => one.host === host && at >= one.from && at < one.from + one.for);
  }
}

/** A control plane's watch and kernel, as in host/installed/vip-watch.sh. */
class Host {
  private isUp = false;
  private version = 0;
  private address: { from: number; until: number } | undefined;

  constructor(
    private readonly world: World,
    private readonly place: number,
    private readonly name: string,
    private readonly own: Schedule["hosts"][number],
  ) {}

  private now(): number {
    return Math.floor(this.own.offset + this.world.time * this.own.speed);
  }

  /** What the kernel has done meanwhile. */
  private expire(): void {
    if (this.address === undefined || this.address.until > this.world.time) return;
    this.world.held.push({ host: this.place, ...this.address });
    this.address = undefined;
  }

  private set(seconds: number, slack: number): void {
    this.expire();
    const until = this.world.time + (seconds * 1000 + slack) / this.own.speed;
    this.address = { from: this.address?.from ?? this.world.time, until };
  }

  remove(): void {
    this.expire();
    if (this.address !== undefined) this.address.until = this.world.time;
    this.expire();
  }

  private *down(): Steps<void> {
    this.remove();
    this.isUp = false;
    yield { call: "lease_given_up" };
  }

  /** The result of an act in the API; undefined if no answer comes in time. The act may have its effect all the same. */
  private *request<T>({ there, back, lost }: Round, act: () => T): Steps<T | undefined> {
    const { world, place } = this;
    const [sent, bound] = [world.time, timeout / this.own.speed];
    let result: T | undefined;
    const arrives = lost !== "request" && ![sent, sent + there].some((at) => world.isCutOff(place, at));
    if (arrives) world.later(sent + there, () => (result = act()));
    const answers = arrives && lost !== "answer" && !world.isCutOff(place, sent + there + back);
    if (!answers || there + back > bound) {
      yield { sleep: bound };
      return undefined;
    }
    yield { sleep: there + back };
    return result;
  }

  /** It names the version that the host knows now, whenever it arrives. */
  private write(round: Round, holder: string) {
    const { version } = this;
    return this.request(round, () => this.world.write(version, holder));
  }

  /** Whether the lease and the address are this host's for longer. */
  private *renew(round: Round): Steps<boolean> {
    const sent = this.now();
    const wrote = yield* this.write(round, this.name);
    if (wrote === "conflict" && this.isUp) {
      const lease = yield* this.observe(round);
      if (lease !== undefined && lease.holder !== this.name) yield* this.down();
    }
    if (wrote === undefined || wrote === "conflict") return false;
    yield { sleep: round.lag };
    this.version = wrote;
    yield { call: `lease_renewed ${sent} ${this.now()} ${wrote}` };
    const { yes, seconds } = yield { call: `lease_lifetime ${this.now()}` };
    if (!yes) return false;
    yield { sleep: round.set };
    this.set(seconds, round.slack);
    this.isUp = true;
    if (!(yield { call: `lease_lifetime ${this.now()}` }).yes) yield* this.down();
    return this.isUp;
  }

  private *observe(round: Round) {
    const lease = yield* this.request(round, () => this.world.read());
    if (lease === undefined) return undefined;
    yield { sleep: round.lag } as const;
    yield { call: `lease_observe ${this.now()} ${lease.version} '${lease.holder}'` } as const;
    this.version = lease.version;
    return lease;
  }

  *watch(): Steps<void> {
    for (let i = 0; ; i++) {
      const round = this.own.rounds[i % this.own.rounds.length]!;
      let rest = 500;
      if (!this.isUp) {
        const lease = yield* this.observe(round);
        if (lease !== undefined && (yield { call: `lease_is_free ${this.now()}` }).yes) yield* this.renew(round);
      } else if (round.stops || !(yield { call: `lease_is_held ${this.now()}` }).yes) {
        yield* this.down();
        yield* this.write(round, "");
      } else if (!(yield* this.renew(round))) {
        rest = 100;
      }
      yield { sleep: rest + round.pause };
    }
  }
}

/** When which host has the address in a schedule. */
export async function simulate(rule: Rule, schedule: Schedule): Promise<Held[]> {
  const world = new World(schedule);
  const all = schedule.hosts.map((own, place) => {
    const name = rule.newHost();
    const host = new Host(world, place, name, own);
    return { at: place, name, host, steps: host.watch() };
  });
  for (;;) {
    const next = all.reduce((a, b) => (b.at < a.at ? b : a));
    if (next.at > duration) break;
    world.goOn(next.at);
    let step = next.steps.next({ yes: false, seconds: 0 });
    while (step.done !== true && "call" in step.value) {
      step = next.steps.next(await rule.ask(next.name, step.value.call));
    }
    if (step.done !== true && "sleep" in step.value) next.at += step.value.sleep;
  }
  world.goOn(duration);
  for (const { host } of all) host.remove();
  return world.held;
}

/** Two hosts that have the address at the same time; undefined if no two do. */
export function overlap(held: readonly Held[]): [Held, Held] | undefined {
  for (const one of held) {
    const other = held.find(({ host, from, until }) => host !== one.host && from < one.until && one.from < until);
    if (other !== undefined) return [one, other];
  }
  return undefined;
}
