/** Network namespaces that stand for the hosts cp1, cp2 and w2: their network without them, in seconds. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { root } from "./lab";

/** In namespaces of its own the lab's names are free, whatever runs on the machine; for cgroups there are none. */
const prelude = `
mount -t tmpfs tmpfs /run
mkdir /run/cgroup
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --rbind /run/cgroup /sys/fs/cgroup
cd ${JSON.stringify(root)}/lab/hosts
. lib/common.sh
HOSTS_STATE=$(mktemp -d)
for library in cgroup network rootfs faults delay lifecycle; do . lib/$library.sh; done
CGROUP_NAME=tailkube-lab-test
trap 'cgroup_kill; cgroup_remove; rm -rf "$HOSTS_STATE"' EXIT
inside() { local host=$1; shift; ip netns exec "$(host_netns "$host")" "$@"; }
boot() {
  network_create "$1"
  ip -n "$(host_netns "$1")" address add "$(host_address "$1")/24" dev eth1
  ip -n "$(host_netns "$1")" link set eth1 up
}
reaches() { inside "$1" ping -q -c 4 -i 0.05 -W 2 "$2" >/dev/null && echo yes || echo no; }
carrier() { inside "$1" cat /sys/class/net/eth1/carrier; }
transfer() { inside "$1" ${JSON.stringify(process.execPath)} ${JSON.stringify(join(__dirname, "transfer.cjs"))} "\${@:2}"; }
receive() {
  transfer "$1" receive &
  until inside cp1 bash -c "exec 3<>/dev/tcp/$(host_address "$1")/9999" 2>/dev/null; do sleep 0.1; done
}
send() { transfer "$1" send "$(host_address "$2")" "$3"; }
ip link set lo up
network_bridge_up
for host in cp1 cp2 w2; do boot $host; done
until [ "$(reaches cp1 172.31.77.22)$(reaches cp1 172.31.77.12)" = yesyes ]; do sleep 0.1; done
`;

/** With the shell that is the first process there, all others end. */
const unshare = ["--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"];

/** Runs a script after the prelude; the words that it prints. */
export function inNamespaces(script: string): string[] {
  return execFileSync("unshare", [...unshare, "bash", "-euo", "pipefail", "-s"], {
    input: `${prelude}${script}`,
    encoding: "utf8",
    timeout: 100_000,
    // unshare ignores the milder ones.
    killSignal: "SIGKILL",
  })
    .trim()
    .split(/\s+/);
}
