/**
 * Encryption by passphrase, byte-compatible with Pulumi's passphrase secrets manager: AES-256-GCM under a key of
 * PBKDF2-SHA256. The salt text is `v1:<base64 salt>:v1:<base64 nonce>:<base64 ciphertext of "pulumi">`.
 */
import { createCipheriv, createDecipheriv, pbkdf2, randomBytes } from "crypto";
import { readFile } from "fs/promises";
import { promisify } from "util";

const ITERATIONS = 1_000_000;
const KEY_BYTES = 32;
const SALT_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** What the salt text proves the passphrase with. */
const CHECK = "pulumi";

/** Encrypts and decrypts with one key. */
export class Crypter {
  private constructor(
    private readonly key: Buffer,
    /** The salt text, for the state and the stack's config file. */
    readonly salt: string,
  ) {}

  /** A crypter with a new salt. */
  static async create(passphrase: string): Promise<Crypter> {
    const salt = randomBytes(SALT_BYTES);
    const key = await deriveKey(passphrase, salt);
    const check = new Crypter(key, "").encrypt(CHECK);
    return new Crypter(key, `v1:${salt.toString("base64")}:${check}`);
  }

  /** The crypter of an existing salt text; throws when the passphrase is not its. */
  static async open(passphrase: string, saltText: string): Promise<Crypter> {
    const match = /^v1:([^:]+):(v1:[^:]+:[^:]+)$/.exec(saltText);
    if (!match) throw new Error("the encryption salt is malformed (expected v1:<salt>:v1:<nonce>:<ciphertext>)");
    const crypter = new Crypter(await deriveKey(passphrase, Buffer.from(match[1]!, "base64")), saltText);
    let check: string | undefined;
    try {
      check = crypter.decrypt(match[2]!);
    } catch {
      check = undefined;
    }
    if (check !== CHECK) throw new Error("incorrect passphrase");
    return crypter;
  }

  encrypt(plaintext: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", this.key, nonce);
    const text = Buffer.concat([cipher.update(plaintext, "utf8"), cipher.final(), cipher.getAuthTag()]);
    return `v1:${nonce.toString("base64")}:${text.toString("base64")}`;
  }

  /** Throws when the text was not encrypted with this key. */
  decrypt(ciphertext: string): string {
    const [version, nonce, text] = ciphertext.split(":");
    if (version !== "v1" || !nonce || text === undefined) throw new Error("malformed ciphertext");
    const bytes = Buffer.from(text, "base64");
    const decipher = createDecipheriv("aes-256-gcm", this.key, Buffer.from(nonce, "base64"));
    decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
    const plain = decipher.update(bytes.subarray(0, bytes.length - TAG_BYTES));
    return Buffer.concat([plain, decipher.final()]).toString("utf8");
  }
}

function deriveKey(passphrase: string, salt: Buffer): Promise<Buffer> {
  return promisify(pbkdf2)(passphrase, salt, ITERATIONS, KEY_BYTES, "sha256");
}

/** The passphrase of PULUMI_CONFIG_PASSPHRASE or of the file PULUMI_CONFIG_PASSPHRASE_FILE; may be empty. */
export async function passphraseFromEnvironment(): Promise<string> {
  const passphrase = process.env.PULUMI_CONFIG_PASSPHRASE;
  if (passphrase !== undefined) return passphrase;
  const file = process.env.PULUMI_CONFIG_PASSPHRASE_FILE;
  if (file) return (await readFile(file, "utf8")).trim();
  throw new Error("set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE: the state's secrets are encrypted");
}
