/** An OpenID Connect server on this machine, where the lab's hosts reach it, and people who log in to it. */
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { IncomingHttpHeaders, RequestListener } from "node:http";
import { createServer, request, type Server } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const clientId = "kubernetes";
const secret = "of the lab alone";

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
}

/** What is used of oidc-provider, which has no types of its own. */
interface Library {
  Provider: new (issuer: string, configuration: object) => { callback(): RequestListener };
}

export class OidcServer {
  /** The issuer's certificate, which signs itself. */
  readonly ca: string;
  private readonly key: string;
  private server: Server | undefined;

  /**
   * @param address IPv4 address of this machine.
   * @param groups each person's, by name.
   */
  constructor(
    private readonly address: string,
    private readonly port: number,
    private readonly groups: Readonly<Record<string, readonly string[]>>,
  ) {
    const folder = mkdtempSync(join(tmpdir(), "tailkube-oidc-"));
    const [key, certificate] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
    const to = ["-keyout", key, "-out", certificate, "-addext", `subjectAltName=IP:${address}`];
    const how = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    execFileSync("openssl", ["req", ...how, "-subj", "/CN=issuer", ...to], { stdio: "ignore" });
    this.ca = readFileSync(certificate, "utf8");
    this.key = readFileSync(key, "utf8");
    rmSync(folder, { recursive: true });
  }

  get issuer(): string {
    return `https://${this.address}:${this.port}`;
  }

  async start(): Promise<void> {
    const name = "oidc-provider";
    const { Provider } = (await import(name)) as Library;
    const provider = new Provider(this.issuer, {
      clients: [
        {
          client_id: clientId,
          client_secret: secret,
          redirect_uris: [`${this.issuer}/done`],
          grant_types: ["authorization_code"],
          response_types: ["code"],
        },
      ],
      claims: { openid: ["sub", "groups"] },
      conformIdTokenClaims: false,
      findAccount: (_: unknown, id: string) => ({
        accountId: id,
        claims: () => ({ sub: id, groups: this.groups[id] ?? [] }),
      }),
      features: { devInteractions: { enabled: true } },
      cookies: { keys: [randomBytes(16).toString("hex")] },
    });
    this.server = createServer({ cert: this.ca, key: this.key }, provider.callback());
    await new Promise<void>((resolve) => this.server!.listen(this.port, this.address, resolve));
  }

  stop(): void {
    this.server?.close();
    this.server?.closeAllConnections();
  }

  /** Logs in as a browser does: the login page, the consent, the code, and what it is worth. Resolves to the ID token. */
  async login(person: string): Promise<string> {
    const cookies = new Map<string, string>();
    const verifier = randomBytes(32).toString("base64url");
    const done = `${this.issuer}/done`;
    let url = `${this.issuer}/auth?${new URLSearchParams({
      client_id: clientId,
      response_type: "code",
      scope: "openid",
      redirect_uri: done,
      code_challenge: createHash("sha256").update(verifier).digest("base64url"),
      code_challenge_method: "S256",
    }).toString()}`;
    for (let step = 0; step < 12; step++) {
      if (url.startsWith(done)) {
        const answer = await this.call(cookies, `${this.issuer}/token`, {
          grant_type: "authorization_code",
          code: new URL(url).searchParams.get("code") ?? "",
          redirect_uri: done,
          client_id: clientId,
          client_secret: secret,
          code_verifier: verifier,
        });
        return (JSON.parse(answer.text) as { id_token: string }).id_token;
      }
      let answer = await this.call(cookies, url);
      if (answer.status === 200) {
        const prompt = /name="prompt" value="(\w+)"/.exec(answer.text)?.[1] ?? "";
        const action = /action="([^"]+)"/.exec(answer.text)?.[1] ?? "";
        const form: Record<string, string> =
          prompt === "login" ? { prompt, login: person, password: "any" } : { prompt };
        answer = await this.call(cookies, new URL(action, this.issuer).href, form);
      }
      const { location } = answer.headers;
      if (location === undefined) throw new Error(`${url}: ${answer.status} ${answer.text.slice(0, 300)}`);
      url = new URL(location, this.issuer).href;
    }
    throw new Error(`${person} cannot log in: the server sends from page to page, and last to ${url}`);
  }

  private async call(cookies: Map<string, string>, url: string, form?: Record<string, string>): Promise<Answer> {
    const body = form === undefined ? "" : new URLSearchParams(form).toString();
    const answer = await new Promise<Answer>((resolve, reject) => {
      const asked = request(
        url,
        {
          method: form === undefined ? "GET" : "POST",
          ca: this.ca,
          agent: false,
          headers: {
            cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; "),
            ...(form !== undefined && { "content-type": "application/x-www-form-urlencoded" }),
            "content-length": Buffer.byteLength(body),
          },
        },
        (response) => {
          let text = "";
          response.on("data", (data: Buffer) => (text += data.toString()));
          response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, text }));
        },
      );
      asked.on("error", reject);
      asked.end(body);
    });
    for (const cookie of answer.headers["set-cookie"] ?? []) {
      const [pair] = cookie.split(";");
      const at = pair!.indexOf("=");
      cookies.set(pair!.slice(0, at), pair!.slice(at + 1));
    }
    return answer;
  }
}
