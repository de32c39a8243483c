/** The machine that measures, and who else uses it meanwhile. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";
import { state } from "../tests/lab/lab";

export interface Machine {
  cpus: number;
  model: string;
  memoryGiB: number;
  kernel: string;
  /** Load averages of 1, 5 and 15 minutes. */
  load: number[];
}

export function describeMachine(): Machine {
  return {
    cpus: cpus().length,
    model: cpus()[0]?.model ?? "",
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    load: loadavg().map((value) => Number(value.toFixed(2))),
  };
}

/** A process as the kernel accounts for it. */
export interface Process {
  pid: number;
  parent: number;
  /** Clock ticks of its own and of those of its children that have ended. */
  ticks: number;
  /** Where it comes from: its cgroups, and the path of its program. */
  cgroup: string;
  program: string;
}

/** Parses /proc/PID/stat; the name in it may hold spaces and brackets. */
export function parseStat(stat: string): Pick<Process, "pid" | "parent" | "ticks"> {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return { pid: Number.parseInt(stat, 10), parent: Number(fields[1]), ticks };
}

/** Whether a process is one of the kernel's or of this bench: `self` and its descendants. */
function isOurs(process: Process, self: number, byPid: ReadonlyMap<number, Process>): boolean {
  for (let at: Process | undefined = process; at !== undefined; at = byPid.get(at.parent)) {
    if (at.pid === self || at.pid === 2) return true;
  }
  return false;
}

const isLabs = ({ cgroup, program }: Process) =>
  cgroup.includes("/tailkube-lab/") || /\/tailnet-[0-9a-f]+$/.test(program);

/**
 * The clock ticks that all others have used so far. A process that ended still counts, in its parent: what comes and goes
 * quickly, as a compiler does, is seen as well.
 *
 * @param withLab whether the lab on this machine, of which there is one at a time, is this project's and so no other.
 */
export function foreignTicks(processes: readonly Process[], self: number, withLab: boolean): number {
  const byPid = new Map(processes.map((process) => [process.pid, process]));
  return processes
    .filter((process) => !isOurs(process, self, byPid) && !(withLab && isLabs(process)))
    .reduce((sum, process) => sum + process.ticks, 0);
}

function processes(): Process[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const read = (file: string) => readFileSync(`/proc/${pid}/${file}`, "utf8");
        return [{ ...parseStat(read("stat")), cgroup: read("cgroup"), program: read("cmdline").split("\0")[0]! }];
      } catch {
        // It has ended meanwhile.
        return [];
      }
    });
}

/** USER_HZ, which is 100 on every architecture that Linux runs Go, Node.js and Kubernetes on. */
const ticksPerSecond = 100;

/** More of one processor than this, and a measurement is called noisy. */
const noisyAbove = 0.15;

/** Something measured: how long it took, and how many processors others kept busy meanwhile, in the mean. */
export interface Measured<T> {
  seconds: number;
  others: number;
  noisy: boolean;
  result: T;
}

export async function measure<T>(what: () => Promise<T>): Promise<Measured<T>> {
  // Of another folder's lab this one's state knows nothing.
  const withLab = existsSync(join(state, "hosts"));
  const foreign = () => foreignTicks(processes(), process.pid, withLab);
  const before = foreign();
  const start = performance.now();
  const result = await what();
  const seconds = (performance.now() - start) / 1000;
  const used = (foreign() - before) / ticksPerSecond;
  const others = Math.max(0, used) / seconds;
  return { seconds, others, noisy: others > noisyAbove, result };
}
