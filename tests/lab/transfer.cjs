// transfer.cjs receive | send ADDRESS BYTES: random bytes over TCP; each side prints their SHA-256.
"use strict";
const { createHash, randomBytes } = require("node:crypto");
const net = require("node:net");
const [what, address, bytes] = process.argv.slice(2);
const port = 9999;
const say = (hash) => process.stdout.write(`${hash.digest("hex")}\n`);

if (what === "receive") {
  const server = net.createServer((socket) => {
    const hash = createHash("sha256");
    // The sender is only done when the receiver ends its side, having read all.
    socket.on("data", (data) => hash.update(data)).on("end", () => say(hash));
  });
  server.listen(port);
} else {
  const data = randomBytes(Number(bytes));
  say(createHash("sha256").update(data));
  net
    .connect(port, address)
    .on("close", () => process.exit())
    .resume()
    .end(data);
  setTimeout(() => process.exit(1), 60_000);
}
