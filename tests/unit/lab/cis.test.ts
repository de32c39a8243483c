import { expect } from "chai";
import {
  apiServerHardening,
  controllerManagerHardening,
  kubeletHardening,
  schedulerHardening,
} from "../../../components/kubernetes/hardening/arguments";
import { failing, items, judge, type Observed } from "../../lab/cis";
import { argumentsOf, filesOf } from "../../lab/observe";
import { plain } from "../../lab/plain";
import { configOf } from "../config/fixtures";

/** What the program makes of the plain one. */
function hardened(changes: Record<string, unknown> = {}): Observed {
  const config = configOf({ security: changes });
  const with_ = (name: string, extraArgs: { name: string; value: string }[]) => ({
    ...plain.arguments[name],
    ...Object.fromEntries(extraArgs.map(({ name: argument, value }) => [argument, value])),
  });
  return {
    ...plain,
    arguments: {
      ...plain.arguments,
      "kube-apiserver": with_("kube-apiserver", apiServerHardening(config).extraArgs),
      "kube-controller-manager": with_("kube-controller-manager", controllerManagerHardening(config).extraArgs),
      "kube-scheduler": with_("kube-scheduler", schedulerHardening(config).extraArgs),
    },
    files: Object.fromEntries(
      Object.entries(plain.files).map(([path, seen]) => [
        path,
        /kubelet\.service|kubelet\/config\.yaml/.test(path) ? "600 root:root" : seen,
      ]),
    ),
    kubelet: { ...plain.kubelet, ...kubeletHardening(config) },
    anonymous: { "/api": 401, "/readyz": 200 },
    storedSecret: "k8s:enc:secretbox:v1:key-12345678:",
    audit: { entries: 12, leaks: false },
    servingCertificate: true,
  };
}

describe("the items of the benchmark", () => {
  it("are counted before and after", () => {
    expect(items).to.have.lengthOf(72);
    expect(new Set(items.map(({ id }) => id)).size).to.equal(items.length);
    expect(failing(plain)).to.have.lengthOf(27);
    expect(failing(hardened())).to.deep.equal(["1.1.12", "1.2.11"]);
  });

  it("fail one by one where the config takes one back", () => {
    const took = (changes: Record<string, unknown>) =>
      failing(hardened(changes)).filter((id) => !failing(hardened()).includes(id));
    expect(took({ profiling: true })).to.deep.equal(["1.2.15", "1.3.2", "1.4.1"]);
    expect(took({ auditLog: false })).to.deep.equal(["1.2.16", "1.2.17", "1.2.18", "1.2.19", "3.2.1"]);
    expect(took({ serviceExternalIPs: true })).to.deep.equal(["1.2.3"]);
    expect(took({ eventRateLimit: false })).to.deep.equal(["1.2.9"]);
    expect(took({ extendedTokens: true })).to.deep.equal(["1.2.30"]);
    expect(took({ kubeletServingCertificates: false })).to.deep.equal(["1.2.5", "4.2.11"]);
    expect(took({ seccompDefault: false, podPidsLimit: 0 })).to.deep.equal(["4.2.13", "4.2.14"]);
  });

  /** What has to be seen for an item to fail that a plain kubeadm passes, too. */
  const spoilt: [string, (o: Observed) => Observed][] = [
    ...(
      [
        ["1.2.2", "kube-apiserver", "token-auth-file", "/tokens"],
        ["1.2.4", "kube-apiserver", "kubelet-client-certificate", ""],
        ["1.2.6-8", "kube-apiserver", "authorization-mode", "AlwaysAllow"],
        ["1.2.12-13", "kube-apiserver", "disable-admission-plugins", "ServiceAccount"],
        ["1.2.20", "kube-apiserver", "request-timeout", "0"],
        ["1.2.21", "kube-apiserver", "service-account-lookup", "false"],
        ["1.2.22", "kube-apiserver", "service-account-key-file", ""],
        ["1.2.23", "kube-apiserver", "etcd-certfile", ""],
        ["1.2.24", "kube-apiserver", "tls-cert-file", ""],
        ["1.2.26", "kube-apiserver", "etcd-cafile", ""],
        ["1.2.29", "kube-apiserver", "tls-cipher-suites", "TLS_RSA_WITH_AES_128_GCM_SHA256"],
        ["1.3.3", "kube-controller-manager", "use-service-account-credentials", "false"],
        ["1.3.4", "kube-controller-manager", "service-account-private-key-file", ""],
        ["1.3.5", "kube-controller-manager", "root-ca-file", ""],
        ["1.3.7", "kube-controller-manager", "bind-address", "0.0.0.0"],
        ["1.4.2", "kube-scheduler", "bind-address", "0.0.0.0"],
        ["2.1", "etcd", "cert-file", ""],
        ["2.2", "etcd", "client-cert-auth", "false"],
        ["2.3", "etcd", "auto-tls", "true"],
        ["2.4", "etcd", "peer-cert-file", ""],
        ["2.5", "etcd", "peer-client-cert-auth", "false"],
        ["2.6", "etcd", "peer-auto-tls", "true"],
        ["2.7", "etcd", "trusted-ca-file", "/etc/kubernetes/pki/ca.crt"],
      ] as const
    ).map(([id, name, argument, value]): [string, (o: Observed) => Observed] => [
      id,
      (o) => ({ ...o, arguments: { ...o.arguments, [name]: { ...o.arguments[name], [argument]: value } } }),
    ]),
    ...(
      [
        ["1.1.1-2", "/etc/kubernetes/manifests/kube-apiserver.yaml", "644 root:root"],
        ["1.1.3-4", "/etc/kubernetes/manifests/kube-controller-manager.yaml", "600 root:adm"],
        ["1.1.5-6", "/etc/kubernetes/manifests/kube-scheduler.yaml", "640 root:root"],
        ["1.1.7-8", "/etc/kubernetes/manifests/etcd.yaml", "600 nobody:root"],
        ["1.1.13-14", "/etc/kubernetes/super-admin.conf", "604 root:root"],
        ["1.1.15-18", "/etc/kubernetes/scheduler.conf", "644 root:root"],
        ["1.1.19,21", "/etc/kubernetes/pki/sa.key", "640 root:root"],
        ["1.1.20", "/etc/kubernetes/pki/etcd/ca.crt", "664 root:root"],
        ["4.1.5-6", "/etc/kubernetes/kubelet.conf", "644 root:root"],
      ] as const
    ).map(([id, path, value]): [string, (o: Observed) => Observed] => [
      id,
      (o) => ({ ...o, files: { ...o.files, [path]: value } }),
    ]),
    ...(
      [
        ["4.2.1", { authentication: { anonymous: { enabled: true }, x509: { clientCAFile: "/ca" } } }],
        ["4.2.2", { authorization: { mode: "AlwaysAllow" } }],
        ["4.2.3", { authentication: { anonymous: { enabled: false }, x509: {} } }],
        ["4.2.4", { readOnlyPort: 10255 }],
        ["4.2.5", { streamingConnectionIdleTimeout: "0s" }],
        ["4.2.6", { makeIPTablesUtilChains: false }],
        ["4.2.8", { eventRecordQPS: -1 }],
        ["4.2.10", { rotateCertificates: false }],
        ["4.2.12", { tlsCipherSuites: ["TLS_RSA_WITH_AES_128_CBC_SHA"] }],
      ] as const
    ).map(([id, fields]): [string, (o: Observed) => Observed] => [
      id,
      (o) => ({ ...o, kubelet: { ...o.kubelet, ...fields } }),
    ]),
    ["1.1.11", (o) => ({ ...o, files: { ...o.files, "/var/lib/etcd": "755 root:root" } })],
    ["1.2.1", (o) => ({ ...o, anonymous: { "/api": 401, "/readyz": 401 } })],
    ["1.2.28", (o) => ({ ...o, storedSecret: "k8s:enc:identity:" })],
    ["3.2.2", (o) => ({ ...o, audit: { entries: 12, leaks: true } })],
    ["4.2.9", (o) => ({ ...o, servingCertificate: false })],
  ];

  it("see what is wrong, one by one, and nothing else with it", () => {
    const usual = failing(hardened());
    for (const [id, spoil] of spoilt) {
      expect(
        failing(spoil(hardened())).filter((one) => !usual.includes(one)),
        id,
      ).to.deep.equal([id]);
    }
  });

  it("say what was seen", () => {
    const why = Object.fromEntries(judge(plain).map((finding) => [finding.id, finding.why]));
    expect(why["1.2.15"]).to.equal("--profiling of kube-apiserver is not set");
    expect(why["4.1.9-10"]).to.equal("/var/lib/kubelet/config.yaml is 644 root:root");
    expect(why["4.2.13"]).to.equal("the kubelet's podPidsLimit is -1");
    expect(why["1.2.1"]).to.equal("without credentials /api answers 403, /readyz 200");
    expect(why["1.2.28"]).to.equal('they begin with "k8s."');
  });
});

describe("what the lab tells of a host", () => {
  it("is read as it is", () => {
    expect(argumentsOf("kube-apiserver\n--profiling=false\n--a-b=c=d,e\n--flag\n")).to.deep.equal({
      profiling: "false",
      "a-b": "c=d,e",
    });
    expect(filesOf("/etc/a 600 root:root\nnoise\n/var/lib/etcd 700 root:root\n")).to.deep.equal({
      "/etc/a": "600 root:root",
      "/var/lib/etcd": "700 root:root",
    });
  });
});
