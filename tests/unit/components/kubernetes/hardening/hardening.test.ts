import { expect } from "chai";
import { parse, parseAllDocuments } from "yaml";
import { emptyHostProfile, type SecurityConfig } from "../../../../../model/config";
import { initConfiguration } from "../../../../../components/kubernetes/kubeadm";
import { controlPlaneTaint } from "../../../../../model/nodes";
import { apiServerHardening, kubeletHardening } from "../../../../../components/kubernetes/hardening/arguments";
import {
  admissionConfiguration,
  auditPolicy,
  authenticationConfiguration,
  encryptionConfiguration,
  encryptionKey,
} from "../../../../../components/kubernetes/hardening/files";
import { expectGolden } from "../../../../golden/golden";
import { configOf, load } from "../../../config/fixtures";

const { security } = configOf();
const seed = "5eed".repeat(16);
const of = (changes: Partial<SecurityConfig> = {}, kubernetesVersion = "1.36.3") => ({
  security: { ...security, ...changes },
  kubernetesVersion,
});
const argumentsOf = (...given: Parameters<typeof of>) =>
  Object.fromEntries(apiServerHardening(of(...given)).extraArgs.map(({ name, value }) => [name, value]));

describe("the key for Secrets", () => {
  it("is 32 bytes that the seed alone decides, and its name tells it from others", () => {
    const key = encryptionKey(seed);
    expect(Buffer.from(key.secret, "base64")).to.have.lengthOf(32);
    expect(key).to.deep.equal(encryptionKey(seed));
    expect(key.name).to.match(/^key-[0-9a-f]{8}$/);
    const other = encryptionKey(`${seed}0`);
    expect([other.name, other.secret]).to.not.include.members([key.name, key.secret]);
  });

  it("is the one that earlier versions made: another one could not read what they wrote", () => {
    expect(encryptionKey(seed)).to.deep.equal({
      name: "key-67d6ad7f",
      secret: "8/dchPGdIWr6g7DTTx1qaWSAiPohAj8v+OAsRWYT0jg=",
    });
  });

  it("is not made of nothing", () => {
    expect(() => encryptionKey("")).to.throw("seed");
  });

  it("comes first or last, and what the other one wrote is readable either way", () => {
    const key = encryptionKey(seed);
    const providers = (encrypts: boolean) => parse(encryptionConfiguration(key, encrypts)).resources[0].providers;
    const secretbox = { secretbox: { keys: [{ name: key.name, secret: key.secret }] } };
    expect(providers(true)).to.deep.equal([secretbox, { identity: {} }]);
    expect(providers(false)).to.deep.equal([{ identity: {} }, secretbox]);
    expect(parse(encryptionConfiguration(key, true)).resources[0].resources).to.deep.equal(["secrets"]);
  });
});

describe("the files of API servers", () => {
  it("are these", () => {
    expectGolden("audit-policy.yaml", `${auditPolicy()}\n`);
    expectGolden("authentication.yaml", `${authenticationConfiguration(of())!}\n`);
    expectGolden("admission.yaml", `${admissionConfiguration(of({ podSecurity: "baseline" }))!}\n`);
  });

  it("log no body, and every access to a Secret that no other rule hides before", () => {
    const { rules } = parse(auditPolicy()) as {
      rules: { level: string; resources?: { group?: string; resources?: string[] }[] }[];
    };
    expect(new Set(rules.map(({ level }) => level))).to.deep.equal(new Set(["None", "Metadata"]));
    const aboutSecrets = rules.findIndex(({ resources }) => resources?.some((r) => r.resources?.includes("secrets")));
    expect(rules[aboutSecrets]!.level).to.equal("Metadata");
    // A rule without resources, or of a group without any, would be for Secrets as well, were it not for URLs alone.
    for (const { resources } of rules.slice(0, aboutSecrets)) {
      for (const { group, resources: kinds } of resources ?? []) {
        expect(group === "" && (kinds === undefined || kinds.includes("secrets")), group).to.equal(false);
      }
    }
    expect(rules.at(-1)).to.deep.equal({ level: "Metadata" });
  });

  it("are not asked for where they are not wanted, or not known yet", () => {
    expect(authenticationConfiguration(of({ anonymousRequests: "all" }))).to.equal(undefined);
    expect(authenticationConfiguration(of())).to.be.a("string");
    expect(admissionConfiguration(of({ eventRateLimit: false }))).to.equal(undefined);
    const off = argumentsOf({ anonymousRequests: "all", eventRateLimit: false, auditLog: false });
    expect(Object.keys(off)).to.not.include.members(["authentication-config"]);
    for (const name of [
      "authentication-config",
      "admission-control-config-file",
      "audit-policy-file",
      "audit-log-path",
    ]) {
      expect(off, name).to.not.have.property(name);
      expect(argumentsOf(), name).to.have.property(name);
    }
  });
});

describe("the arguments", () => {
  it("name only files of the folder that the API server's pod sees", () => {
    const { extraVolumes, extraArgs } = apiServerHardening(of());
    const mounted = extraVolumes.map(({ mountPath }) => mountPath);
    const files = extraArgs.map(({ value }) => value).filter((value) => value.startsWith("/"));
    expect(files).to.have.length.greaterThan(4);
    for (const file of files) {
      expect(
        mounted.some((path) => file.startsWith(`${path}/`)) || file.startsWith("/etc/kubernetes/pki/"),
        file,
      ).to.equal(true);
    }
    expect(apiServerHardening(of({ auditLog: false })).extraVolumes).to.have.lengthOf(1);
  });

  it("follow the config, one by one", () => {
    const cases: [Partial<SecurityConfig>, string, string | undefined, string | undefined][] = [
      [{ profiling: true }, "profiling", "false", undefined],
      [{ extendedTokens: true }, "service-account-extend-token-expiration", "false", undefined],
      [{ kubeletServingCertificates: false }, "kubelet-certificate-authority", "/etc/kubernetes/pki/ca.crt", undefined],
      [
        { serviceExternalIPs: true },
        "enable-admission-plugins",
        "NodeRestriction,DenyServiceExternalIPs,EventRateLimit",
        "NodeRestriction,EventRateLimit",
      ],
    ];
    for (const [change, name, usual, changed] of cases) {
      expect(argumentsOf()[name], name).to.equal(usual);
      expect(argumentsOf(change)[name], name).to.equal(changed);
    }
    expect(kubeletHardening(of())).to.include({ serverTLSBootstrap: true, seccompDefault: true, podPidsLimit: 4096 });
    expect(
      kubeletHardening(of({ kubeletServingCertificates: false, seccompDefault: false, podPidsLimit: 0 })),
    ).to.have.all.keys("tlsCipherSuites");
  });

  it("keep the key of Secrets in reach where they are not to be encrypted any more", () => {
    expect(argumentsOf({ secretsEncryption: false })["encryption-provider-config"]).to.equal(
      "/etc/kubernetes/tailkube/encryption.yaml",
    );
  });

  it("are in kubeadm's documents, and the host profile has the last word on the kubelet", () => {
    const text = initConfiguration({
      ...of(),
      clusterName: "tailkube",
      endpoint: { address: "10.200.0.1", port: 6443 },
      podCidr: "10.50.0.0/16",
      serviceCidr: "10.96.0.0/12",
      certSANs: ["192.0.2.11"],
      profile: { ...emptyHostProfile, kubelet: { podPidsLimit: -1 } },
      resolvConf: "/etc/resolv.conf",
      node: { name: "cp1", nodeIp: "100.64.0.1", labels: {}, taints: [controlPlaneTaint], role: "control-plane" },
    });
    expectGolden("kubeadm-init-hardened.yaml", text);
    const [, , kubelet] = parseAllDocuments(text).map((document) => document.toJS());
    expect(kubelet).to.include({ podPidsLimit: -1, serverTLSBootstrap: true });
  });
});

describe("the section security", () => {
  it("may be left out, and so may each of its keys", () => {
    expect(configOf({ security: {} }).security).to.deep.equal(security);
    expect(configOf({ security: { podSecurity: "baseline" } }).security).to.deep.equal({
      ...security,
      podSecurity: "baseline",
    });
  });

  for (const [value, line] of [
    [
      { podSecurity: "strict" },
      'security.podSecurity: "strict" is invalid. Allowed: privileged or baseline or restricted.',
    ],
    [{ auditLog: "yes" }, 'security.auditLog: "yes" is invalid. Allowed: true or false.'],
    [
      { podPidsLimit: 5 },
      "security.podPidsLimit: 5 is invalid. Allowed: 0 (no limit) or a whole number from 64 to 4194304.",
    ],
    [{ auditlog: true }, "security.auditlog: there is no such key."],
    ['"all"', 'security: "all" is invalid. Allowed: an object such as { podSecurity: baseline }.'],
  ] as const) {
    it(`refuses ${JSON.stringify(value)} in one line`, () => {
      expect(() => load({ security: value }))
        .to.throw(line)
        .with.property("problems")
        .with.lengthOf(1);
    });
  }

  it("names the nearest key", () => {
    expect(() => load({ security: { auditlog: true } })).to.throw("Did you mean auditLog?");
  });
});
