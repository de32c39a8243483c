/** A device in the tailnet of the lab that is no node of the cluster, and what the cluster's nodes must reach whatever it does. */
import { expect } from "chai";
import * as lab from "./lab";
import { approveAsAlways, deviceOf } from "./tailnet";

export function podCidrOf(node: string): string {
  const podCidr = lab.kubectl("get", "node", node, "-o", "jsonpath={.spec.podCIDR}");
  expect(podCidr).to.match(/^10\.50\.\d+\.0\/24$/);
  return podCidr;
}

/** A machine in the tailnet that is no node of the cluster. */
const stranger = "w2" as lab.HostName;
export const onStranger = (script: string) => lab.output("lab/hosts/hosts", ["exec", stranger, "bash", "-c", script]);

/** It joins, by the key and with the tag of a worker, and advertises these routes. */
export async function strangerJoins(...routes: string[]): Promise<void> {
  await lab.run("lab/hosts/hosts", ["up", stranger], 300);
  lab.writeOnHost(stranger, "/run/key", Buffer.from(lab.read("tailnet/authkey").trim()));
  onStranger(`cp /opt/tailkube-bundle/bin/tailscale* /usr/local/bin/
    systemd-run --unit=stranger /usr/local/bin/tailscaled --state=/var/lib/stranger.state --socket=/run/tailscale/tailscaled.sock`);
  onStranger(
    `sysctl -qw net.ipv4.ip_forward=1; sleep 3; tailscale up --auth-key=file:/run/key --login-server=http://172.31.77.1:3340 --hostname=stranger --accept-dns=false --advertise-routes=${routes.join(",")}`,
  );
}

export async function strangerLeaves(): Promise<void> {
  onStranger("tailscale logout; systemctl stop stranger");
  await lab.run("lab/hosts/hosts", ["stop", stranger], 120);
  await fetch(`http://172.31.77.1:3340/api/v2/device/${deviceOf("stranger")?.id}`, {
    method: "DELETE",
    headers: { authorization: `Bearer ${lab.read("tailnet/apikey").trim()}` },
  });
  approveAsAlways();
  expect(lab.devices().map(({ name }) => name)).not.to.include("stranger");
}

/** From outside every host answers, has its way to the machine, and reaches the API at the endpoint. */
export function expectReached(): void {
  for (const host of lab.hosts) {
    expect(lab.answersSsh(host), `SSH to ${host}`).to.equal(true);
    expect(lab.onHost(host, "ip route get 172.31.77.1"), host).to.contain(" dev eth1 ");
    expect(lab.onHost(host, "curl -sk --max-time 5 https://10.200.0.1:6443/readyz"), host).to.equal("ok");
  }
}
