/** Processes of a run, to the last one. */
import { readdirSync, readFileSync } from "node:fs";

/**
 * The processes of a session, by the process that leads it: one that was started `detached`. The engine's plugins have process
 * groups of their own, but stay in its session.
 */
export function processesOf(session: number): { pid: number; command: string }[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const [state, , , leader] = readFileSync(`/proc/${name}/stat`, "utf8").split(") ").pop()!.split(" ");
        const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ");
        return Number(leader) === session && state !== "Z" ? [{ pid: Number(name), command }] : [];
      } catch {
        return [];
      }
    });
}

/** Kills all processes of a session, those too that it starts meanwhile. */
export function killSession(session: number): void {
  for (let attempt = 0; attempt < 100; attempt++) {
    const left = processesOf(session);
    if (left.length === 0) return;
    for (const { pid } of left) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    }
    // They may need a moment to be gone.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  }
}
