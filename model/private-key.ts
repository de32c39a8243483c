/** What kind of private SSH key a text is, and what is wrong with it. No message contains a part of it. */
import { createPrivateKey } from "node:crypto";
import { utils } from "ssh2";

/** What is wrong, and what to do. */
export type KeyProblem = readonly [wrong: string, fix: string];

const convert = "Convert it: puttygen FILE -O private-openssh -o NEWFILE.";

/** Stands for a passphrase that becomes known during the run. */
export const laterPassphrase = "tailkube: known later";

/** Formats that OpenSSH's programs cannot read, by what they begin with. */
const foreign: readonly (readonly [RegExp, ...KeyProblem])[] = [
  [/^PuTTY-User-Key-File-\d/m, "it is a key in PuTTY's format (.ppk)", convert],
  [
    /^---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----/m,
    "it is a key in the format of ssh.com",
    "Convert it: ssh-keygen -i -f FILE > NEWFILE.",
  ],
  [/^---- BEGIN SSH2 PUBLIC KEY ----/m, "it is a public key", "Use the private key, the file without .pub."],
  [/^(sk-)?(ssh|ecdsa)-\S+-cert-\S+ AAAA/m, "it is a certificate", "Use the private key that it is for."],
  [/^(sk-)?(ssh|ecdsa)-\S+ AAAA/m, "it is a public key", "Use the private key, the file without .pub."],
  [/-----BEGIN PUBLIC KEY-----/, "it is a public key", "Use the private key."],
  [/-----BEGIN CERTIFICATE-----/, "it is a certificate", "Use the private key that it is for."],
  [
    /-----BEGIN PGP /,
    "it is a key of OpenPGP",
    "Use an SSH key, or put it in the ssh-agent (gpg-agent) and set ssh.agent: true.",
  ],
  [
    /-----BEGIN DSA PRIVATE KEY-----/,
    "it is a DSA key, which OpenSSH no longer accepts",
    "Create another one: ssh-keygen -t ed25519.",
  ],
];

/**
 * @param passphrase what is known to open encrypted keys; undefined if there is none.
 * @returns undefined for a key that ssh-add reads.
 */
export function privateKeyProblem(text: string, passphrase: string | undefined): KeyProblem | undefined {
  const found = foreign.find(([pattern]) => pattern.test(text));
  if (found !== undefined) return [found[1], found[2]];
  if (!/^-----BEGIN [A-Z ]*PRIVATE KEY-----\r?$/m.test(text) || !/^-----END [A-Z ]*PRIVATE KEY-----\r?$/m.test(text)) {
    return ["it is not a private key in OpenSSH or PEM format", "Use the whole file, from -----BEGIN to -----END."];
  }
  const type = opensshKey(text)?.type;
  if (type?.startsWith("sk-") === true) {
    return [
      `it is the handle of a FIDO security key (${type.replace(/@.*/, "")}), which is asked at each connection`,
      "Add it to your ssh-agent (ssh-add FILE), and set ssh.agent: true; a key that must be touched needs a touch for each connection.",
    ];
  }
  if (type === "ssh-dss")
    return ["it is a DSA key, which OpenSSH no longer accepts", "Create another one: ssh-keygen -t ed25519."];
  if (!isEncrypted(text)) return undefined;
  if (passphrase === undefined) {
    return [
      "it has a passphrase",
      "Set the passphrase (pulumi config set --secret sshKeyPassphrase), or add the key to your ssh-agent and set ssh.agent: true.",
    ];
  }
  if (passphrase === laterPassphrase) return undefined;
  return opens(text, passphrase)
    ? undefined
    : ["sshKeyPassphrase does not open it", "Correct the passphrase or the key."];
}

/** Whether a private key needs a passphrase, in any of the three formats that ssh-keygen writes. */
export function isEncrypted(text: string): boolean {
  if (/BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED/.test(text)) return true;
  const cipher = opensshKey(text)?.cipher;
  return cipher !== undefined && cipher !== "none";
}

/** The unencrypted part of OpenSSH's format (PROTOCOL.key): the cipher, and the public key's type. */
function opensshKey(text: string): { cipher: string; type: string | undefined } | undefined {
  if (!text.includes("BEGIN OPENSSH PRIVATE KEY")) return undefined;
  const bytes = Buffer.from(text.replace(/-----[^-]+-----/g, ""), "base64");
  const magic = "openssh-key-v1\0";
  if (bytes.toString("latin1", 0, magic.length) !== magic) return undefined;
  let at = magic.length;
  const next = () => {
    if (at + 4 > bytes.length) return undefined;
    const start = at + 4;
    at = start + bytes.readUInt32BE(at);
    return at > bytes.length ? undefined : bytes.subarray(start, at);
  };
  const cipher = next()?.toString("latin1");
  if (cipher === undefined) return undefined;
  // The key derivation's name and options, and the number of keys.
  next();
  next();
  at += 4;
  const publicKey = next();
  const length = publicKey !== undefined && publicKey.length > 4 ? publicKey.readUInt32BE(0) : 0;
  return { cipher, type: length > 0 ? publicKey!.toString("latin1", 4, 4 + length) : undefined };
}

/** Whether a passphrase opens a key. Of a format that neither library reads, true: ssh-add says it in the run. */
function opens(text: string, passphrase: string): boolean {
  if (text.includes("BEGIN ENCRYPTED PRIVATE KEY")) {
    try {
      createPrivateKey({ key: text, passphrase });
      return true;
    } catch {
      return false;
    }
  }
  const key = utils.parseKey(text, passphrase);
  return !(key instanceof Error) || !/bad passphrase|bad decrypt|integrity check|check(int)? /i.test(key.message);
}
