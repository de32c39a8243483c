import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { ConfigError } from "../../../model/messages";
import { credentialsOf, hostsToml, registryLines } from "../../../components/kubernetes/registries";
import { containerdConfig, pauseImage } from "../../../components/kubernetes/containerd";
import { initConfiguration } from "../../../components/kubernetes/kubeadm";
import { planOf } from "../../../preview/steps";
import { configOf, load } from "./fixtures";

/** An authority that has signed nothing. */
const ca = execFileSync(
  "openssl",
  [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-subj",
    "/CN=test",
    "-keyout",
    "/dev/null",
  ],
  { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
);
const files = {
  "ca.pem": `# the lab's\n${ca}`,
  "key.pem": "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----",
};
const at = "https://mirror.lan:5000/v2/registry.k8s.io";
const registries = [{ name: "registry.k8s.io", endpoints: [`${at}/`, "https://other.lan"], caFile: "ca.pem" }];
const registryCredentials = "# ours\nmirror.lan:5000 puller:pass:word\n";

function problems(changes: Record<string, unknown>): readonly string[] {
  try {
    load(changes, files);
  } catch (error) {
    return (error as ConfigError).problems;
  }
  throw new Error("the config was accepted");
}

describe("mirrors", () => {
  it("are none by default", () => {
    expect(configOf().mirrors).to.deep.equal({ packages: {}, registries: [] });
  });

  it("are taken with what their files hold, and without slashes at the end", () => {
    const mirrors = {
      packages: {
        kubernetes: { url: "http://mirror.lan/k8s/" },
        docker: { url: "https://d.lan", keyUrl: "https://d.lan/k" },
      },
      registries,
      charts: { url: "https://mirror.lan/charts/", caFile: "ca.pem" },
      imageRepository: "mirror.lan:5000/k8s",
    };
    const { config, secrets } = load({ mirrors, registryCredentials }, files);
    expect(config.mirrors).to.deep.equal({
      packages: {
        kubernetes: { url: "http://mirror.lan/k8s" },
        docker: { url: "https://d.lan", keyUrl: "https://d.lan/k" },
      },
      registries: [{ name: "registry.k8s.io", endpoints: [at, "https://other.lan"], ca }],
      charts: { url: "https://mirror.lan/charts", caFile: "ca.pem" },
      imageRepository: "mirror.lan:5000/k8s",
    });
    expect(secrets.registryCredentials).to.equal(registryCredentials.trim());
    expect(planOf(config, undefined).steps.find(({ kind }) => kind === "prepare")?.does).to.equal(
      "joins the tailnet; gets containerd and kubelet, from the mirrors at mirror.lan, d.lan, mirror.lan:5000",
    );
  });

  const registry = (change: Record<string, unknown>) => ({ registries: [{ ...registries[0], ...change }] });
  const wrong: [string, Record<string, unknown>, RegExp][] = [
    [
      "a key that there is not",
      { mirrors: { registrys: [] } },
      /^mirrors\.registrys: there is no such key\. .* Did you mean registries\?$/,
    ],
    [
      "no endpoint",
      { mirrors: registry({ endpoints: [] }) },
      /^mirrors\.registries\[0\]\.endpoints: .* at least one URL/,
    ],
    [
      "a URL as name",
      { mirrors: registry({ name: "https://quay.io" }) },
      /^mirrors\.registries\[0\]\.name: .* such as registry\.k8s\.io/,
    ],
    [
      "a password in a URL, which is not quoted",
      { mirrors: registry({ endpoints: ["https://u:secret@mirror.lan"] }) },
      /^mirrors\.registries\[0\]\.endpoints\[0\]: (?!.*u:secret)/,
    ],
    [
      "an authority that is not there",
      { mirrors: registry({ caFile: "no.pem" }) },
      /^mirrors\.registries\[0\]\.caFile: "no\.pem" .* a file on this machine/,
    ],
    [
      "a key for an authority",
      { mirrors: registry({ caFile: "key.pem" }) },
      /^mirrors\.registries\[0\]\.caFile: "key\.pem" .* CA certificates/,
    ],
    ["the charts' as well", { mirrors: { charts: { url: at, caFile: "key.pem" } } }, /^mirrors\.charts\.caFile: /],
    [
      "one registry twice",
      { mirrors: { registries: [registries[0], registries[0]] } },
      /^mirrors\.registries\[1\]\.name: .* is already the name of mirrors\.registries\[0\]/,
    ],
    [
      "packages beside a bundle",
      { bundle: "/opt/b", mirrors: { packages: { docker: { url: at } } } },
      /^mirrors\.packages\.docker: .* cannot be set together with bundle/,
    ],
    [
      "charts beside a chart",
      { cilium: { chart: "c.tgz" }, mirrors: { charts: { url: at } } },
      /^mirrors\.charts\.url: .* cannot be set together with cilium\.chart/,
    ],
    [
      "a password in plain over the network",
      { mirrors: registry({ endpoints: ["http://mirror.lan:5000"], caFile: undefined }), registryCredentials },
      /^mirrors\.registries\[0\]\.endpoints\[0\]: "http:.* password in registryCredentials unencrypted/,
    ],
    [
      "credentials of no endpoint",
      { registryCredentials },
      /^registryCredentials: it has a line for "mirror\.lan:5000", .* no line without mirrors\.registries/,
    ],
    [
      "credentials without a host, not quoted",
      { registryCredentials: "puller:pass" },
      /^registryCredentials: it has a line that is not HOST\[:PORT\] USER:PASSWORD\./,
    ],
  ];
  for (const [what, changes, line] of wrong) {
    it(`are refused with ${what}`, () => {
      const found = problems(changes);
      const one = found.filter((text) => !text.startsWith("cilium.chart"));
      expect(one, one.join("\n")).to.have.lengthOf(1);
      expect(one[0]).to.match(line);
      expect(one[0]).to.not.include("pass:word").and.not.include("puller:pass");
    });
  }
});

describe("containerd's files for registries", () => {
  const { mirrors } = configOf({ mirrors: { registries } }, files);
  const credentials = credentialsOf(registryCredentials)!;

  it("name endpoints, the authority and the password of each endpoint's host, and no other's", () => {
    expect(hostsToml(mirrors.registries[0]!, credentials)).to.equal(
      `# Written by tailkube; changes are overwritten.
server = "https://registry.k8s.io"

[host."${at}"]
  capabilities = ["pull", "resolve"]
  override_path = true
  ca = "/etc/containerd/certs.d/registry.k8s.io/ca.crt"
  [host."${at}".header]
    Authorization = "Basic ${Buffer.from("puller:pass:word").toString("base64")}"

[host."https://other.lan"]
  capabilities = ["pull", "resolve"]
  ca = "/etc/containerd/certs.d/registry.k8s.io/ca.crt"
`,
    );
    expect(hostsToml({ name: "docker.io", endpoints: [at] }, new Map())).to.include(
      'server = "https://registry-1.docker.io"',
    );
  });

  it("go to hosts as one line each", () => {
    const [line, ...more] = registryLines(mirrors, credentials).split("\n");
    expect(more).to.deep.equal([]);
    const [index, name, endpoints, authority, passwords] = line!.split(" ");
    expect([index, name, endpoints]).to.deep.equal(["0", "registry.k8s.io", `${at},https://other.lan`]);
    expect(Buffer.from(authority!, "base64").toString()).to.equal(ca);
    expect(passwords).to.equal(`${Buffer.from("puller:pass:word").toString("base64")},-`);
  });

  it("are where containerd looks, in both of its layouts, and only where there are any", () => {
    const usual = { pauseImage: "p", restrictOomScoreAdj: false };
    expect(containerdConfig(1, { ...usual, registries: "/r" })).to.include(
      '[plugins."io.containerd.grpc.v1.cri".registry]\n    config_path = "/r"',
    );
    expect(containerdConfig(2, { ...usual, registries: "/r" })).to.include(
      "[plugins.'io.containerd.cri.v1.images'.registry]\n  config_path = \"/r\"",
    );
    expect(containerdConfig(2, usual)).to.not.include("config_path");
  });
});

describe("imageRepository", () => {
  it("is in kubeadm's document and in the pause image that containerd pins", () => {
    const config = configOf({ mirrors: { imageRepository: "mirror.lan/k8s" } });
    const node = { name: "cp1", nodeIp: "100.64.0.1", labels: {}, taints: [], role: "control-plane" as const };
    const text = initConfiguration({
      ...config,
      profile: config.hostProfile,
      certSANs: [],
      resolvConf: "/etc/resolv.conf",
      node,
    });
    expect(text).to.include("imageRepository: mirror.lan/k8s");
    expect(pauseImage("1.36.3", "mirror.lan/k8s")).to.equal("mirror.lan/k8s/pause:3.10.2");
  });
});
