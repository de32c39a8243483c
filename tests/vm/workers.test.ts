import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { ensureCluster, eventually, get, settle } from "../faults/cluster";
import { engineOk, ownNodes, useOwnStack, useStack } from "../faults/stack";
import * as lab from "../lab/lab";
import { allowed, difference, listPackages } from "../lab/leftovers";
import { inSteps } from "../lab/steps";

const architectures: Record<string, string> = { vm1: "amd64", vm2: "arm64" };
/** TAILKUBE_VMS: the hosts to try; both, if it is not set. */
const vms = (process.env.TAILKUBE_VMS ?? "vm1 vm2").split(" ");
const minute = 60;

/** What a shell script prints on a host; throws if it fails. */
function on(vm: string, script: string): string {
  return execFileSync("lab/vm/vm", ["ssh", vm, "bash", "-s"], {
    cwd: lab.root,
    input: script,
    encoding: "utf8",
    maxBuffer: 1 << 28,
    timeout: 15 * minute * 1000,
  });
}

/** What a host looks like: its disk but for /usr, its packages, its network. */
const stateOf = (vm: string) => ({
  files: on(vm, "find /etc /opt /root /usr/local /var -xdev -printf '%p\\t%y\\t%m\\t%U:%G\\t%l\\n' | sort"),
  packages: on(vm, listPackages).trim().split("\n"),
  network: on(vm, readFileSync(join(lab.root, "lab/hosts/lib/netstate"), "utf8")),
});

/** Runs it and prints how long it took. */
async function timed(what: string, work: () => Promise<unknown>): Promise<void> {
  const start = Date.now();
  await work();
  console.log(`      ${what}: ${Math.round((Date.now() - start) / 1000)} s`);
}

/** Ready, and with a kubelet that is alive: a node stays Ready in the API for a while after it died. */
async function waitForNodes(seconds: number): Promise<void> {
  const start = Date.now();
  const missing = () => {
    const [ready, alive] = [lab.readyNodes().map(({ name }) => name), lab.nodesAliveSince(start)];
    const wanted = vms.filter((vm) => !ready.includes(vm) || !alive.includes(vm));
    return Promise.resolve(wanted.length > 0 ? `${wanted.join(", ")} not Ready` : undefined);
  };
  await eventually("the workers", missing, seconds);
  await settle(seconds);
}

/** Workers as users have them: Debian 13 with its own kernel and cgroup v2, which install packages from repositories. */
describe("workers with a kernel of their own", function () {
  inSteps();
  this.timeout(2 * 60 * minute * 1000);
  const found = new Map<string, ReturnType<typeof stateOf>>();
  const bundles = process.env.MIRROR_BUNDLES;

  before(async () => {
    await ensureCluster();
    if (vms.some((vm) => architectures[vm] === "arm64")) process.env.MIRROR_BUNDLES = "default default-arm64";
    if (lab.output("lab/sources", ["name"]).trim() === "mirror")
      await timed("the mirror, with packages and images", () => lab.run("lab/mirror/mirror", ["up"], 120 * minute));
    await timed("images of the hosts", () => lab.run("lab/vm/vm", ["image", ...vms], 120 * minute));
  });
  after(async () => {
    if (bundles === undefined) delete process.env.MIRROR_BUNDLES;
    else process.env.MIRROR_BUNDLES = bundles;
    useOwnStack();
    await lab.run("lab/vm/vm", ["down"], minute);
  });

  it("they boot", async () => {
    await timed("boot", () => lab.run("lab/vm/vm", ["up", ...vms], 20 * minute));
    for (const vm of vms) found.set(vm, stateOf(vm));
  });

  it("they join by packages, and the checks pass", async () => {
    const added = vms.map((name) => ({
      name,
      role: "worker",
      host: { kind: "ssh", address: lab.output("lab/vm/vm", ["ip", name]).trim() },
    }));
    useStack({ nodes: [...ownNodes(), ...added] });
    await timed("up, checks included", () => engineOk(["up"], 90 * minute));
    await waitForNodes(5 * minute);
    for (const vm of vms) {
      const { status } = await get<{ status: { nodeInfo: Record<string, string> } }>("cp1", `/api/v1/nodes/${vm}`);
      const { architecture, containerRuntimeVersion, kernelVersion, kubeletVersion, osImage } = status.nodeInfo;
      console.log(
        `      ${vm}: ${architecture}, ${osImage}, kernel ${kernelVersion}, kubelet ${kubeletVersion}, ${containerRuntimeVersion}`,
      );
      expect(architecture).to.equal(architectures[vm]);
      expect(kernelVersion, "Debian's own kernel").to.match(/\+deb13-cloud-/);
      expect(on(vm, "stat -fc %T /sys/fs/cgroup").trim()).to.equal("cgroup2fs");
      expect(on(vm, "dpkg -S /usr/bin/kubelet /usr/bin/kubeadm /usr/bin/tailscale /usr/bin/containerd"))
        .to.match(/^kubelet:/m)
        .and.to.match(/^kubeadm:/m)
        .and.to.match(/^tailscale:/m)
        .and.to.match(/^containerd\.io:/m);
      expect(on(vm, "apt-mark showhold").trim().split("\n")).to.include.members(["kubeadm", "kubectl", "kubelet"]);
    }
  });

  it("they come back from a reboot, and the checks pass", async () => {
    await timed("reboot, until SSH answers", () => lab.run("lab/vm/vm", ["reboot", ...vms], 30 * minute));
    await timed("until they are Ready", () => waitForNodes(15 * minute));
    await timed("checks", () => Promise.resolve(lab.repeatChecks(45 * minute)));
  });

  it("they are removed, and nothing is left", async () => {
    useOwnStack();
    await timed("up without them", () => engineOk(["up"], 60 * minute));
    await settle();
    const nodes = lab.kubectl("get", "nodes", "-o", "name").split("\n");
    const devices = lab.devices().map(({ name }) => name);
    for (const vm of vms) {
      expect(nodes).not.to.include(`node/${vm}`);
      expect(devices).not.to.include(vm);
      const { files, packages, network } = found.get(vm)!;
      // A clean-up leaves packages.
      const came = stateOf(vm).packages.filter((name) => !packages.includes(name));
      on(vm, `DEBIAN_FRONTEND=noninteractive apt-get purge -y -qq ${came.join(" ")} && rm -rf /opt/containerd`);
      const now = stateOf(vm);
      expect(difference(files, now.files, allowed), `the disk of ${vm}`).to.deep.equal([]);
      expect(difference(network, now.network), `the network of ${vm}`).to.deep.equal([]);
    }
    await lab.run("lab/vm/vm", ["down"], minute);
    expect(execFileSync("ip", ["-o", "link"], { encoding: "utf8" })).not.to.match(/tklab-vm/);
  });
});
