/** The secrets of a stack. Nothing here puts a secret, or a part of one, into a message. */
import { looksSecret } from "../model/messages";
import type { Secrets } from "../model/config";
import type { ReadFile } from "./source";
import type { Problem } from "../model/problem";
import { credentialsOf } from "../components/kubernetes/registries";
import { isGiven, makesAuthKeys } from "./rules/tailnet";
import { fileKeyOf, fileOf, secretFiles, type SecretKey } from "./schema/secrets";
import type { StackValues } from "./schema/stack";

/** What a secret is, for the user, and what is wrong with a value and what to do; `undefined` if nothing is wrong. */
interface SecretKind {
  wanted: string;
  problem(value: string): readonly [wrong: string, fix: string] | undefined;
}

const sshPrivateKey: SecretKind = {
  wanted: "the private SSH key that opens every host",
  problem(value) {
    if (/^(ssh|ecdsa|sk)-\S+ AAAA/.test(value)) {
      return ["it is a public key", "Give the private one, the file without .pub."];
    }
    if (!/^-----BEGIN [A-Z ]*PRIVATE KEY-----$/m.test(value) || !/^-----END [A-Z ]*PRIVATE KEY-----$/m.test(value)) {
      return ["it is no private key in OpenSSH's or PEM format", "Give the whole file, from -----BEGIN to -----END."];
    }
    return isEncrypted(value)
      ? [
          "it is protected by a passphrase, which nobody could type in",
          "Give a key without one: ssh-keygen -p -f FILE.",
        ]
      : undefined;
  },
};

const tailnetAuthKey: SecretKind = {
  wanted: "an auth key of the tailnet",
  problem(value) {
    if (/\s/.test(value)) {
      return ["it has white space within", "Give the key alone."];
    }
    if (/^(tskey|hskey)-api-/.test(value)) {
      return ["it is an API access token, which no device can log in with", "Make an auth key in the admin console."];
    }
    if (value.startsWith("tskey-client-")) {
      return [
        "it is the secret of an OAuth client, whose devices are ephemeral: a node that was off for a while would come back with " +
          "another address",
        "Set it as tailnetOauthClientSecret beside tailnet.oauthClientId, so that the program makes the keys, " +
          "or make an auth key in the admin console.",
      ];
    }
    return /^(tskey-(scim|webhook)|hskey-reg)-/.test(value)
      ? ["it is no auth key, but another kind of key", "Make an auth key in the admin console."]
      : undefined;
  },
};

const tailnetApiKey: SecretKind = {
  wanted: "an access token of the tailnet's API",
  problem(value) {
    // RFC 6750's characters of a bearer token; others would end the header that it is sent in.
    if (/[^A-Za-z0-9._~+/=-]/.test(value)) {
      return ["it has characters that no access token has", "Give the token alone."];
    }
    return /^tskey-(auth|client)-/.test(value)
      ? ["it is no API access token, but another kind of key", "Make an API access token in the admin console."]
      : undefined;
  },
};

const tailnetOauthClientSecret: SecretKind = {
  wanted: "the secret of an OAuth client of the tailnet",
  problem(value) {
    if (/[^A-Za-z0-9._~+/=-]/.test(value)) {
      return ["it has characters that no client secret has", "Give the secret alone."];
    }
    return /^tskey-(auth|api)-/.test(value)
      ? ["it is no client secret, but another kind of key", "Make an OAuth client in the admin console."]
      : undefined;
  },
};

const registryCredentials: SecretKind = {
  wanted: "lines of a mirror's host, user and password: HOST[:PORT] USER:PASSWORD",
  problem(value) {
    return credentialsOf(value) === undefined
      ? [
          "a line of it is not HOST[:PORT] USER:PASSWORD",
          "Give one line for each host of mirrors.registries that asks for a password.",
        ]
      : undefined;
  },
};

/**
 * The secrets, each from its own key or from the file that another key names; one of `problems` for each that is missing,
 * given twice, unreadable or of the wrong kind. Those of the tailnet's API may be missing, and
 * the auth key where they can make one; in a lan the tailnet's are not looked at.
 */
export function readSecrets(values: StackValues, readFile: ReadFile, problems: Problem[]): Secrets {
  const read = (key: SecretKey, kind: SecretKind) => {
    const { value, problem } = readSecret(key, kind, values, readFile);
    if (problem !== undefined) problems.push(problem);
    return value;
  };
  // ssh refuses a key whose last line does not end.
  const sshKey = `${read("sshPrivateKey", sshPrivateKey)}\n`;
  const ofTailnet = Object.entries({
    tailnetControlPlaneAuthKey: tailnetAuthKey,
    tailnetApiKey,
    tailnetOauthClientSecret,
  });
  const optional = [
    ["registryCredentials", registryCredentials],
    // A stack that was one of a tailnet may still name the tailnet's.
    ...(values.nodeNetwork === "lan" ? [] : ofTailnet),
  ] as [SecretKey, SecretKind][];
  return {
    sshPrivateKey: sshKey,
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
  // A lan has none of the tailnet's.
  const about = key.startsWith("tailnet") ? ["nodeNetwork"] : [];
  if (inConfig !== undefined && file !== undefined) {
    const wrong = `it is set, and ${fileKey} too`;
    return { value: "", problem: { path: key, wrong, allowed: "one of them", fix: "Remove the other.", about } };
  }
  if (inConfig === undefined && file === undefined) {
    const fix = `Set it (pulumi config set --secret ${key}), or name its file in ${fileKey}.`;
    // Those that make the auth keys are as good.
    const makers = key === "tailnetAuthKey" ? ["tailnet.loginServer", "tailnetApiKey", "tailnetOauthClientSecret"] : [];
    return { value: "", problem: { path: key, allowed: kind.wanted, fix, about: [...about, ...makers, fileKey] } };
  }
  if (file !== undefined && looksSecret(file)) {
    // Said by exposedSecrets, which does not quote it.
    return { value: "" };
  }
  let value = inConfig ?? "";
  if (file !== undefined) {
    try {
      value = readFile(file);
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      const wrong = `cannot be read${typeof code === "string" ? ` (${code})` : ""}`;
      const allowed = `a file with ${kind.wanted}; a relative path is relative to the project`;
      const fix = "Correct the path.";
      return { value: "", problem: { path: fileKey, got: file, wrong, allowed, fix, about } };
    }
  }
  const trimmed = value.trim();
  const [wrong, fix] = trimmed === "" ? ["it is empty", `Give ${kind.wanted}.`] : (kind.problem(trimmed) ?? []);
  const at = file === undefined ? { path: key } : { path: fileKey, file, keyLength: secretFiles[key].length };
  return { value: trimmed, ...(wrong !== undefined && { problem: { ...at, wrong, fix, about } }) };
}

/** Whether a private key needs a passphrase, in any of the three formats that ssh-keygen writes. */
function isEncrypted(key: string): boolean {
  if (/BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED/.test(key)) {
    return true;
  }
  if (!key.includes("BEGIN OPENSSH PRIVATE KEY")) {
    return false;
  }
  // openssh-key-v1: a magic word and a zero byte, then the cipher's name with its length before it; "none" if plain.
  const bytes = Buffer.from(key.replace(/-----[^-]+-----/g, ""), "base64");
  const magic = "openssh-key-v1\0";
  if (bytes.toString("latin1", 0, magic.length) !== magic || bytes.length < magic.length + 4) {
    return false;
  }
  const start = magic.length + 4;
  return bytes.toString("latin1", start, start + bytes.readUInt32BE(magic.length)) !== "none";
}
