/** containerd's files for mirrors of registries: https://github.com/containerd/containerd/blob/main/docs/hosts.md */
import type { MirrorsConfig, RegistryMirror } from "../../model/config";

/** Where containerd looks for them; a folder for each registry. */
export const registriesFolder = "/etc/containerd/certs.d";

/** Host and port of an endpoint, as its URL has them. */
export function hostOf(endpoint: string): string {
  return endpoint.replace(/^https?:\/\//, "").split("/")[0]!;
}

/** Addresses of registries that do not serve at their own name. */
const servers: Readonly<Record<string, string>> = { "docker.io": "https://registry-1.docker.io" };

/** A registry's hosts.toml. With credentials it is for root's eyes alone. */
export function hostsToml({ name, endpoints, ca }: RegistryMirror, credentials: ReadonlyMap<string, string>): string {
  // A TOML basic string has JSON's escapes.
  const toml = (value: string) => JSON.stringify(value);
  return [
    "# Written by tailkube; changes are overwritten.",
    `server = ${toml(servers[name] ?? `https://${name}`)}`,
    ...endpoints.flatMap((endpoint) => {
      const host = `host.${toml(endpoint)}`;
      const password = credentials.get(hostOf(endpoint));
      return [
        "",
        `[${host}]`,
        '  capabilities = ["pull", "resolve"]',
        // The URL is whole: containerd would put /v2 after it.
        ...(/^https?:\/\/[^/]+\/./.test(endpoint) ? ["  override_path = true"] : []),
        ...(ca === undefined ? [] : [`  ca = ${toml(`${registriesFolder}/${name}/ca.crt`)}`]),
        ...(password === undefined
          ? []
          : [`  [${host}.header]`, `    Authorization = ${toml(`Basic ${base64(password)}`)}`]),
      ];
    }),
    "",
  ].join("\n");
}

/**
 * What host/lib/registries.sh reads, a line a registry: its place in the config, its name, its endpoints with commas between, and
 * as base64 its authorities, each endpoint's `USER:PASSWORD` (with commas between) and its hosts.toml; `-` for nothing.
 */
export function registryLines({ registries }: MirrorsConfig, credentials: ReadonlyMap<string, string>): string {
  return registries
    .map((one, i) => {
      const passwords = one.endpoints.map((endpoint) => base64(credentials.get(hostOf(endpoint)) ?? "") || "-");
      const ca = one.ca === undefined ? "-" : base64(one.ca);
      return [i, one.name, one.endpoints.join(","), ca, passwords.join(","), base64(hostsToml(one, credentials))].join(
        " ",
      );
    })
    .join("\n");
}

const base64 = (value: string) => Buffer.from(value).toString("base64");

const credentialLine = /^(\S+)\s+([^\s:]+:\S+)$/;

/** `HOST[:PORT] USER:PASSWORD`, one a line, by host; undefined where a line is not like that. */
export function credentialsOf(lines: string): Map<string, string> | undefined {
  const found = new Map<string, string>();
  for (const line of lines.split("\n")) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const parts = credentialLine.exec(line.trim());
    if (parts === null) return undefined;
    found.set(parts[1]!, parts[2]!);
  }
  return found;
}
