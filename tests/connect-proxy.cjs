/**
 * An HTTP proxy as companies have it: CONNECT and http URLs, from everywhere, with a password if it is given one. It writes a line for
 * each request, `CODE METHOD TARGET`, and the line `listening ADDRESS:PORT` first.
 *
 * node connect-proxy.cjs ADDRESS PORT [USER:PASSWORD|-] [DENIED-HOST…]; SILENT-HOST… in the environment variable SILENT get no answer.
 */
const http = require("node:http");
const net = require("node:net");

const [address, port, credentials = "-", ...denied] = process.argv.slice(2);
const silent = (process.env.SILENT ?? "").split(" ");
const wanted = credentials === "-" ? undefined : `Basic ${Buffer.from(credentials).toString("base64")}`;
const say = (code, request) => process.stdout.write(`${code} ${request.method} ${request.url}\n`);

/** The status of a request that is not let through. */
function refusal(request, host) {
  if (wanted !== undefined && request.headers["proxy-authorization"] !== wanted) return 407;
  return denied.includes(host) ? 403 : undefined;
}

const server = http.createServer((request, response) => {
  if (!URL.canParse(request.url)) {
    say(400, request);
    response.writeHead(400).end();
    return;
  }
  const target = new URL(request.url);
  const code = refusal(request, target.hostname);
  if (code !== undefined) {
    say(code, request);
    response.writeHead(code, { "Proxy-Authenticate": "Basic realm=proxy" }).end();
    return;
  }
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !name.startsWith("proxy-")));
  const out = http.request(target, { method: request.method, headers }, (answer) => {
    say(answer.statusCode, request);
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  out.on("error", () => {
    say(502, request);
    response.writeHead(502).end();
  });
  request.pipe(out);
});

server.on("connect", (request, client, head) => {
  const [host, to] = request.url.split(":");
  client.on("error", () => client.destroy());
  const end = (code) => {
    say(code, request);
    client.end(`HTTP/1.1 ${code} no\r\nProxy-Authenticate: Basic realm=proxy\r\n\r\n`);
  };
  if (silent.includes(host)) return;
  const code = refusal(request, host);
  if (code !== undefined) return void end(code);
  let open = false;
  const out = net.connect(Number(to), host, () => {
    open = true;
    say(200, request);
    client.write("HTTP/1.1 200 Connection established\r\n\r\n");
    out.write(head);
    out.pipe(client).pipe(out);
  });
  out.on("error", () => (open ? client.destroy() : end(502)));
  out.on("close", () => client.destroy());
  client.on("close", () => out.destroy());
});

server.listen(Number(port), address, () => {
  process.stdout.write(`listening ${address}:${server.address().port}\n`);
});
