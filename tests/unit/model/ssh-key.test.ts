import { generateKeyPairSync } from "node:crypto";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { expect } from "chai";
import fc from "fast-check";
import { authorizedKey, derivedHostKey } from "../../../model/ssh-key";
import { removeTemporaryFolders, temporaryFolder } from "../host/bash";
import { keyPair } from "../components/hosts/ec2/fixtures";

afterEach(removeTemporaryFolders);

/** What OpenSSH takes a private key's public half for. */
function opensshPublicKey(privateKey: string): string {
  const file = `${temporaryFolder()}/key`;
  writeFileSync(file, privateKey, { mode: 0o600 });
  const { stdout, stderr, status } = spawnSync("ssh-keygen", ["-y", "-f", file], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return stdout.trim().split(" ").slice(0, 2).join(" ");
}

describe("authorizedKey", () => {
  it("is the public half, of OpenSSH's format and of PEM", () => {
    for (const type of ["ed25519", "rsa", "ecdsa"] as const) {
      const { privateKey, publicKey } = keyPair(type);
      expect(authorizedKey(privateKey), type).to.equal(publicKey);
    }
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    for (const type of ["pkcs1", "pkcs8"] as const) {
      const pem = privateKey.export({ type, format: "pem" }) as string;
      expect(authorizedKey(pem), type).to.equal(opensshPublicKey(pem));
    }
  });

  it("is nothing for what is no key", () => {
    expect(authorizedKey("-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----")).to.equal(undefined);
  });
});

describe("derivedHostKey", () => {
  it("is a key that OpenSSH reads, with its public half", () => {
    const { privateKey, publicKey } = derivedHostKey("secret", "cp1");
    expect(privateKey).to.match(/^-----BEGIN EC PRIVATE KEY-----\n/);
    expect(publicKey).to.match(/^ecdsa-sha2-nistp256 [A-Za-z0-9+/]+=*$/);
    expect(opensshPublicKey(privateKey)).to.equal(publicKey);
  });

  it("is the same each time, and another for another secret or purpose", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.string(), fc.string(), (secret, purpose, other) => {
        const key = derivedHostKey(secret, purpose);
        expect(derivedHostKey(secret, purpose)).to.deep.equal(key);
        expect(derivedHostKey(`${secret}+`, purpose).publicKey).to.not.equal(key.publicKey);
        if (other !== purpose) expect(derivedHostKey(secret, other).publicKey).to.not.equal(key.publicKey);
      }),
      { numRuns: 25 },
    );
  });

  it("needs a secret", () => {
    expect(() => derivedHostKey("", "cp1")).to.throw(/secret that is not empty/);
  });
});
