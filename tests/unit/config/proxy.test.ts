import { expect } from "chai";
import { ConfigError } from "../../../model/messages";
import { load } from "./fixtures";

const http = "http://proxy.example.com:3128";

function problems(changes: Record<string, unknown>, files: Record<string, string> = {}): readonly string[] {
  try {
    load(changes, files);
  } catch (error) {
    return (error as ConfigError).problems;
  }
  throw new Error("the config was accepted");
}

describe("the proxy", () => {
  it("is none by default", () => {
    expect(load().config).to.not.have.property("proxy");
    expect(load({ proxy: {} }).config).to.not.have.property("proxy");
  });

  it("for https is that for http, unless it has its own; for http it is none without one", () => {
    const proxy = (values: object) => load({ proxy: values }).config.proxy;
    expect(proxy({ http: `${http}/` })).to.deep.equal({ http, https: http, noProxy: [] });
    const https = "http://10.0.0.9:8080";
    expect(proxy({ http, https, noProxy: ["lan", ".a.b", "10.0.0.0/8", "10.0.0.1"] })).to.deep.equal({
      http,
      https,
      noProxy: ["lan", ".a.b", "10.0.0.0/8", "10.0.0.1"],
    });
    expect(proxy({ https })).to.deep.equal({ https, noProxy: [] });
  });

  it("has its user and password as a secret, or from a file", () => {
    expect(load({ proxy: { http }, proxyCredentials: "u:p:w" }).secrets.proxyCredentials).to.equal("u:p:w");
    const { secrets, config } = load({ proxy: { http, credentialsFile: "c" } }, { c: "u:p\n" });
    expect(secrets.proxyCredentials).to.equal("u:p");
    expect(JSON.stringify(config)).to.not.include("u:p");
  });

  const wrong: [string, Record<string, unknown>, RegExp][] = [
    ["without a port", { proxy: { http: "http://proxy.lan" } }, /^proxy\.http: "http:\/\/proxy\.lan" .* with its port/],
    ["by TLS", { proxy: { http: "https://proxy.lan:1" } }, /^proxy\.http: .* HTTP proxy/],
    ["by SOCKS", { proxy: { https: "socks5://proxy.lan:1" } }, /^proxy\.https: .* HTTP proxy/],
    ["with a path", { proxy: { http: `${http}/proxy.pac` } }, /^proxy\.http: /],
    ["with a password in it", { proxy: { http: "http://u:secret@proxy.lan:1" } }, /^proxy\.http: (?!.*u:secret)/],
    [
      "with a pattern in noProxy",
      { proxy: { http, noProxy: ["*.lan"] } },
      /^proxy\.noProxy\[0\]: "\*\.lan" .* a DNS name such as/,
    ],
    ["with a list as text", { proxy: { http, noProxy: "a,b" } }, /^proxy\.noProxy: .* a list of names/],
    ["with host bits", { proxy: { http, noProxy: ["10.0.0.1/8"] } }, /^proxy\.noProxy\[0\]: /],
    ["with noProxy alone", { proxy: { noProxy: ["lan"] } }, /^proxy\.noProxy: it has no effect without proxy\.http/],
    ["with a password alone", { proxyCredentials: "u:p" }, /^proxyCredentials: it has no effect without proxy\.http/],
    [
      "with a user alone",
      { proxy: { http }, proxyCredentials: "secret" },
      /^proxyCredentials: it is not USER:PASSWORD(?!.*secret\b)/,
    ],
    [
      "with the password in the group",
      { proxy: { http, credentials: "u:p" } },
      /^proxy\.credentials: .*proxyCredentials/,
    ],
  ];
  for (const [what, changes, line] of wrong) {
    it(`is rejected ${what}`, () => {
      const lines = problems(changes);
      expect(lines).to.have.lengthOf(1);
      expect(lines[0]).to.match(line);
    });
  }
});
