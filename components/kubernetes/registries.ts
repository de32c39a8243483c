/** containerd's files for mirrors of registries: https://github.com/containerd/containerd/blob/main/docs/hosts.md */
import { toml } from "./containerd";
import type { MirrorsConfig, RegistryMirror } from "../../model/config";

/** Has a folder for each registry. */
export const registriesFolder = "/etc/containerd/certs.d";

/** Host and port in an endpoint's URL. */
export function hostOf(endpoint: string): string {
  return endpoint.replace(/^https?:\/\//, "").split("/")[0]!;
}

/** Registries with another address than their name. */
const servers: Readonly<Record<string, string>> = { "docker.io": "https://registry-1.docker.io" };

/** A registry's hosts.toml. With credentials, only root may read it. */
export function hostsToml({ name, endpoints, ca }: RegistryMirror, credentials: ReadonlyMap<string, string>): string {
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
        // Otherwise, containerd would append /v2.
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
 * The input of host/lib/software/registries.sh, one line per registry: its position in the config, its name, its endpoints (separated
 * by commas), and in base64 its CAs, each endpoint's `USER:PASSWORD` (separated by commas) and its hosts.toml; `-` for nothing.
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

/** Credentials by host, from lines `HOST[:PORT] USER:PASSWORD`; undefined if a line has another form. */
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
