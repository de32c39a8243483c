/** Rules between the proxy and other keys. */
import type { Problem } from "../../model/problem";
import type { Given } from "./rule";

export function proxyProblems({ config, secrets, values }: Given): Problem[] {
  if (config.proxy !== undefined) return [];
  const about = ["proxy.http", "proxy.https"];
  const wrong = "it has no effect without proxy.http or proxy.https";
  const fix = "Set one of them, or remove this key.";
  return [
    ...(secrets.proxyCredentials === undefined
      ? []
      : [{ path: "proxyCredentials", wrong, fix, about: [...about, "proxy.credentialsFile"] }]),
    ...(values.proxy.noProxy.length === 0 ? [] : [{ path: "proxy.noProxy", wrong, fix, about }]),
  ];
}
