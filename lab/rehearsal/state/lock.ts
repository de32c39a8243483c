/** One run at a time on a stack: a file that names the process which holds it. */
import { linkSync, mkdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "fs";
import { dirname } from "path";

export interface LockHolder {
  pid: number;
  /** The process's start in clock ticks after boot: tells a reused process ID from the holder's. */
  start: string;
  /** The command that runs, for messages. */
  command: string;
  /** ISO 8601. */
  since: string;
}

/** The file is held by a process that lives. */
export class LockedError extends Error {
  constructor(readonly holder: LockHolder) {
    super(
      `the stack is locked by process ${holder.pid} (${holder.command}, since ${holder.since}); ` +
        "wait for it, or stop it with `rehearse cancel`",
    );
  }
}

export class Lock {
  constructor(private readonly file: string) {}

  /** Takes the lock or throws a LockedError. A lock whose holder is gone is removed, with a word by `say`. */
  acquire(command: string, say: (message: string) => void): void {
    mkdirSync(dirname(this.file), { recursive: true, mode: 0o700 });
    const mine = `${this.file}.${process.pid}`;
    const me = { pid: process.pid, start: startOf(process.pid)!, command, since: new Date().toISOString() };
    writeFileSync(mine, JSON.stringify(me));
    try {
      for (;;) {
        try {
          // A link appears with its content, so nobody ever reads half a lock.
          linkSync(mine, this.file);
          return;
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
        }
        const holder = this.holder();
        if (holder && isAlive(holder)) throw new LockedError(holder);
        if (holder) say(`Removed the lock of process ${holder.pid} (${holder.command}), which is gone.`);
        rmSync(this.file, { force: true });
      }
    } finally {
      unlinkSync(mine);
    }
  }

  /** Who holds the lock, dead or alive. */
  holder(): LockHolder | undefined {
    try {
      return JSON.parse(readFileSync(this.file, "utf8")) as LockHolder;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Gives the lock back, if it is this process's. */
  release(): void {
    if (this.holder()?.pid === process.pid) rmSync(this.file, { force: true });
  }

  /** Removes the lock whoever held it. */
  remove(): void {
    rmSync(this.file, { force: true });
  }
}

export function isAlive(holder: LockHolder): boolean {
  const start = startOf(holder.pid);
  return start !== undefined && start === holder.start;
}

/** Field 22 of /proc/<pid>/stat; undefined when there is no such process or it is a zombie. */
function startOf(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  // The command's name, in parentheses, may hold anything: count from its end.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" ? undefined : fields[19];
}
