/** `tailkube status` and its sisters as a new operator would use them: told only that something is wrong with the cluster. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import * as lab from "../lab/lab";
import { certificate } from "../unit/command/certificate";
import { type ControlPlane, controlPlanes, eventually, primary, worker } from "./cluster";
import { command, fault, faultSuite, killHost } from "./faults";
import { engineOk } from "./stack";

interface Problem {
  id: string;
  level: "error" | "warning";
  node?: string;
  what: string;
  cure: string[];
}

interface Found {
  code: number | null;
  seconds: number;
  stdout: string;
  stderr: string;
}

/** Runs the command of the checkout on the lab's stack. */
function tailkube(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Found {
  const begin = Date.now();
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(lab.root, "command/tailkube.cjs"), ...args], {
    cwd: lab.root,
    encoding: "utf8",
    maxBuffer: 1 << 28,
    timeout: 900_000,
    env: {
      ...process.env,
      PATH: `${join(lab.root, "lab/pulumi")}:${process.env.PATH}`,
      PULUMI_CONFIG_PASSPHRASE_FILE: join(lab.state, "passphrase"),
      PULUMI_BACKEND_URL: `file://${join(lab.state, "backend")}`,
      ...environment,
    },
  });
  return { code: status, stdout, stderr, seconds: (Date.now() - begin) / 1000 };
}

function problems(): { found: Found; all: Problem[]; nodes: { name: string; ready: boolean | null; ssh: string }[] } {
  const found = tailkube(["status", "--json", "--stack", "dev"]);
  expect(found.stdout, found.stderr).to.not.equal("");
  const { problems: all, nodes } = JSON.parse(found.stdout) as { problems: Problem[]; nodes: never[] };
  return { found, all, nodes };
}

/** Waits until the first error is that one; says how long the status itself took. */
async function firstError(id: string, node: string | undefined, cure: RegExp): Promise<void> {
  let last: ReturnType<typeof problems> | undefined;
  const waited = await eventually(
    `status names ${id}`,
    async () => {
      last = problems();
      const [first] = last.all.filter(({ level }) => level === "error");
      return first?.id === id && first.node === node ? undefined : JSON.stringify(last.all.map((one) => one.what));
    },
    180,
  );
  const { found, all } = last!;
  expect(found.code).to.equal(1);
  expect(all[0]!.cure.join("; ")).to.match(cure);
  console.log(
    `      "${all[0]!.what}", ${waited.toFixed(0)} s after the fault; the status took ${found.seconds.toFixed(1)} s`,
  );
  const text = tailkube(["status", "--stack", "dev"]);
  expect(text.stdout).to.match(/^\S+: \d+ problem/);
  expect(text.seconds).to.be.below(60);
}

/** No error; warnings of the machine's own disk may be there. */
const isWell = () => {
  const { all } = problems();
  const errors = all.filter(({ level }) => level === "error");
  return errors.length === 0 ? undefined : JSON.stringify(errors.map(({ what }) => what));
};

const manifests = "/etc/kubernetes/manifests";

/** Moves etcd's manifest away; the kubelet ends the member. */
function stopEtcd(host: ControlPlane) {
  const at = command(host, `mv ${manifests}/etcd.yaml /etc/kubernetes/; date +%s%3N`);
  return fault(Number(at), () => {
    command(
      host,
      `cd /etc/kubernetes
      sed -i '/tailkube.dev.fault:/d; s#^  annotations:#&\\n    tailkube.dev/fault: "'"$(date +%s)"'"#' etcd.yaml
      mv etcd.yaml ${manifests}/`,
    );
  });
}

function stopWatches() {
  for (const host of controlPlanes) command(host, "systemctl stop tailkube-endpoint");
  return fault(Date.now(), () => {
    for (const host of controlPlanes) command(host, "systemctl start tailkube-endpoint");
  });
}

const path = "/etc/kubernetes/pki/apiserver-kubelet-client.crt";

function expireCertificate(host: ControlPlane) {
  const day = 86_400_000;
  const text = certificate(
    "kube-apiserver-kubelet-client",
    new Date(Date.now() - 366 * day),
    new Date(Date.now() - day),
  );
  command(host, `cp -p ${path} /etc/kubernetes/kept.crt`);
  lab.writeOnHost(host, path, Buffer.from(text));
  return fault(Date.now(), () => void command(host, `mv /etc/kubernetes/kept.crt ${path}`));
}

/** A file system of its own, full: the machine's is shared by all hosts. */
function fillLogs(host: lab.HostName) {
  command(
    host,
    "mount -t tmpfs -o size=8m lab-full /var/log && head -c 9000000 /dev/zero >/var/log/full 2>/dev/null || true",
  );
  return fault(Date.now(), () => void command(host, "umount -l /var/log"));
}

function expireDevice(host: lab.HostName) {
  execFileSync("lab/tailnet/tailnet", ["expire", host], { cwd: lab.root });
  return fault(Date.now(), () => void execFileSync("lab/tailnet/tailnet", ["renew", host], { cwd: lab.root }));
}

describe("the command tailkube", function () {
  faultSuite(this);

  before(async function () {
    this.timeout(30 * 60_000);
    // A cluster from before the command has no output for it; nothing else changes.
    await engineOk(["up"], 1200);
  });

  it("says that a healthy cluster is well, within half a minute", async () => {
    await eventually("a cluster without errors", async () => isWell(), 120);
    const { found, nodes } = problems();
    console.log(`      the status of four hosts took ${found.seconds.toFixed(1)} s`);
    expect(nodes.map(({ ready, ssh }) => [ready, ssh])).to.deep.equal(lab.hosts.map(() => [true, "yes"]));
    expect(found.seconds).to.be.below(30);
  });

  it("names an etcd member that is down, and its cure", async () => {
    const one = stopEtcd("cp2");
    await firstError("etcd-member-down", "cp2", /etcd\.yaml back on cp2/);
    await one.undo();
    await eventually("a cluster without errors", async () => isWell(), 240);
  });

  it("names an endpoint that is nowhere, and its cure, with the API's nodes still known", async () => {
    const one = stopWatches();
    await firstError("endpoint-nowhere", undefined, /tailkube ssh cp1 -- .*systemctl start tailkube-endpoint/);
    expect(problems().nodes.map(({ ready }) => ready)).to.deep.equal([true, true, true, true]);
    await one.undo();
    await eventually("a cluster without errors", async () => isWell(), 240);
  });

  it("names an expired certificate, and its cure", async () => {
    expireCertificate("cp3");
    await firstError("certificate-expired", "cp3", /certificateRenewal/);
  });

  it("names a full disk, and its cure", async () => {
    fillLogs(worker);
    await firstError("disk-full", worker, /du -xh/);
  });

  it("names a device of the tailnet that has expired, and its cure", async () => {
    const one = expireDevice(worker);
    await firstError("device-expired", worker, /extend the key/);
    await one.undo();
    await eventually("a cluster without errors", async () => isWell(), 240);
  });

  it("works while a control plane is down, which it does not call not Ready", async () => {
    const down = primary();
    killHost(down);
    await firstError("host-no-answer", down, /start the machine/);
    const { nodes, all } = problems();
    expect(nodes.find(({ name }) => name === down)!.ready).to.not.equal(false);
    expect(all.map(({ id }) => id)).to.include("etcd-member-down");
    const checks = tailkube(["checks", "--stack", "dev", "--", "--json"]);
    expect(checks.stderr).to.include(`${controlPlanes.find((name) => name !== down)}`);
    expect(checks.code).to.equal(1);
  });

  it("runs commands on hosts, lists and downloads snapshots, merges the kubeconfig, and writes a bundle without secrets", () => {
    const folder = mkdtempSync(join(tmpdir(), "tailkube-command-"));
    try {
      expect(tailkube(["ssh", worker, "--stack", "dev", "--", "hostname"]).stdout.trim()).to.equal(worker);
      expect(tailkube(["ssh", worker, "--stack", "dev", "--", "exit 7"]).code).to.equal(7);
      const snapshot = join(folder, "now.db");
      expect(tailkube(["etcd", "snapshot", snapshot, "--stack", "dev"]).code).to.equal(0);
      expect(readFileSync(snapshot).length).to.be.greaterThan(1_000_000);
      expect(tailkube(["etcd", "list", "--stack", "dev"]).code).to.equal(0);
      const config = join(folder, "config");
      expect(tailkube(["kubeconfig", "--merge", "--stack", "dev"], { KUBECONFIG: config }).code).to.equal(0);
      const { contexts } = parse(readFileSync(config, "utf8")) as { contexts: { name: string }[] };
      expect(contexts).to.have.lengthOf(1);
      const bundle = join(folder, "support.tar.gz");
      const file = join(lab.state, "pulumi/Pulumi.dev.yaml");
      const made = tailkube(["support", "--output", bundle, "--stack", "dev", "--config-file", file]);
      expect(made.code, made.stderr).to.equal(0);
      const text = execFileSync("tar", ["-xzOf", bundle], { encoding: "latin1", maxBuffer: 1 << 29 });
      expect(text.length).to.be.greaterThan(100_000);
      const secrets = [
        lab.read("ssh/id_ed25519").split("\n").slice(1, -2),
        lab.read("tailnet/authkey").trim(),
        lab.read("tailnet/authkey-control-plane").trim(),
        lab.read("tailnet/apikey").trim(),
        lab.read("passphrase").trim(),
        /client-key-data: (\S+)/.exec(lab.read("kubeconfig"))?.[1],
      ].flat();
      for (const secret of secrets) {
        if (secret !== undefined && secret.length > 8) expect(text.includes(secret)).to.equal(false);
      }
      expect(text).to.not.match(/-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9]/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
