/** The secrets that the command itself knows. */
import { parse } from "yaml";
import type { ClusterAccess } from "../stack";

/** Private keys, passphrases, passwords and client keys of a cluster's access. */
export function secretsOf({ nodes, kubeconfig, directKubeconfig }: ClusterAccess): string[] {
  return [
    ...new Set([
      ...nodes.flatMap(({ login }) => loginSecrets(login)),
      ...[kubeconfig, directKubeconfig].flatMap(userSecrets),
    ]),
  ];
}

/** Of what stdin begins with (components/hosts/openssh.ts, secretLines), or a private key as it is. */
function loginSecrets(login: string): string[] {
  if (login.startsWith("-----BEGIN")) return [login.trim()];
  return login.split("\n").flatMap((line) => {
    const [kind, first, second] = line.split(" ");
    const coded = kind === "key" ? second : kind === "passphrase" || kind === "sudo" ? first : undefined;
    return coded === undefined ? [] : [coded, Buffer.from(coded, "base64").toString().trim()];
  });
}

/** A user's credentials, as they are in the file and decoded. */
function userSecrets(kubeconfig: string): string[] {
  const config = parse(kubeconfig) as { users?: { user?: Record<string, unknown> }[] } | null;
  return (config?.users ?? []).flatMap(({ user }) => {
    const key = user?.["client-key-data"];
    const decoded = typeof key === "string" ? [key, Buffer.from(key, "base64").toString()] : [];
    return [
      ...decoded,
      ...["token", "password"].flatMap((name) => (typeof user?.[name] === "string" ? [user[name]] : [])),
    ];
  });
}
