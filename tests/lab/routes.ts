/** What hosts advertise to the tailnet and accept from it, on a cluster that is there. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect } from "chai";
import * as lab from "./lab";

/** What a host advertises at the moment, sorted. */
function advertised(host: string): string[] {
  const text = lab.output("lab/hosts/hosts", ["exec", host, "tailscale", "debug", "prefs"]);
  return ((JSON.parse(text) as { AdvertiseRoutes: string[] | null }).AdvertiseRoutes ?? []).sort();
}

const theirs = "192.168.1.0/24";

/** A machine in the tailnet that is no node of the cluster. */
const stranger = "w2";
const onStranger = (script: string) => lab.output("lab/hosts/hosts", ["exec", stranger, "bash", "-c", script]);

export function routeTests(): void {
  for (const host of ["cp2", "w1"] as const) {
    it(`routes come back on ${host} after another's 'tailscale set' dropped them, and theirs stays`, async () => {
      const before = advertised(host);
      expect(before.length, `${host}'s routes: ${before.join(", ")}`).to.equal(host === "w1" ? 1 : 2);
      lab.onHost(host, `tailscale set --advertise-routes=${theirs}`);
      const wanted = [...before, theirs].sort().join();
      const seconds = await lab.until(`${wanted} advertised on ${host}`, () => advertised(host).join() === wanted, 10);
      console.log(`      back after ${seconds} s`);
      // The user takes theirs back, and it stays away.
      lab.onHost(host, `tailscale set --advertise-routes=${before.join(",")}`);
      await lab.sleep(12);
      expect(advertised(host)).to.deep.equal(before);
    });
  }

  it("a peer that advertises the hosts' own network and another node's pod network takes neither", async () => {
    const podCidr = lab.kubectl("get", "node", "w1", "-o", "jsonpath={.spec.podCIDR}");
    expect(podCidr).to.match(/^10\.50\.\d+\.0\/24$/);
    await lab.run("lab/hosts/hosts", ["up", stranger], 300);
    const routes = `10.200.0.1/32,10.50.0.0/16,172.31.77.0/24`;
    const tailnet = (verb: string, approved: string) =>
      execFileSync(join(lab.root, "lab/tailnet/tailnet"), [verb], {
        cwd: lab.root,
        env: { ...process.env, TAILNET_ROUTES: approved },
        stdio: "inherit",
        timeout: 60_000,
      });
    tailnet("stop", routes);
    tailnet("up", routes);
    const key = lab.read("tailnet/authkey").trim();
    execFileSync(join(lab.root, "lab/hosts/hosts"), ["exec", stranger, "bash", "-c", "umask 077; cat >/run/key"], {
      input: key,
    });
    onStranger(`cp /opt/tailkube-bundle/bin/tailscale* /usr/local/bin/
      systemd-run --unit=stranger /usr/local/bin/tailscaled --state=/var/lib/stranger.state --socket=/run/tailscale/tailscaled.sock`);
    onStranger(
      `sysctl -qw net.ipv4.ip_forward=1; sleep 3; tailscale up --auth-key=file:/run/key --login-server=http://172.31.77.1:3340 --hostname=stranger --accept-dns=false --advertise-routes=172.31.77.0/24,${podCidr}`,
    );
    await lab.until(
      "the stranger's route is its own",
      () =>
        lab
          .devices()
          .some(({ name, primaryRoutes }) => name === "stranger" && (primaryRoutes ?? []).includes("172.31.77.0/24")),
      60,
    );
    await lab.sleep(15);
    for (const host of lab.hosts) {
      expect(lab.answersSsh(host), `SSH to ${host}`).to.equal(true);
      expect(lab.onHost(host, "ip route get 172.31.77.1"), host).to.contain(" dev eth1 ");
      expect(lab.onHost(host, "curl -sk --max-time 5 https://10.200.0.1:6443/readyz"), host).to.equal("ok");
    }
    console.log(`      checks with the stranger there: ${lab.repeatChecks().trim()}`);
    onStranger("tailscale logout; systemctl stop stranger");
    await lab.run("lab/hosts/hosts", ["stop", stranger], 120);
    const device = lab.devices().find(({ name }) => name === "stranger") as { id?: string } | undefined;
    await fetch(`http://172.31.77.1:3340/api/v2/device/${device?.id}`, {
      method: "DELETE",
      headers: { authorization: `Bearer ${lab.read("tailnet/apikey").trim()}` },
    });
    tailnet("stop", "10.200.0.1/32,10.50.0.0/16");
    tailnet("up", "10.200.0.1/32,10.50.0.0/16");
    expect(lab.devices().map(({ name }) => name)).not.to.include("stranger");
  });
}
