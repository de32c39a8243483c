import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect } from "chai";
import { isEncrypted, laterPassphrase, privateKeyProblem } from "../../../model/private-key";
import { removeTemporaryFolders, temporaryFolder } from "../host/bash";

afterEach(removeTemporaryFolders);

function key(...options: string[]): { private: string; public: string } {
  const file = `${temporaryFolder()}/key`;
  const passphrase = options.includes("-N") ? [] : ["-N", ""];
  execFileSync("ssh-keygen", ["-q", "-C", "test", ...passphrase, ...options, "-f", file]);
  return { private: readFileSync(file, "utf8"), public: readFileSync(`${file}.pub`, "utf8") };
}

/** A key of OpenSSH's format as ssh-keygen writes it for a security key, without one. */
function securityKey(type: string): string {
  const field = (text: string | Buffer) => {
    const bytes = Buffer.from(text);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  const count = Buffer.from([0, 0, 0, 1]);
  const publicKey = field(Buffer.concat([field(type), field("x"), field("ssh:")]));
  const parts = [
    Buffer.from("openssh-key-v1\0"),
    field("none"),
    field("none"),
    field(""),
    count,
    publicKey,
    field("y"),
  ];
  const body = Buffer.concat(parts).toString("base64");
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${body}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

const formats = [
  ["ed25519 in OpenSSH's format", ["-t", "ed25519"]],
  ["RSA in OpenSSH's format", ["-t", "rsa"]],
  ["RSA in PEM", ["-t", "rsa", "-m", "PEM"]],
  ["RSA in PKCS #8", ["-t", "rsa", "-m", "PKCS8"]],
  ["ECDSA in PEM", ["-t", "ecdsa", "-m", "PEM"]],
] as const;

describe("a private key's problem", function () {
  this.timeout(60_000);

  for (const [what, options] of formats) {
    it(`of ${what}: none, and with a passphrase the passphrase`, () => {
      const plain = key(...options).private;
      expect(isEncrypted(plain)).to.equal(false);
      expect(privateKeyProblem(plain, undefined)).to.equal(undefined);
      const locked = key(...options, "-N", "open sesame").private;
      expect(isEncrypted(locked)).to.equal(true);
      expect(privateKeyProblem(locked, undefined)![0]).to.equal("it has a passphrase");
      expect(privateKeyProblem(locked, "open sesame")).to.equal(undefined);
      expect(privateKeyProblem(locked, "open")![0]).to.equal("sshKeyPassphrase does not open it");
      expect(privateKeyProblem(locked, laterPassphrase)).to.equal(undefined);
    });
  }

  it("names a FIDO security key, and the agent", () => {
    for (const type of ["sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"]) {
      const [wrong, fix] = privateKeyProblem(securityKey(type), undefined)!;
      expect(wrong).to.match(/^it is the handle of a FIDO security key \(sk-(ssh-ed25519|ecdsa-sha2-nistp256)\)/);
      expect(fix).to.include("ssh.agent: true");
    }
  });

  it("names PuTTY's format, by puttygen itself if it is there", function () {
    const { stdout, status } = spawnSync(
      "sh",
      ["-c", "puttygen -t ed25519 --random-device /dev/urandom --new-passphrase /dev/null -o /dev/stdout"],
      {
        encoding: "utf8",
      },
    );
    const text = status === 0 ? stdout : "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n";
    expect(privateKeyProblem(text, undefined)).to.deep.equal([
      "it is a key in PuTTY's format (.ppk)",
      "Convert it: puttygen FILE -O private-openssh -o NEWFILE.",
    ]);
  });

  it("names what is no private key, and quotes nothing of it", () => {
    const pair = key("-t", "ed25519");
    const cases: [string, RegExp][] = [
      [pair.public, /^it is a public key$/],
      [securityKey("ssh-dss"), /^it is a DSA key/],
      ["-----BEGIN DSA PRIVATE KEY-----\nSECRET\n-----END DSA PRIVATE KEY-----", /^it is a DSA key/],
      ["-----BEGIN CERTIFICATE-----\nSECRET\n-----END CERTIFICATE-----", /^it is a certificate$/],
      ["ssh-ed25519-cert-v01@openssh.com AAAASECRET", /^it is a certificate$/],
      ["---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nSECRET", /^it is a key in the format of ssh\.com$/],
      ["-----BEGIN PGP PRIVATE KEY BLOCK-----\nSECRET", /^it is a key of OpenPGP$/],
      [pair.private.slice(0, 60), /^it is not a private key in OpenSSH or PEM format$/],
      ["SECRET", /^it is not a private key/],
    ];
    for (const [text, wrong] of cases) {
      const problem = privateKeyProblem(text, undefined)!;
      expect(problem[0], text).to.match(wrong);
      expect(problem.join(" ")).to.not.include("SECRET");
    }
    expect(privateKeyProblem(pair.private.replaceAll("\n", "\r\n"), undefined), "line breaks of Windows").to.equal(
      undefined,
    );
  });
});
