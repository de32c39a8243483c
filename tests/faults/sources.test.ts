import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import * as lab from "../lab/lab";
import { freshNamespace, image, removeNamespace, runPod, settle } from "./cluster";
import { command, faultSuite } from "./faults";
import { engine, engineOk, ownStack, useOwnStack, useStack } from "./stack";

/** The mirror's registry itself, which takes images. */
const registry = "http://127.0.0.1:3353/v2";
const manifestType = "application/vnd.oci.image.manifest.v1+json";
/** What a host that follows the instructions of kubernetes.io, tailscale.com and docker.com holds; Tailscale's say nothing of it. */
const held = ["containerd.io", "kubeadm", "kubectl", "kubelet"];

interface Manifest {
  config: { digest: string; size: number };
  layers: { digest: string }[];
}

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const answer = await fetch(path.startsWith("http") ? path : `${registry}/${path}`, init);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer;
}

/** Puts the pause image into the registry under a name that no other one has, with a configuration of its own. */
async function addImage(): Promise<string> {
  const [from, tag] = image.split(":") as [string, string];
  const name = "registry.k8s.io/in-the-lab-alone";
  const headers = { Accept: manifestType };
  const manifest = (await (await ask(`${from}/manifests/${tag}`, { headers })).json()) as Manifest;
  const found = (await (await ask(`${from}/blobs/${manifest.config.digest}`)).json()) as object;
  const config = JSON.stringify({ ...found, author: "the lab" });
  const digest = `sha256:${createHash("sha256").update(config).digest("hex")}`;
  for (const layer of manifest.layers)
    await ask(`${name}/blobs/uploads/?mount=${layer.digest}&from=${from}`, { method: "POST" });
  const upload = (await ask(`${name}/blobs/uploads/`, { method: "POST" })).headers.get("location")!;
  const url = new URL(upload, registry);
  url.searchParams.set("digest", digest);
  await ask(url.href, { method: "PUT", body: config, headers: { "Content-Type": "application/octet-stream" } });
  const body = JSON.stringify({ ...manifest, config: { ...manifest.config, digest, size: config.length } });
  await ask(`${name}/manifests/1`, { method: "PUT", body, headers: { "Content-Type": manifestType } });
  return `${name}:1`;
}

/** The mirror's package repositories and its registry, as hosts have them. */
describe("the places that hosts install from", function () {
  faultSuite(this);
  const config = () => ownStack().config as { "tailkube:mirrors": { registries: { caFile: string }[] } };

  before(async function () {
    if (lab.output("lab/sources", ["name"]).trim() !== "mirror") this.skip();
    await freshNamespace();
  });
  after(async () => {
    useOwnStack();
    await removeNamespace();
  });

  it("an image that only the mirror's registry has is pulled under registry.k8s.io's name", async () => {
    await runPod("alone", await addImage());
    expect(lab.read("mirror/server.log")).to.match(
      /172\.31\.77\.21:\d+ GET \/v2\/registry\.k8s\.io\/in-the-lab-alone\//,
    );
  });

  it("with the mirror stopped the cluster goes on, and a host reboots", async () => {
    await lab.run("lab/mirror/mirror", ["stop"], 60);
    try {
      await lab.run("lab/hosts/hosts", ["reboot", "w1"], 400);
      const up = Date.now();
      await lab.until("w1 is back", () => lab.nodesAliveSince(up).includes("w1"), 300);
      await settle();
      console.log(`      checks meanwhile: ${lab.repeatChecks().trim()}`);
    } finally {
      await lab.run("lab/mirror/mirror", ["up"], 300);
    }
  });

  it("a wrong authority and a wrong password are refused with the registry's name and what to do", async () => {
    const folder = join(lab.state, "faults");
    const mirrors = config()["tailkube:mirrors"];
    const [authority, password] = [join(folder, "authority.pem"), join(folder, "password")];
    const other = lab.read("kubeconfig").match(/certificate-authority-data: (\S+)/)![1]!;
    useStack({ mirrors: { registryCredentialsFile: password } });
    writeFileSync(password, "172.31.77.1:3352 lab:wrong\n", { mode: 0o600 });
    writeFileSync(authority, Buffer.from(other, "base64"));
    const refused = await engine(["up"], 600);
    expect(refused.code).to.not.equal(0);
    expect(refused.text).to.match(
      /mirrors\.registries\[0\] \(registry\.k8s\.io\): https:\/\/172\.31\.77\.1:3352\S* refuses the user and the password .* Correct that line/,
    );
    useStack({ mirrors: { ...mirrors, registries: mirrors.registries.map((one) => ({ ...one, caFile: authority })) } });
    const unsigned = await engine(["up"], 600);
    expect(unsigned.code).to.not.equal(0);
    expect(unsigned.text).to.match(
      /mirrors\.registries\[0\] \(registry\.k8s\.io\): the certificate of https:\/\/172\.31\.77\.1:3352\S* is not signed by .* Set caFile/,
    );
    useOwnStack();
    await engineOk(["up"], 900);
    await runPod("again", await addImage());
  });

  it("the password is in files for root alone, and in no state in clear", () => {
    const credentials = lab.read("mirror/credentials").trim();
    const secrets = [credentials.split(":")[1]!, Buffer.from(credentials).toString("base64")];
    const state = lab.output("lab/engine", ["export"]);
    expect(state).to.not.equal("");
    for (const secret of secrets) expect(state.includes(secret), "a password in the state").to.equal(false);
    for (const host of lab.hosts) {
      // Of each only a part is asked for: the question itself is in the host's process list.
      const parts = secrets.map((secret) => `-e '${secret.slice(8, 28)}'`).join(" ");
      const found = command(
        host,
        `grep -rlsF ${parts} /etc /root /run/tailkube /tmp /usr/local /var/lib/tailkube /var/log --exclude-dir=journal | xargs -r stat -c '%a %U %n' | sort
        ! journalctl --no-pager -o cat | grep -qF ${parts} || echo journal`,
        120,
      );
      const files = ["docker.io", "quay.io", "registry.k8s.io"].map(
        (name) => `/etc/containerd/certs.d/${name}/hosts.toml`,
      );
      expect(found.trim().split("\n"), host).to.deep.equal(files.map((file) => `600 root ${file}`));
    }
  });

  for (const host of lab.hosts) {
    it(`${host} has what the official instructions give it, and an upgrade by hand changes no version of the cluster`, () => {
      const { version, containerdVersion } = ownStack().config["tailkube:kubernetes"] as Record<string, string>;
      const wanted = [
        `hi containerd.io ${containerdVersion}-1~debian`,
        ...["kubeadm", "kubectl", "kubelet"].map((name) => `hi ${name} ${version}-1.1`),
      ];
      const packages = () =>
        command(
          host,
          `dpkg-query -W -f '\${db:Status-Abbrev} \${Package} \${Version}\\n' ${held.join(" ")} | sed 's/  */ /g'`,
        )
          .trim()
          .split("\n");
      expect(packages()).to.deep.equal(wanted);
      expect(command(host, "apt-mark showhold").trim().split("\n")).to.deep.equal(held);
      const line = (file: string) => command(host, `cat /etc/apt/sources.list.d/${file}.list`).trim();
      const codename = command(host, ". /etc/os-release; echo $VERSION_CODENAME").trim();
      const minor = (version as string).replace(/\.\d+$/, "");
      expect(line("kubernetes")).to.equal(
        `deb [signed-by=/etc/apt/keyrings/kubernetes-apt-keyring.gpg] http://172.31.77.1:3351/kubernetes/core:/stable:/v${minor}/deb/ /`,
      );
      expect(line("tailscale")).to.match(
        new RegExp(`signed-by=/usr/share/keyrings/tailscale-archive-keyring.gpg.* ${codename} main$`),
      );
      expect(line("docker")).to.match(new RegExp(`signed-by=/etc/apt/keyrings/docker.gpg.* ${codename} stable$`));
      for (const name of [...held, "tailscale"]) {
        const policy = command(host, `apt-cache policy ${name}`);
        const [, installed, candidate] = /Installed: (\S+)\s+Candidate: (\S+)/.exec(policy)!;
        expect(candidate, name).to.equal(installed);
        expect(policy, name).to.contain(" http://172.31.77.1:3351/");
      }
      // Newer ones, in a repository of the host's own.
      const upgraded = command(
        host,
        `mkdir -p /run/newer; cd /run/newer
        for name in ${held.join(" ")}; do
          mkdir -p root/DEBIAN
          printf 'Package: %s\\nVersion: 9.9.9\\nArchitecture: all\\nMaintainer: lab\\nDescription: newer\\n' "$name" >root/DEBIAN/control
          dpkg-deb -b root "$name.deb" >/dev/null
          { cat root/DEBIAN/control; printf 'Filename: ./%s.deb\\nSize: %s\\nSHA256: %s\\n\\n' "$name" "$(stat -c %s "$name.deb")" "$(sha256sum "$name.deb" | cut -d' ' -f1)"; } >>Packages
        done
        echo 'deb [trusted=yes] file:/run/newer ./' >/etc/apt/sources.list.d/newer.list
        undo() { rm -r /run/newer /etc/apt/sources.list.d/newer.list; apt-get update -qq; }
        trap undo EXIT
        apt-get update -qq
        apt-cache policy ${held.join(" ")} | grep -c 'Candidate: 9.9.9'
        DEBIAN_FRONTEND=noninteractive apt-get upgrade -y -q 2>&1`,
        600,
      );
      expect(upgraded, "newer ones are there").to.match(new RegExp(`^${held.length}\n`));
      expect(upgraded).to.match(/kept back:\s+containerd\.io kubeadm kubectl kubelet/);
      expect(packages()).to.deep.equal(wanted);
    });
  }
});
