/**
 * The secrets of a stack's config. None is in a group: the engine can encrypt single values in an object, but reports only for whole
 * keys whether they are encrypted, so an unencrypted secret beside an encrypted one in the same group would go unnoticed.
 */
import { z } from "zod";
import { key } from "./fields";

const secret = (words: string) => key(z.string().optional(), words, { isInput: true });

/** The group and the key that can name a file with the secret instead. */
export const secretFiles = {
  tailnetAuthKey: ["tailnet", "authKeyFile"],
  tailnetControlPlaneAuthKey: ["tailnet", "controlPlaneAuthKeyFile"],
  tailnetApiKey: ["tailnet", "apiKeyFile"],
  tailnetOauthClientSecret: ["tailnet", "oauthClientSecretFile"],
  sshPrivateKey: ["ssh", "privateKeyFile"],
  sshKeyPassphrase: ["ssh", "privateKeyPassphraseFile"],
  sudoPassword: ["ssh", "sudoPasswordFile"],
  sudoPasswords: ["ssh", "sudoPasswordsFile"],
  registryCredentials: ["mirrors", "registryCredentialsFile"],
  proxyCredentials: ["proxy", "credentialsFile"],
} as const;

/** The groups of a stack's config with keys that name such files. */
type Groups = {
  [K in SecretKey as (typeof secretFiles)[K][0]]: Partial<Record<(typeof secretFiles)[K][1], string>>;
};

export type SecretKey = keyof typeof secretFiles;

export const secretKeys = Object.keys(secretFiles) as SecretKey[];

export const isSecretKey = (name: string): name is SecretKey => Object.hasOwn(secretFiles, name);

/** For tailnetAuthKey: `tailnet.authKeyFile`. */
export const fileKeyOf = (name: SecretKey): string => secretFiles[name].join(".");

/** The file that is named for a secret. */
export function fileOf(values: Groups, name: SecretKey): string | undefined {
  const [groupName, fileKey] = secretFiles[name];
  return values[groupName][fileKey as keyof Groups[typeof groupName]];
}

/** The keys in groups under which users look for the secrets, such as `tailnet.authKey`. */
export const misplacedSecrets: ReadonlyMap<string, SecretKey> = new Map(
  Object.entries(secretFiles).map(([name, path]) => [path.join(".").replace(/File$/, ""), name as SecretKey]),
);

export const tailnetSecrets = {
  tailnetAuthKey: secret(
    "Auth key of the tailnet, tagged and not ephemeral. A secret; or name its file in tailnet.authKeyFile. Without a key, the " +
      "program creates one for each node with Tailscale's API.",
  ),
  tailnetControlPlaneAuthKey: secret(
    "Auth key of the control planes, with both tags. Required with tailnet.controlPlaneTag, unless the program creates the keys. " +
      "A secret; or name its file in tailnet.controlPlaneAuthKeyFile.",
  ),
  tailnetApiKey: secret(
    "Access token of the tailnet's API. With it, the program deletes the devices of removed nodes; without it, they stay in the " +
      "list. A secret; or name its file in tailnet.apiKeyFile.",
  ),
  tailnetOauthClientSecret: secret(
    "The OAuth client's secret. A secret; or name its file in tailnet.oauthClientSecretFile.",
  ),
};

export const sshSecrets = {
  sshPrivateKey: secret(
    "Private SSH key for all hosts. Required unless ssh.agent is set or all hosts have their own. A secret; or name its file in " +
      "ssh.privateKeyFile.",
  ),
  sshKeyPassphrase: secret(
    "Passphrase of the private SSH keys. A secret; or name its file in ssh.privateKeyPassphraseFile.",
  ),
  sudoPassword: secret(
    "sudo's password for the hosts' SSH users other than root. A secret; or name its file in ssh.sudoPasswordFile.",
  ),
  sudoPasswords: secret(
    "For hosts with another sudo password, one line each, NODE PASSWORD. A secret; or name its file in ssh.sudoPasswordsFile.",
  ),
};

export const registryCredentials = secret(
  "For mirrors.registries, one line per server that requires a password, HOST[:PORT] USER:PASSWORD. A secret; or name its file in " +
    "mirrors.registryCredentialsFile.",
);

export const proxyCredentials = secret(
  "For a proxy that asks for them, USER:PASSWORD. A secret; or name its file in proxy.credentialsFile.",
);
