/** Certificates with the dates that a test needs; nothing verifies their signature. */
import { generateKeyPairSync } from "node:crypto";

const { publicKey } = generateKeyPairSync("ed25519");
const spki = publicKey.export({ type: "spki", format: "der" });

function der(tag: number, ...parts: (Buffer | string)[]): Buffer {
  const content = Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : part)));
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const oid = (hex: string) => der(0x06, Buffer.from(hex, "hex"));
const ed25519 = der(0x30, oid("2b6570"));
const name = (common: string) => der(0x30, der(0x31, der(0x30, oid("550403"), der(0x0c, common))));
/** UTCTime. */
const time = (date: Date) =>
  der(
    0x17,
    `${date
      .toISOString()
      .replace(/[-:T]|\.\d+/g, "")
      .slice(2)}`,
  );

/** PEM. */
export function certificate(common: string, from: Date, expires: Date, isAuthority = false): string {
  const basic = der(0x30, oid("551d13"), der(0x04, der(0x30, ...(isAuthority ? [der(0x01, "\xff")] : []))));
  const body = der(
    0x30,
    der(0xa0, der(0x02, "\x02")),
    der(0x02, "\x01"),
    ed25519,
    name("tests"),
    der(0x30, time(from), time(expires)),
    name(common),
    spki,
    der(0xa3, der(0x30, basic)),
  );
  const whole = der(0x30, body, ed25519, der(0x03, Buffer.alloc(65)));
  const lines = whole.toString("base64").match(/.{1,64}/g)!;
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}
