/** Keys derived from a private SSH key: its public key, and a new machine's first host key. */
import { createECDH, createPrivateKey, hkdfSync } from "node:crypto";
import { utils } from "ssh2";

/** The line of authorized_keys for a private key: type and base64; undefined if its format is unknown. */
export function authorizedKey(privateKey: string): string | undefined {
  const key = utils.parseKey(rsaAsPkcs1(privateKey));
  return key instanceof Error ? undefined : `${key.type} ${key.getPublicSSH().toString("base64")}`;
}

/** The library reads OpenSSH's format and older PEM formats, but not PKCS #8, OpenSSL's default. */
function rsaAsPkcs1(privateKey: string): string {
  try {
    const key = createPrivateKey(privateKey);
    return key.asymmetricKeyType === "rsa" ? (key.export({ type: "pkcs1", format: "pem" }) as string) : privateKey;
  } catch {
    // OpenSSH's format, or not a key.
    return privateKey;
  }
}

export interface HostKey {
  /** PEM, as sshd reads it. Secret. */
  privateKey: string;
  /** `ecdsa-sha2-nistp256 AAAA…` */
  publicKey: string;
}

/** Order of the group of P-256 (FIPS 186-5, NIST SP 800-186, 3.2.1.3). */
const p256Order = BigInt("0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");

/**
 * An ECDSA host key on P-256. The same secret and purpose always give the same key; another purpose gives an unrelated one. It does not
 * reveal the secret (HKDF-SHA256, RFC 5869). Throws on an empty secret.
 *
 * @param secret at least 128 bits of entropy.
 * @param purpose which machine it is for.
 */
export function derivedHostKey(secret: string, purpose: string): HostKey {
  if (secret === "") throw new Error("a derived host key needs a secret that is not empty");
  // 64 bits more than the order, so that the remainder is almost uniformly distributed (FIPS 186-5, A.2.1).
  const bytes = Buffer.from(hkdfSync("sha256", secret, "", `tailkube host key ${purpose}`, 40));
  const scalar = (BigInt(`0x${bytes.toString("hex")}`) % (p256Order - 1n)) + 1n;
  const d = Buffer.from(scalar.toString(16).padStart(64, "0"), "hex");
  const ecdh = createECDH("prime256v1");
  ecdh.setPrivateKey(d);
  const point = ecdh.getPublicKey();
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((part) => part.toString("base64url"));
  const key = createPrivateKey({ key: { kty: "EC", crv: "P-256", x, y, d: d.toString("base64url") }, format: "jwk" });
  const privateKey = key.export({ type: "sec1", format: "pem" }) as string;
  return { privateKey, publicKey: authorizedKey(privateKey)! };
}
