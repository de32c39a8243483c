/** A cluster whose hosts reach what they install from only through a proxy with a password. */
import { execFileSync, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import * as lab from "../lab/lab";
import { inSteps } from "../lab/steps";
import { freshNamespace, image, runPod } from "./cluster";
import { command } from "./faults";
import { engine, engineOk, refreshKubeconfig, useOwnStack, useStack } from "./stack";

const table = "tailkube_lab_proxy";
const address = "172.31.77.1";
const proxy = `http://${address}:3128`;
/** As a URL has it, a part of it in base64, and as it is. */
const password = "lab-proxy-p@ss%word";
const secrets = [encodeURIComponent(password), Buffer.from(`lab:${password}`).toString("base64"), password];

const nft = (...lines: string[]) => execFileSync("nft", ["-f", "-"], { input: lines.join("\n") });
const removeTable = () => nft(`table inet ${table}`, `delete table inet ${table}`);

/** From here on hosts and pods reach the mirror's ports through the proxy alone, which is on this machine. */
function closeDirectWay(): void {
  removeTable();
  nft(
    `table inet ${table} {`,
    "  chain in { type filter hook input priority filter - 10;",
    '    iifname != "lo" tcp dport { 3351, 3352 } counter reject with tcp reset',
    "  }",
    "}",
  );
}

const directTries = () =>
  Number(/packets (\d+)/.exec(execFileSync("nft", ["list", "table", "inet", table], { encoding: "utf8" }))![1]);

describe("hosts behind a proxy that is the only way out", function () {
  inSteps();
  this.timeout(3 * 60 * 60_000);
  const log = join(lab.state, "connect-proxy.log");
  const credentialsFile = join(lab.state, "faults", "proxy-credentials");
  let server: ReturnType<typeof spawn> | undefined;

  /** What the proxy was asked for since the last call. */
  let seen = 0;
  function asked(): string[] {
    const lines = readFileSync(log, "utf8").trim().split("\n");
    const fresh = lines.slice(seen);
    seen = lines.length;
    return fresh;
  }

  const useProxy = (more: Record<string, unknown> = {}, credentials = `lab:${password}`) => {
    useStack({ proxy: { http: proxy, credentialsFile }, ...more });
    writeFileSync(credentialsFile, `${credentials}\n`, { mode: 0o600 });
  };

  before(async function () {
    useOwnStack();
    process.env.MIRROR_BUNDLES = "default minor patch";
    await lab.bareHosts();
    if (lab.output("lab/sources", ["name"]).trim() !== "mirror") this.skip();
    writeFileSync(log, "");
    const out = openSync(log, "a");
    server = spawn("node", ["tests/connect-proxy.cjs", address, "3128", `lab:${password}`], {
      cwd: lab.root,
      stdio: ["ignore", out, "inherit"],
    });
    closeSync(out);
    await lab.until("the proxy", () => readFileSync(log, "utf8").includes("listening"), 10);
    closeDirectWay();
  });
  after(async () => {
    server?.kill();
    removeTable();
    useOwnStack();
    delete process.env.MIRROR_BUNDLES;
    await lab.run("lab/down", [], 300);
  });

  /** The direct way is closed indeed, and another one is open. */
  it("hosts do not reach the mirror by themselves", () => {
    const code = (options: string) =>
      command("w1", `curl -s -o /dev/null -w '%{http_code}' ${options} http://${address}:3351/ || true`).trim();
    expect(code("")).to.equal("000");
    expect(code(`-x ${proxy}`)).to.equal("407");
  });

  it("a wrong password is one line for each host, and nothing is changed", async () => {
    useProxy({}, "lab:wrong");
    const run = await engine(["up"], 600);
    expect(run.code).to.not.equal(0);
    for (const host of lab.hosts) {
      expect(run.text).to.match(
        new RegExp(`tailkube: ${host}: facts: .*it refuses the user and the password in proxyCredentials`),
      );
      expect(lab.existing(host, "/var/lib/tailkube", "/etc/tailkube"), host).to.deep.equal([]);
    }
    expect(run.text).to.not.include("lab:wrong");
  });

  it("up makes a cluster", async () => {
    const bundle = JSON.parse(lab.read("bundles/minor/bundle.json")) as Record<string, string>;
    const { kubernetesVersion, containerdVersion, tailscaleVersion, ciliumVersion } = bundle;
    asked();
    useProxy({
      kubernetes: { version: kubernetesVersion, containerdVersion },
      tailnet: { tailscaleVersion },
      cilium: { version: ciliumVersion },
    });
    const before = directTries();
    await engineOk(["up"], 1800);
    refreshKubeconfig();
    const lines = asked();
    expect(
      lines.filter((line) => line.startsWith(`200 CONNECT ${address}:3352`)),
      "images",
    ).to.not.be.empty;
    expect(
      lines.filter((line) => line.startsWith(`200 GET http://${address}:3351/kubernetes/`)),
      "packages",
    ).to.not.be.empty;
    expect(
      lines.filter((line) => /:(3340|6443|10250)\b/.test(line)),
      "of the cluster's own",
    ).to.deep.equal([]);
    expect(directTries(), "tries without the proxy").to.equal(before);
    expect(lab.readyNodes()).to.have.lengthOf(lab.hosts.length);
  });

  it("the password is in one file for root alone, and in no unit, log, manifest or state", () => {
    const state = lab.output("lab/engine", ["export"]);
    const manifests = lab.kubectl("-n", "kube-system", "get", "pods", "-o", "yaml");
    for (const secret of secrets) {
      expect(state.includes(secret), "the state").to.equal(false);
      expect(manifests.includes(secret), "pods").to.equal(false);
    }
    expect(manifests).to.not.match(/_proxy/i);
    for (const host of lab.hosts) {
      // Of each only a part is asked for: the question itself is in the host's process list.
      const parts = secrets.map((secret) => `-e '${secret.slice(4, 16)}'`).join(" ");
      const found = command(
        host,
        `grep -rlsF ${parts} /etc /root /run /tmp /usr/local /var/lib/tailkube /var/log --exclude-dir=journal | xargs -r stat -c '%a %U %n' | sort
        ! journalctl --no-pager -o cat | grep -qF ${parts} || echo journal
        ! systemctl show containerd tailscaled | grep -qF ${parts} || echo systemctl
        ! ps axww -o args | grep -v grep | grep -qF ${parts} || echo ps`,
        120,
      );
      expect(found.trim(), host).to.equal("600 root /etc/tailkube/containerd-proxy.env");
    }
  });

  it("a pod's image is pulled through it", async () => {
    await freshNamespace();
    asked();
    await runPod("one", image);
    expect(asked()).to.include(`200 CONNECT ${address}:3352`);
  });

  it("a second up changes nothing", async () => {
    asked();
    await engineOk(["up", "--expect-no-changes"], 600);
    expect(asked()).to.deep.equal([]);
  });

  it("Kubernetes is upgraded behind it", async () => {
    useProxy();
    const before = directTries();
    await engineOk(["up"], 3600);
    const versions = new Set(lab.readyNodes().map(({ version }) => version));
    expect(versions.size).to.equal(1);
    expect(directTries(), "tries without the proxy").to.equal(before);
  });

  it("taken from the config, it is gone from every host, and a killed run in between is finished by the next", async () => {
    removeTable();
    useOwnStack();
    const isGone = () => lab.existing("cp1", "/etc/tailkube/containerd-proxy.env").length === 0;
    await lab.killUpWhen("the first node's restart without the proxy", isGone, 1200);
    await engineOk(["up"], 3600);
    for (const host of lab.hosts) {
      const environment = command(
        host,
        "for unit in containerd tailscaled; do tr '\\0' '\\n' <\"/proc/$(systemctl show -p MainPID --value $unit)/environ\" | grep -i _proxy || true; done",
      );
      expect(environment, host).to.equal("");
    }
  });

  it("set again and destroyed, it leaves nothing", async () => {
    closeDirectWay();
    useProxy();
    await engineOk(["up"], 3600);
    await engineOk(["destroy"], 1200);
    for (const host of lab.hosts) {
      const left = command(
        host,
        "find /etc -name '*proxy*' -newer /etc/machine-id -path '*tailkube*'; ls -d /etc/tailkube 2>/dev/null || true",
      );
      expect(left.trim(), host).to.equal("");
      const environment = command(
        host,
        "for unit in containerd tailscaled; do pid=$(systemctl show -p MainPID --value $unit); [ \"${pid:-0}\" = 0 ] || tr '\\0' '\\n' <\"/proc/$pid/environ\" | grep -i _proxy || true; done",
      );
      expect(environment, host).to.equal("");
    }
  });
});
