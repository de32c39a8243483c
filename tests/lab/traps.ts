/**
 * Traps that stop a stage on a host at a known command, so that it can be killed there: a wrapper in front of the command on the
 * host's PATH, which lets everything else through. A test arms one, starts a run, waits until the stage is in it, and then kills
 * the stage or cuts the host's power.
 */
import * as lab from "./lab";
import { killSession } from "./processes";

export interface Trap {
  host: lab.HostName;
  /** Name of the command that is wrapped, such as `kubeadm`. */
  command: string;
  /** Extended regular expression on the command's arguments, joined by blanks. */
  matching: string;
  /** Where the stage stops: before the command runs, after it has ended, or in its middle, as soon as `file` exists. */
  at: "before" | "after" | "during";
  /** For `during`: absolute path on the host. */
  file?: string;
}

// /run is empty after a boot, so a trap springs at most once and is not armed after a power loss.
const wrapper = `#!/bin/bash
name=\${0##*/}
real=$(PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin type -P "$name")
if [ -e "/run/trap/$name" ]; then
    { read -r at; read -r file; read -r pattern; } <"/run/trap/$name"
    if [[ "$*" =~ $pattern ]] && mkdir /run/trap/sprung 2>/dev/null; then
        status=
        case $at in
        after) "$real" "$@"; status=$? ;;
        during)
            "$real" "$@" &
            until [ -e "$file" ] || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
            if kill -STOP $! 2>/dev/null; then status=stopped; else status=ended; fi
            ;;
        esac
        echo "$status" >/run/trap/status
        mv /run/trap/status /run/trap/reached
        exec sleep 900
    fi
fi
exec "$real" "$@"
`;

/** Arms the trap; one at a time on a host. */
export function arm(trap: Trap): void {
  const path = `/usr/local/sbin/${trap.command}`;
  lab.writeOnHost(trap.host, path, Buffer.from(wrapper));
  const settings = `${trap.at}\n${trap.file ?? ""}\n${trap.matching}\n`;
  lab.okOnHost(trap.host, `chmod 0755 ${path} && rm -rf /run/trap && mkdir /run/trap`);
  lab.writeOnHost(trap.host, `/run/trap/${trap.command}`, Buffer.from(settings));
}

/** Takes the trap away. */
export function disarm(trap: Trap): void {
  lab.onHost(trap.host, `rm -rf /run/trap /usr/local/sbin/${trap.command}`);
}

/** Kills every process of the stages that run on a host, each with all its descendants. */
function killStages(host: lab.HostName): void {
  lab.okOnHost(
    host,
    `tree() { echo "$1"; local child; for child in $(pgrep -P "$1"); do tree "$child"; done; }
     stages=$(pgrep -f '[b]ash -s -- (apply|remove)') || exit
     for pid in $stages; do tree "$pid"; done | sort -u | xargs kill -KILL 2>/dev/null || true`,
  );
}

/** What the command came to when its trap sprang, for each kind of trap. */
const sprung: Record<Trap["at"], string> = { before: "", after: "0", during: "stopped" };

/** Ends a run of the engine with all its processes, as a closed terminal would not even do. */
async function killEngine(engine: lab.Running): Promise<void> {
  if (!engine.ended()) killSession(engine.child.pid!);
  await engine.exit;
}

/**
 * Starts `engine VERB`, waits until the stage is in the trap, and then kills the stage on the host ("kill") or cuts the host's
 * power ("power") and starts it again. Resolves when the run has ended and the host is up; rejects if the run ends, well or not, before
 * it gets to the trap, or ends well although its stage was killed.
 */
export async function interrupt(
  trap: Trap,
  how: "kill" | "power",
  verb: "up" | "destroy",
  seconds = 900,
): Promise<void> {
  arm(trap);
  const engine = lab.start("lab/engine", [verb]);
  const where = `${trap.command} ${trap.matching} on ${trap.host}`;
  const start = Date.now();
  while (lab.existing(trap.host, "/run/trap/reached").length === 0) {
    if (engine.ended())
      throw new Error(`the run ended with ${await engine.exit} before it came to ${where}${await engine.complaints()}`);
    if (Date.now() - start > seconds * 1000) {
      await killEngine(engine);
      throw new Error(`the run did not come to ${where} within ${seconds} s`);
    }
    await lab.sleep(0.3);
  }
  const status = lab.onHost(trap.host, "cat /run/trap/reached").trim();
  if (status !== sprung[trap.at]) {
    await killEngine(engine);
    throw new Error(`${where} ended with "${status}": nothing is there to be killed ${trap.at} it`);
  }
  console.log(
    `      ${trap.host}: ${how} ${trap.at} ${trap.command} ${trap.matching}, ${((Date.now() - start) / 1000).toFixed(0)} s after the start`,
  );
  if (how === "kill") {
    killStages(trap.host);
    // The engine hears of it; other hosts' stages go on to their end, an admission for up to 900 s.
    // In steps: one long timer would hold up the end of the whole suite.
    for (let waited = 0; !engine.ended() && waited < 1200; waited++) await lab.sleep(1);
    const code = engine.ended() ? await engine.exit : undefined;
    if (code === undefined) {
      await killEngine(engine);
      throw new Error(`the run did not end within 1200 s after its stage was killed at ${where}`);
    }
    if (code === 0) throw new Error(`the run ended well although its stage was killed at ${where}`);
  } else {
    await lab.run("lab/hosts/hosts", ["kill", trap.host], 120);
    // Its connection to the dead host would last for minutes.
    await killEngine(engine);
    await lab.run("lab/hosts/hosts", ["start", trap.host], 300);
  }
  disarm(trap);
}

/** A trap at kubeadm; `file` is for `during`. */
export function kubeadm(host: lab.HostName, matching: string, at: Trap["at"], file?: string): Trap {
  return { host, command: "kubeadm", matching, at, ...(file !== undefined && { file }) };
}

export function kubectl(host: lab.HostName, matching: string, at: Trap["at"]): Trap {
  return { host, command: "kubectl", matching, at };
}
