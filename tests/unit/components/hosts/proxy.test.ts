import { expect } from "chai";
import {
  noProxyOf,
  proxyEnvironment,
  proxyRequirements,
  tailscaledNoProxyOf,
} from "../../../../components/hosts/proxy";
import { bashOk } from "../../host/bash";
import { configOf, minimal } from "../../config/fixtures";

const http = "http://proxy.lan:3128";
const lan = { nodeNetwork: "lan", endpoint: { address: "k8s.example.com" }, tailnetAuthKey: undefined };
const node = (changes: Record<string, unknown> = {}) => {
  const config = configOf({ proxy: { http }, ...changes });
  return { config, node: config.nodes[0]! };
};
const noProxy = (changes?: Record<string, unknown>) => {
  const { config, node: one } = node(changes);
  return noProxyOf(config, one);
};
/** What a host's requirements ask the proxy for: proxy, place, and `open` for one without the password. */
const asked = (changes?: Record<string, unknown>) => {
  const { config, node: one } = node(changes);
  return proxyRequirements(config, one).flatMap(({ test }) => {
    const found = /proxy_lets (\S+ \d+) '([^']+)'( open)?/.exec(test);
    return found === null ? [] : [`${found[2]!}${found[3] ?? ""}`];
  });
};

describe("what hosts reach without the proxy", () => {
  it("always has the cluster's own networks", () => {
    expect(noProxy()).to.deep.equal([
      ...["localhost", "127.0.0.0/8", "::1", ".svc", ".cluster.local"],
      ...["100.64.0.0/10", "fd7a:115c:a1e0::/48", "10.50.0.0/16", "10.96.0.0/12", "10.200.0.1"],
    ]);
    const balanced = noProxy({
      loadBalancer: { cidr: "10.201.0.0/24" },
      proxy: { http, noProxy: ["a.lan", "10.9.0.0/16"] },
    });
    expect(balanced.slice(-3)).to.deep.equal(["10.201.0.0/24", "a.lan", "10.9.0.0/16"]);
  });

  it("in a LAN has the endpoint's name and the nodes' network", () => {
    expect(noProxy({ ...lan, lan: { cidr: "172.31.77.0/24" } })).to.include.members([
      "k8s.example.com",
      "172.31.77.0/24",
    ]);
  });

  it("has, for tailscaled alone, a coordination server with a private address, and no other", () => {
    const server = (loginServer: string) => {
      const { config, node: one } = node({ tailnet: { loginServer } });
      expect(noProxyOf(config, one)).to.deep.equal(noProxy());
      return tailscaledNoProxyOf(config, one);
    };
    for (const inside of ["192.168.1.2", "172.31.77.1", "10.0.0.3"]) {
      expect(server(`http://${inside}:8080`)).to.include(inside);
    }
    for (const outside of ["198.51.100.3", "headscale.example.com"]) {
      expect(server(`https://${outside}`)).to.not.include(outside);
    }
  });

  it("is the same of a node, whatever other nodes there are", () => {
    const nodes = minimal.nodes as object[];
    expect(noProxy({ nodes: nodes.slice(0, 1) })).to.deep.equal(noProxy());
  });

  it("has a mirror's address by itself where its network is in it, for apt knows no networks", () => {
    const mirrors = { packages: { kubernetes: { url: "http://10.9.0.5:3351/k8s" } } };
    expect(noProxy({ mirrors, proxy: { http, noProxy: ["10.9.0.0/16"] } })).to.include("10.9.0.5");
    expect(noProxy({ mirrors })).to.not.include("10.9.0.5");
  });
});

describe("the environment of what goes through the proxy", () => {
  it("has a password whatever its characters are, as shells, systemd, curl and Go read it", () => {
    const password = `p:a@s/s%w'o"r$d!(x)*\\`;
    const text = proxyEnvironment({ http, https: http, noProxy: [] }, ["a", "b"], `us er:${password}`);
    const [first, second, last] = text.split("\n");
    expect(first).to.match(/^HTTP_PROXY=http:\/\/[A-Za-z0-9%:@.-]+:3128$/);
    expect(second).to.equal(first!.replace("HTTP_", "HTTPS_"));
    expect(last).to.equal("NO_PROXY=a,b");
    const url = new URL(first!.slice("HTTP_PROXY=".length));
    expect([url.username, url.password].map(decodeURIComponent)).to.deep.equal(["us er", password]);
    expect([url.hostname, url.port]).to.deep.equal(["proxy.lan", "3128"]);
  });

  it("has no proxy for http where only https has one", () => {
    expect(proxyEnvironment({ https: http, noProxy: [] }, ["a"])).to.equal(`HTTPS_PROXY=${http}\nNO_PROXY=a`);
  });
});

describe("what a host must get through the proxy", () => {
  it("is nothing without one", () => {
    const config = configOf();
    expect(proxyRequirements(config, config.nodes[0]!)).to.deep.equal([]);
  });

  it("is the proxy itself, packages, images and the coordination server, the last one without the password", () => {
    expect(asked()).to.deep.equal([
      "https://pkgs.k8s.io",
      "https://pkgs.tailscale.com",
      "https://download.docker.com",
      "https://registry.k8s.io",
      "https://quay.io",
      "https://controlplane.tailscale.com open",
    ]);
    const { config, node: one } = node({ proxy: { http, https: "http://other.lan:80" } });
    expect(
      proxyRequirements(config, one)
        .slice(0, 2)
        .map(({ test }) => test),
    ).to.deep.equal(["proxy_reachable proxy.lan 3128", "proxy_reachable other.lan 80"]);
  });

  it("is the mirrors instead, but for those that are reached without it", () => {
    const mirrors = {
      packages: {
        kubernetes: { url: "http://mirror.example.com/k8s", keyUrl: "https://keys.example.com/k.asc" },
        tailscale: { url: "https://10.9.0.5/ts" },
      },
      registries: [{ name: "quay.io", endpoints: ["https://images.lan:5000/v2/quay.io"] }],
    };
    expect(asked({ mirrors, proxy: { http, noProxy: ["lan", "10.9.0.0/16"] } })).to.deep.equal([
      "http://mirror.example.com",
      "https://keys.example.com",
      "https://download.docker.com",
      "https://registry.k8s.io",
      "https://controlplane.tailscale.com open",
    ]);
  });

  it("is the coordination server alone with a bundle, and nothing with a bundle in a LAN", () => {
    expect(asked({ bundle: "/opt/b" })).to.deep.equal(["https://controlplane.tailscale.com open"]);
    expect(asked({ ...lan, lan: { cidr: "172.31.77.0/24" }, bundle: "/opt/b" })).to.deep.equal([]);
  });

  it("is a mirror beside a coordination server that is inside, but not that server", () => {
    const mirrors = { packages: { kubernetes: { url: "http://172.31.77.1:3351/kubernetes" } } };
    const places = asked({ mirrors, tailnet: { loginServer: "http://172.31.77.1:3340" } });
    expect(places[0]).to.equal("http://172.31.77.1:3351");
    expect(places).to.not.include("http://172.31.77.1:3340 open");
  });

  it("has no http place where only https has a proxy", () => {
    const mirrors = { packages: { kubernetes: { url: "http://mirror.example.com/k8s" } } };
    expect(asked({ mirrors, proxy: { https: http } })).to.not.include("http://mirror.example.com");
  });

  it("is asked for only if the host needs it", () => {
    const { config, node: one } = node();
    const { test } = proxyRequirements(config, one).find(({ test: text }) => text.includes("docker"))!;
    const run = (containerd: string) => bashOk(`containerd='${containerd}'; proxy_lets() { echo "$*"; }; ${test}`);
    expect(run("")).to.equal("proxy.lan 3128 https://download.docker.com\n");
    expect(run("1.7.24")).to.equal("");
  });
});
