/** Kubernetes' own settings: what the program accepts of them, and what it makes of them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { minimal, configOf, load, problemsOf } from "./fixtures";

type Node = Record<string, unknown>;
const nodes = minimal.nodes as Node[];
const settings = (kubernetes: object) => ({ kubernetes });
const argument = (component: string, name: string, value = "x") =>
  settings({ [component]: { extraArgs: [{ name, value }] } });
const ca = readFileSync(join(__dirname, "../../preview/ca.crt"), "utf8");

describe("Kubernetes' own settings", () => {
  it("are none without a key, so that nothing changes for others", () => {
    const config = configOf();
    expect(config).to.not.have.property("settings");
    expect(config.nodes.some((node) => "kubelet" in node)).to.equal(false);
    expect(load().secrets).to.not.have.property("extraFiles");
    expect(configOf(settings({ apiServer: {}, kubelet: {}, featureGates: {}, oidc: [] }))).to.not.have.property(
      "settings",
    );
  });

  it("keep the order and the repetition of arguments, and any value as text", () => {
    const extraArgs = [
      { name: "vmodule", value: "b=1" },
      { name: "v", value: 4 },
      { name: "vmodule", value: "a=2" },
      { name: "goaway-chance", value: 0.001 },
      { name: "contention-profiling", value: false },
    ];
    expect(configOf(settings({ apiServer: { extraArgs } })).settings!.apiServer.extraArgs).to.deep.equal(
      extraArgs.map(({ name, value }) => ({ name, value: String(value) })),
    );
  });

  it("make arguments of etcd from a declared round-trip time, after the user's own", () => {
    const v = { name: "v", value: "1" };
    const etcd = (roundTripMilliseconds?: unknown) =>
      configOf(settings({ etcd: { extraArgs: [v], roundTripMilliseconds } })).settings!.etcd.extraArgs;
    const timing = [
      { name: "heartbeat-interval", value: "125" },
      { name: "election-timeout", value: "4000" },
    ];
    for (const written of [250, "250"]) expect(etcd(written)).to.deep.equal([v, ...timing]);
    expect(etcd()).to.deep.equal([v]);
  });

  it("have the content of files among the secrets alone", () => {
    const { config, secrets } = load(
      settings({
        apiServer: {
          extraArgs: [{ name: "audit-webhook-config-file", value: "/etc/kubernetes/tailkube/api-server/hook.yaml" }],
          extraFiles: [{ name: "hook.yaml", content: "hunter2" }],
        },
      }),
    );
    expect(secrets.extraFiles).to.deep.equal({ "api-server/hook.yaml": "hunter2" });
    expect(JSON.stringify(config)).to.not.include("hunter2");
  });

  const refused: [string, object, RegExp][] = [
    ["the advertise address", argument("apiServer", "advertise-address", "10.0.0.1"), /^kubernetes\.apiServer\.extraArgs\[0\]: "--advertise-address=10\.0\.0\.1" conflicts with what the cluster depends on: each API server advertises its node IP\. Remove it\.$/],
    ["a service network", argument("controllerManager", "service-cluster-ip-range", "10.0.0.0/16"), /: .* Set network\.serviceCidr instead\.$/],
    ["a pod network", argument("controllerManager", "cluster-cidr", "10.0.0.0/16"), /Set network\.podCidr instead\.$/],
    ["etcd's URLs", argument("etcd", "listen-peer-urls", "http://0.0.0.0:2380"), /one etcd member at its node IP/],
    ["etcd's folder", argument("etcd", "data-dir", "/srv/etcd"), /the data in \/var\/lib\/etcd/],
    ["a certificate", argument("apiServer", "tls-cert-file", "/x.crt"), /certificates and keys at kubeadm's paths/],
    ["anonymous requests", argument("apiServer", "anonymous-auth", "false"), /Set security\.anonymousRequests instead\.$/],
    ["an authentication file", argument("apiServer", "authentication-config", "/x"), /Set kubernetes\.oidc/],
    ["OIDC by arguments", argument("apiServer", "oidc-issuer-url", "https://x"), /Set kubernetes\.oidc instead\.$/],
    ["the encryption of Secrets", argument("apiServer", "encryption-provider-config", "/x"), /Set security\.secretsEncryption instead\.$/],
    ["an audit policy beside ours", argument("apiServer", "audit-policy-file", "/x"), /Set security\.auditLog: false first\.$/],
    ["another admission file beside ours", argument("apiServer", "admission-control-config-file", "/x"), /Set the keys of security instead\.$/],
    ["no authorization", argument("apiServer", "authorization-mode", "AlwaysAllow"), /need the modes Node and RBAC\. Add both\.$/],
    ["another issuer of tokens alone", argument("apiServer", "service-account-issuer", "https://x"), /Add that issuer as a further service-account-issuer after https:\/\/x\.$/],
    ["no NodeRestriction", argument("apiServer", "disable-admission-plugins", "NodeRestriction"), /a node can change any other node/],
    ["no limit of events", argument("apiServer", "disable-admission-plugins", "EventRateLimit"), /Set security\.eventRateLimit: false instead\.$/],
    ["controllers without the joins'", argument("controllerManager", "controllers", "*"), /joins need \*, bootstrapsigner and tokencleaner/],
    ["several schedulers at once", argument("scheduler", "leader-elect", "false"), /only one of them may act/],
    ["dashes in a name", argument("apiServer", "--v", "4"), /^kubernetes\.apiServer\.extraArgs\[0\]\.name: "--v" is invalid\. Allowed: an argument without its dashes, such as event-ttl\./],
    ["an underscore, which Kubernetes reads as a dash", argument("apiServer", "advertise_address", "x"), /^kubernetes\.apiServer\.extraArgs\[0\]\.name: "advertise_address" is invalid/],
    ["a value of several lines", argument("apiServer", "v", "4\n--x"), /extraArgs\[0\]\.value: .* Allowed: a text in one line/],
    ["a file that is not written", argument("apiServer", "audit-webhook-config-file", "/etc/kubernetes/tailkube/api-server/no.yaml"), /names \/etc\/kubernetes\/tailkube\/api-server\/no\.yaml, which the program does not write/],
    ["a file that nothing reads", settings({ scheduler: { extraFiles: [{ name: "a.yaml", content: "hunter2" }] } }), /^kubernetes\.scheduler\.extraFiles\[0\]\.name: "a\.yaml" has no effect, .* Name it as \/etc\/kubernetes\/tailkube\/scheduler\/a\.yaml, or remove it\.$/],
    ["a round trip that is none", settings({ etcd: { roundTripMilliseconds: 0 } }), /^kubernetes\.etcd\.roundTripMilliseconds: 0 is invalid\. Allowed: milliseconds from 1 to 500\./],
    ["a round trip with which no time-outs help", settings({ etcd: { roundTripMilliseconds: "501" } }), /^kubernetes\.etcd\.roundTripMilliseconds: "501" is invalid\. Allowed: milliseconds from 1 to 500\./],
    ["a time-out beside a round trip", settings({ etcd: { roundTripMilliseconds: 250, extraArgs: [{ name: "v", value: "1" }, { name: "election-timeout", value: "4000" }] } }), /^kubernetes\.etcd\.extraArgs\[1\]: "--election-timeout=4000" conflicts with kubernetes\.etcd\.roundTripMilliseconds: 250, from which a heartbeat of 125 ms and an election time-out of 4000 ms follow\. Remove one of the two\.$/],
    ["a heartbeat that etcd's own election time-out does not fit", argument("etcd", "heartbeat-interval", "250"), /^kubernetes\.etcd\.extraArgs\[0\]: "--heartbeat-interval=250" makes a heartbeat of 250 ms and an election time-out of 1000 ms, but etcd requires an election time-out of at least 5 heartbeats\. Correct the value, or set kubernetes\.etcd\.roundTripMilliseconds instead\.$/],
    ["an election time-out above etcd's limit", argument("etcd", "election-timeout", "50001"), /but etcd allows an election time-out of at most 50000 ms\./],
    ["no heartbeat", argument("etcd", "heartbeat-interval", "0"), /but etcd requires both to be above 0\./],
    ["files of etcd", settings({ etcd: { extraFiles: [] } }), /^kubernetes\.etcd\.extraFiles: there is no such key/],
    ["a path as a name", settings({ apiServer: { extraFiles: [{ name: "../a", content: "x" }] } }), /a file name such as webhook\.yaml/],
    ["a field of the kubelet", settings({ kubelet: { cgroupDriver: "cgroupfs" } }), /^kubernetes\.kubelet\.cgroupDriver: "cgroupfs" conflicts with what the cluster depends on: it must be systemd, as in containerd\. Remove it\.$/],
    ["a field that has no effect", settings({ kubelet: { resolvConf: "/x" } }), /passes it as an argument, which overrides this field/],
    ["a field of the hardening", settings({ kubelet: { podPidsLimit: 1 } }), /Set security\.podPidsLimit instead\.$/],
    ["a nested field", settings({ kubelet: { authentication: { anonymous: { enabled: true } } } }), /^kubernetes\.kubelet\.authentication\.anonymous: /],
    ["more pods than addresses", settings({ kubelet: { maxPods: 500 } }), /^kubernetes\.kubelet\.maxPods: 500 conflicts .* Set 252 or less\.$/],
    ["a node's own field", { nodes: nodes.map((one, i) => (i === 3 ? { ...one, kubelet: { clusterDNS: ["10.0.0.1"] } } : one)) }, /^nodes\[3\]\.kubelet\.clusterDNS: \["10\.0\.0\.1"\] conflicts/],
    ["a feature gate that is no boolean", settings({ featureGates: { SomeGate: "yes" } }), /^kubernetes\.featureGates\.SomeGate: "yes" is invalid\. Allowed: true or false\./],
    ["a gate with two values", settings({ featureGates: { SomeGate: true }, scheduler: { extraArgs: [{ name: "feature-gates", value: "A=true,SomeGate=false" }] } }), /^kubernetes\.scheduler\.extraArgs\[0\]: .* conflicts with kubernetes\.featureGates\.SomeGate\./],
    ["an issuer by http", settings({ oidc: [{ issuerUrl: "http://x", audiences: ["a"] }] }), /^kubernetes\.oidc\[0\]\.issuerUrl: "http:\/\/x" is invalid\. Allowed: an https URL/],
    ["an issuer twice", settings({ oidc: [1, 2].map(() => ({ issuerUrl: "https://x", audiences: ["a"] })) }), /^kubernetes\.oidc\[1\]\.issuerUrl: .* accepts each only once/],
    ["groups that could be Kubernetes' own", settings({ oidc: [{ issuerUrl: "https://x", audiences: ["a"], groupsClaim: "g", groupsPrefix: "system:" }] }), /^kubernetes\.oidc\[0\]\.groupsPrefix: "system:" is invalid/],
    ["a CA that is none", settings({ oidc: [{ issuerUrl: "https://x", audiences: ["a"], ca: "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----" }] }), /^kubernetes\.oidc\[0\]\.ca: it is not PEM with certificates alone/],
    ["a role that kubeadm sets", { nodes: nodes.map((one, i) => (i === 3 ? { ...one, labels: { "node-role.kubernetes.io/control-plane": "" } } : one)) }, /^nodes\[3\]\.labels/],
  ]; // prettier-ignore

  for (const [what, changes, line] of refused) {
    it(`cannot be ${what}`, () => {
      const problems = problemsOf(changes as Record<string, unknown>);
      expect(problems).to.have.lengthOf(1);
      expect(problems[0]).to.match(line).and.to.not.include("hunter2");
    });
  }

  const allowed: [string, object][] = [
    ["further modes of authorization", argument("apiServer", "authorization-mode", "Node,RBAC,Webhook")],
    [
      "a second issuer of tokens",
      settings({
        apiServer: {
          extraArgs: ["https://x", "https://kubernetes.default.svc.cluster.local"].map((value) => ({
            name: "service-account-issuer",
            value,
          })),
        },
      }),
    ],
    [
      "an audit policy of one's own",
      { security: { auditLog: false }, ...argument("apiServer", "audit-policy-file", "/x") },
    ],
    ["how long audit logs stay", argument("apiServer", "audit-log-maxage", "3")],
    ["metrics for the node network", argument("controllerManager", "bind-address", "0.0.0.0")],
    ["etcd's quota", argument("etcd", "quota-backend-bytes", "1")],
    ["etcd's longest election time-out", argument("etcd", "election-timeout", "50000")],
    ["a time-out that only etcd can read", argument("etcd", "heartbeat-interval", "0xFFF")],
    [
      "a round trip beside other arguments",
      settings({ etcd: { roundTripMilliseconds: 500, extraArgs: [{ name: "v", value: "1" }] } }),
    ],
    ["what a kubelet reserves", settings({ kubelet: { systemReserved: { memory: "1Gi" }, maxPods: 250 } })],
    ["an issuer with a CA", settings({ oidc: [{ issuerUrl: "https://x/realms/y", audiences: ["a"], ca }] })],
    [
      "a file that another file names",
      settings({
        apiServer: {
          extraArgs: [{ name: "tracing-config-file", value: "/etc/kubernetes/tailkube/api-server/a.yaml" }],
          extraFiles: [
            { name: "a.yaml", content: "caFile: /etc/kubernetes/tailkube/api-server/b.crt" },
            { name: "b.crt", content: "x" },
          ],
        },
      }),
    ],
    [
      "a role of a worker",
      { nodes: nodes.map((one, i) => (i === 3 ? { ...one, labels: { "node-role.kubernetes.io/worker": "" } } : one)) },
    ],
  ];

  for (const [what, changes] of allowed) {
    it(`may be ${what}`, () => expect(problemsOf(changes as Record<string, unknown>)).to.deep.equal([]));
  }
});
