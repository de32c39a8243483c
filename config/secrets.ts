/** The secrets of a stack. No message contains a secret, or a part of one. */
import { sudoPasswordLines } from "../components/hosts/openssh";
import { looksSecret } from "../model/messages";
import { privateKeyProblem } from "../model/private-key";
import type { Secrets } from "../model/config";
import type { ReadFile } from "./source";
import type { Problem } from "../model/problem";
import { credentialsOf } from "../components/kubernetes/registries";
import { isGiven, makesAuthKeys } from "./rules/tailnet";
import { needsStackKey, type ReachedHosts, readKeyFiles } from "./ssh";
import { fileKeyOf, fileOf, secretFiles, type SecretKey } from "./schema/secrets";
import type { StackValues } from "./schema/stack";

/** A kind of secret: its description for messages, and a check that returns undefined for a valid value. */
interface SecretKind {
  wanted: string;
  problem(value: string): readonly [wrong: string, fix: string] | undefined;
}

const sshPrivateKey = (passphrase: string | undefined): SecretKind => ({
  wanted: "a private SSH key that all hosts accept",
  problem: (value) => privateKeyProblem(value, passphrase),
});

const oneLine = (what: string): SecretKind => ({
  wanted: what,
  problem: (value) => (/[\r\n\0]/.test(value) ? ["it has several lines", "Use one line."] : undefined),
});

const sudoPasswords: SecretKind = {
  wanted: "lines of a node's name and its password: NODE PASSWORD",
  problem: (value) =>
    sudoPasswordLines(value) === undefined
      ? ["it has a line that is not NODE PASSWORD", "Use one line for each node with a password of its own."]
      : undefined,
};

const tailnetAuthKey: SecretKind = {
  wanted: "an auth key of the tailnet",
  problem(value) {
    if (/\s/.test(value)) return ["it contains white space", "Use only the key."];
    if (/^(tskey|hskey)-api-/.test(value)) {
      return ["it is an API access token, which cannot log in devices", "Create an auth key in the admin console."];
    }
    if (value.startsWith("tskey-client-")) {
      return [
        "it is the secret of an OAuth client, whose devices are ephemeral: a node that was off for a while would return with " +
          "another address",
        "Set it as tailnetOauthClientSecret together with tailnet.oauthClientId, so that the program creates the keys, " +
          "or create an auth key in the admin console.",
      ];
    }
    return /^(tskey-(scim|webhook)|hskey-reg)-/.test(value)
      ? ["it is another kind of key, not an auth key", "Create an auth key in the admin console."]
      : undefined;
  },
};

const tailnetApiKey: SecretKind = {
  wanted: "an access token of the tailnet's API",
  problem(value) {
    // RFC 6750's characters of a bearer token; others would end the header that it is sent in.
    if (/[^A-Za-z0-9._~+/=-]/.test(value)) {
      return ["it contains characters that no access token has", "Use only the token."];
    }
    return /^tskey-(auth|client)-/.test(value)
      ? ["it is another kind of key, not an API access token", "Create an API access token in the admin console."]
      : undefined;
  },
};

const tailnetOauthClientSecret: SecretKind = {
  wanted: "the secret of an OAuth client of the tailnet",
  problem(value) {
    if (/[^A-Za-z0-9._~+/=-]/.test(value)) {
      return ["it contains characters that no client secret has", "Use only the secret."];
    }
    return /^tskey-(auth|api)-/.test(value)
      ? ["it is another kind of key, not a client secret", "Create an OAuth client in the admin console."]
      : undefined;
  },
};

const registryCredentials: SecretKind = {
  wanted: "lines of a mirror's host, user and password: HOST[:PORT] USER:PASSWORD",
  problem(value) {
    return credentialsOf(value) === undefined
      ? [
          "it has a line that is not HOST[:PORT] USER:PASSWORD",
          "Use one line for each host of mirrors.registries that requires a password.",
        ]
      : undefined;
  },
};

const proxyCredentials: SecretKind = {
  wanted: "the user and the password of the proxy, USER:PASSWORD",
  problem: (value) =>
    /^[^\s:]+:\S+$/.test(value) ? undefined : ["it is not USER:PASSWORD", "Use one line, without white space."],
};

/**
 * The secrets, each from its own key or from the file that another key names. Adds a problem for each that is missing, set twice,
 * unreadable or of the wrong kind. The credentials of the tailnet's API are optional, and so is the auth key if they can create one.
 * A LAN ignores the tailnet's secrets.
 */
export function readSecrets(
  values: StackValues,
  readFile: ReadFile,
  problems: Problem[],
  reached: ReachedHosts,
): Secrets {
  const read = (key: SecretKey, kind: SecretKind) => {
    const { value, problem } = readSecret(key, kind, values, readFile);
    if (problem !== undefined) problems.push(problem);
    return value;
  };
  const given = (key: SecretKey, kind: SecretKind) =>
    values[key] === undefined && fileOf(values, key) === undefined ? undefined : read(key, kind);
  const ssh = {
    sshKeyPassphrase: given("sshKeyPassphrase", oneLine("the passphrase of the private SSH keys")),
    sudoPassword: given("sudoPassword", oneLine("sudo's password")),
    sudoPasswords: given("sudoPasswords", sudoPasswords),
  };
  const stackKey = sshPrivateKey(ssh.sshKeyPassphrase);
  const sshKey = needsStackKey(values, reached) ? read("sshPrivateKey", stackKey) : given("sshPrivateKey", stackKey);
  const sshKeyFiles = readKeyFiles(reached, ssh.sshKeyPassphrase, readFile, problems);
  const ofTailnet = Object.entries({
    tailnetControlPlaneAuthKey: tailnetAuthKey,
    tailnetApiKey,
    tailnetOauthClientSecret,
  });
  const optional = [
    ["registryCredentials", registryCredentials],
    ["proxyCredentials", proxyCredentials],
    // A stack that was in a tailnet before may still have the tailnet's.
    ...(values.nodeNetwork === "lan" ? [] : ofTailnet),
  ] as [SecretKey, SecretKind][];
  return {
    // ssh rejects a key without a line break at its end, and one with those of Windows.
    sshPrivateKey: sshKey === undefined ? "" : `${sshKey.replaceAll("\r", "")}\n`,
    ...Object.fromEntries(Object.entries(ssh).filter(([, value]) => value !== undefined)),
    ...(Object.keys(sshKeyFiles).length > 0 && { sshKeyFiles }),
    ...(values.nodeNetwork !== "lan" &&
      !makesAuthKeys(values) && { tailnetAuthKey: read("tailnetAuthKey", tailnetAuthKey) }),
    ...Object.fromEntries(
      optional.filter(([key]) => isGiven(values, key)).map(([key, kind]) => [key, read(key, kind)]),
    ),
  };
}

function readSecret(
  key: SecretKey,
  kind: SecretKind,
  values: StackValues,
  readFile: ReadFile,
): { value: string; problem?: Problem } {
  const [inConfig, file] = [values[key], fileOf(values, key)];
  const fileKey = fileKeyOf(key);
  const about = key.startsWith("tailnet") ? ["nodeNetwork"] : [];
  if (inConfig !== undefined && file !== undefined) {
    const wrong = `it and ${fileKey} are both set`;
    return { value: "", problem: { path: key, wrong, fix: "Remove one of them.", about } };
  }
  if (inConfig === undefined && file === undefined) {
    const fix = `Set it (pulumi config set --secret ${key}), or name its file in ${fileKey}.`;
    // With these, the program creates the auth keys.
    const makers = key === "tailnetAuthKey" ? ["tailnet.loginServer", "tailnetApiKey", "tailnetOauthClientSecret"] : [];
    return { value: "", problem: { path: key, allowed: kind.wanted, fix, about: [...about, ...makers, fileKey] } };
  }
  if (file !== undefined && looksSecret(file)) {
    // exposedSecrets reports it without quoting it.
    return { value: "" };
  }
  let value = inConfig ?? "";
  if (file !== undefined) {
    try {
      value = readFile(file);
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      const wrong = `cannot be read${typeof code === "string" ? ` (${code})` : ""}`;
      const allowed = `a file with ${kind.wanted}; relative paths are relative to the project`;
      const fix = "Correct the path.";
      return { value: "", problem: { path: fileKey, got: file, wrong, allowed, fix, about } };
    }
  }
  const trimmed = value.trim();
  const [wrong, fix] = trimmed === "" ? ["it is empty", `Use ${kind.wanted}.`] : (kind.problem(trimmed) ?? []);
  const at = file === undefined ? { path: key } : { path: fileKey, file, keyLength: secretFiles[key].length };
  return { value: trimmed, ...(wrong !== undefined && { problem: { ...at, wrong, fix, about } }) };
}
