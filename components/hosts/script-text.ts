/** The scripts in host/. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The folder of package.json, in the repository as in the package. */
export const packageFolder = join(__dirname, "../..");

/** A cache: each file is part of several stages, and each stage is sent to several hosts. */
const texts = new Map<string, string>();

/** The text of a file below host/, such as `lib/base.sh` or `installed/routes.sh`, without its last line break. */
export function scriptText(file: string): string {
  const text = texts.get(file) ?? readFileSync(join(packageFolder, "host", file), "utf8").replace(/\n$/, "");
  texts.set(file, text);
  return text;
}

/** A script that stays on a host, as one text, preceded by the files that it shares with others. */
export function installedScript(file: string, shared: readonly string[]): string {
  const [shebang, ...lines] = scriptText(`installed/${file}`).split("\n");
  // The first line of a part is only for shellcheck, and `shared`, or the script's own line, names what it requires.
  const parts = shared.map((one) => scriptText(one).replace(/^# shellcheck shell=bash\n(# requires: .*\n)?/, ""));
  return [shebang, ...parts, ...lines].join("\n");
}

/** What keeps policy rules, filter and kernel settings for pods over the tailnet. */
export const networkScript = () => installedScript("network.sh", ["lib/network/policy-rules.sh"]);

/** The watch of the API endpoint. */
export const endpointWatchScript = () =>
  installedScript("endpoint-watch.sh", ["lib/network/route-watch.sh", "lib/control-plane/api-servers.sh"]);

/** The watch of the API endpoint in a LAN, with `endpoint.kind: vip`. */
export const vipWatchScript = () =>
  installedScript("vip-watch.sh", [
    "lib/network/route-watch.sh",
    "lib/control-plane/api-servers.sh",
    "lib/control-plane/endpoint-lease.sh",
  ]);

/** The watch of the route to LoadBalancer services. */
export const balancerWatchScript = () => installedScript("load-balancer-watch.sh", ["lib/network/route-watch.sh"]);

/** The approver of kubelets' serving certificates. */
export const approverScript = () =>
  installedScript("approve-kubelet-serving-csrs.sh", ["lib/security/approve-kubelet-csrs.sh"]);

/** The text as one quoted word of a POSIX shell. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
