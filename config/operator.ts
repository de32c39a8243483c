/** What the operator's machine knows about SSH: its ssh-agent, and ssh's own configuration. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";

export interface Operator {
  /** What is wrong with the ssh-agent, if anything. */
  agentProblem(): string | undefined;
  /** What `ssh -G` says of a name by that file, with `unsetMark` for what the file does not set; throws with what ssh says. */
  sshSettings(file: string, name: string): string;
  /** The lines of known_hosts for a host. */
  knownHost(files: readonly string[], name: string): string[];
}

/** Stands for what the file of a user does not set. */
export const unsetMark = "tailkube-unset";
export const unsetPort = 65535;

const absolute = (path: string) => (path.startsWith("~/") ? join(homedir(), path.slice(2)) : resolve(path));

export const thisMachine: Operator = {
  agentProblem() {
    const socket = process.env.SSH_AUTH_SOCK ?? "";
    if (socket === "") return "SSH_AUTH_SOCK is not set, so it cannot be reached";
    if (!existsSync(socket)) return `SSH_AUTH_SOCK names ${socket}, which does not exist`;
    const { status, error } = spawnSync("ssh-add", ["-l"], { encoding: "utf8", timeout: 10_000 });
    if (error !== undefined) return `the ssh-agent cannot be asked (ssh-add: ${error.message})`;
    if (status === 1) return "the ssh-agent has no key";
    return status === 0 ? undefined : `the ssh-agent at ${socket} does not answer`;
  },

  sshSettings(file, name) {
    const folder = mkdtempSync(join(tmpdir(), "tailkube-ssh-"));
    try {
      // The first value of a setting counts, so what comes after the user's file is what it does not set.
      const text = [
        `Include "${absolute(file)}"`,
        "Host *",
        `User ${unsetMark}`,
        `Port ${unsetPort}`,
        `IdentityFile ${unsetMark}`,
        "",
      ];
      writeFileSync(join(folder, "config"), text.join("\n"), { mode: 0o600 });
      const run = spawnSync("ssh", ["-G", "-F", join(folder, "config"), "--", name], {
        encoding: "utf8",
        timeout: 10_000,
      });
      if (run.error !== undefined) throw run.error;
      if (run.status !== 0) throw new Error(run.stderr.trim().split("\n").at(-1));
      return run.stdout;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },

  knownHost(files, name) {
    return files.map(absolute).flatMap((file) => {
      if (!existsSync(file)) return [];
      const { stdout } = spawnSync("ssh-keygen", ["-F", name, "-f", file], { encoding: "utf8", timeout: 10_000 });
      return stdout.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    });
  },
};
