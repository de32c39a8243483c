/** The lab's coordination server, and a machine in its tailnet that is no node of the cluster. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import * as lab from "./lab";

export const endpointRoute = "10.200.0.1/32";

/** Restarts the server, which knows all devices again. Without routes, its policy is its own. */
function restart(routes?: string): void {
  const env = { ...process.env };
  delete env.TAILNET_ROUTES;
  if (routes !== undefined) env.TAILNET_ROUTES = routes;
  for (const verb of ["stop", "up"])
    execFileSync(join(lab.root, "lab/tailnet/tailnet"), [verb], {
      cwd: lab.root,
      env,
      stdio: "inherit",
      timeout: 60_000,
    });
}

/** The policy of docs/install/tailnet.md, with these networks of any node beside it. */
export const approve = (...more: string[]) =>
  restart(
    [
      `${endpointRoute}=tag:k8s-control-plane`,
      "10.50.0.0/16=tag:k8s",
      ...more.map((network) => `${network}=tag:k8s`),
    ].join(","),
  );

/** The same with one tag for all nodes. */
export const approveWithOneTag = () => restart(`${endpointRoute}=tag:k8s,10.50.0.0/16=tag:k8s`);

/** The policy that the lab has without any of these. */
export const approveAsAlways = () => restart();

export const deviceOf = (name: string) => lab.devices().find((device) => device.name === name);

/** The name of the device to which the tailnet sends a route. */
export const primaryOf = (route: string) =>
  lab.devices().find(({ primaryRoutes }) => primaryRoutes?.includes(route))?.name;

/** The routes that a host asks the tailnet to send to it at the moment, sorted. */
export function advertised(host: lab.HostName): string[] {
  const text = lab.output("lab/hosts/hosts", ["exec", host, "tailscale", "debug", "prefs"]);
  return ((JSON.parse(text) as { AdvertiseRoutes: string[] | null }).AdvertiseRoutes ?? []).sort();
}
