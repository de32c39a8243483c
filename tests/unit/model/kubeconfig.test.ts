import { expect } from "chai";
import { parse, stringify } from "yaml";
import { joinKubeconfig, operatorServer, withServer } from "../../../model/kubeconfig";
import { caCertificate } from "../../preview/program";

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

describe("joinKubeconfig", () => {
  it("trusts the authority itself and brings the token, so that nothing is asked before", () => {
    const config = { endpoint: { address: "10.200.0.1", port: 7443 } };
    const text = joinKubeconfig(config, caCertificate, "abcdef.0123456789abcdef");
    const { clusters, users, contexts, ...rest } = parse(text) as {
      clusters: [{ cluster: Record<string, string> }];
      users: [{ user: object }];
      contexts: [{ context: object }];
    };
    expect(clusters[0].cluster).to.deep.equal({
      server: "https://10.200.0.1:7443",
      "certificate-authority-data": Buffer.from(caCertificate).toString("base64"),
    });
    expect(users[0].user).to.deep.equal({ token: "abcdef.0123456789abcdef" });
    expect(contexts[0].context).to.deep.equal({ cluster: "join", user: "join" });
    expect(rest).to.deep.equal({ apiVersion: "v1", kind: "Config", "current-context": "join" });
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
