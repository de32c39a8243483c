import { expect } from "chai";
import { parse, stringify } from "yaml";
import { caCertHash, operatorServer, withServer } from "../../plan/kubeconfig";
import { caCertificate, caHash } from "../preview/program";

const kubeconfig = stringify({
  apiVersion: "v1",
  clusters: [
    {
      name: "lab",
      cluster: {
        server: "https://10.200.0.1:6443",
        "certificate-authority-data": Buffer.from(caCertificate).toString("base64"),
      },
    },
  ],
  users: [{ name: "admin", user: { "client-key-data": "a2V5" } }],
  "current-context": "admin@lab",
});

describe("withServer", () => {
  it("changes the server and nothing else", () => {
    const [before, after] = [kubeconfig, withServer(kubeconfig, "https://192.0.2.11:6443")].map(
      (text) => parse(text) as { clusters: [{ cluster: { server: string } }] },
    );
    expect(after!.clusters[0].cluster.server).to.equal("https://192.0.2.11:6443");
    after!.clusters[0].cluster.server = before!.clusters[0].cluster.server;
    expect(after).to.deep.equal(before);
  });
});

describe("caCertHash", () => {
  it("is openssl's own SHA-256 of the CA's public key", () => {
    expect(caCertHash(caCertificate)).to.equal(caHash);
  });

  it("refuses what is no certificate", () => {
    expect(() => caCertHash("hello")).to.throw();
  });
});

describe("operatorServer", () => {
  it("is the address that the config says this machine reaches", () => {
    const server = (operatorEndpoint: "host" | "tailnet" | "endpoint") =>
      operatorServer({ operatorEndpoint, endpoint: { address: "10.200.0.1", port: 7443 } }, "192.0.2.11", "100.64.0.1");
    expect([server("host"), server("tailnet"), server("endpoint")]).to.deep.equal([
      "https://192.0.2.11:7443",
      "https://100.64.0.1:7443",
      "https://10.200.0.1:7443",
    ]);
  });
});
