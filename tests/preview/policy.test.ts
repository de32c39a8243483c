import { expect } from "chai";
import { unknown as notKnown, type CheckedResource } from "../../policy/rule";
import { rules } from "../../policy/rules";
import { inLan, keyPair, onEc2 } from "../unit/components/hosts/ec2/fixtures";
import { apiKey } from "../unit/config/fixtures";
import { type Registered, type Run, type RunArgs, runProgram, unknown } from "./program";

const ec2 = onEc2(keyPair().privateKey);
const stacks: Record<string, RunArgs> = {
  "bare hosts": { config: { tailnetApiKey: apiKey } },
  EC2: { config: ec2 },
  "bare hosts, with keys and routes by Tailscale's API": {
    config: { tailnetAuthKey: undefined, tailnetApiKey: apiKey },
  },
  "bare hosts, without any of the hardening": {
    config: {
      security: {
        ...{ secretsEncryption: false, auditLog: false, anonymousRequests: "all", kubeletServingCertificates: false },
        ...{ seccompDefault: false, podPidsLimit: 0, serviceExternalIPs: true, eventRateLimit: false },
        ...{ profiling: true, extendedTokens: true },
      },
    },
  },
  "EC2, in a lan": {
    config: { ...ec2, ...inLan(ec2) },
    facts: Object.fromEntries(
      ["64.10", "64.11", "128.12", "0.13"].map((end, i) => [
        ["cp1", "cp2", "cp3", "w1"][i]!,
        { interfaces: [{ name: "ens5", addresses: [`10.20.${end}/18`], mtu: 9001 }] },
      ]),
    ),
  },
  "EC2, open for Tailscale": {
    config: {
      ...onEc2(keyPair("rsa").privateKey),
      ec2: { region: "eu-central-1", operatorCidrs: ["198.51.100.7/32"], openTailscalePort: "true" },
    },
  },
};

/** A resource as the rules see it; what the recorder calls unknown is unknown. */
function checked(resource: Registered, about: "inputs" | "outputs"): CheckedResource {
  const known = (value: unknown): unknown => {
    if (value === unknown) return notKnown;
    if (Array.isArray(value)) return value.map(known);
    return typeof value === "object" && value !== null
      ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, known(inner)]))
      : value;
  };
  return {
    type: resource.type,
    name: resource.name,
    properties: known(resource[about]) as Record<string, unknown>,
    secretInputs: new Set(resource.secretInputs),
    additionalSecretOutputs: [...resource.additionalSecretOutputs, ...resource.secretOutputs],
    ...(resource.deletedWith !== "" && { deletedWith: resource.deletedWith }),
  };
}

/** All violations of a run: `rule: resource: what`. */
const violations = (resources: readonly Registered[]) =>
  rules.flatMap((rule) =>
    resources.flatMap((resource) =>
      rule.violations(checked(resource, rule.about)).map((line) => `${rule.name}: ${resource.name}: ${line}`),
    ),
  );

for (const [name, args] of Object.entries(stacks)) {
  describe(`the policies over a stack: ${name}`, () => {
    let run: Run;
    before(async () => {
      run = await runProgram(args);
      expect(run.errors).to.deep.equal([]);
    });

    it("find nothing", () => {
      expect(violations(run.resources)).to.deep.equal([]);
    });

    it("find nothing in a preview, where much is not known", async () => {
      const preview = await runProgram({ ...args, preview: true });
      expect(preview.errors).to.deep.equal([]);
      expect(violations(preview.resources)).to.deep.equal([]);
    });

    it("have something to look at: secrets in inputs and in answers", () => {
      const secretIn = (about: "inputs" | "outputs") =>
        run.resources.filter((r) => JSON.stringify(r[about]).includes("PRIVATE KEY-----")).map(({ type }) => type);
      expect(secretIn("inputs")).to.include("command:remote:Command");
      expect(secretIn("outputs")).to.include("command:remote:Command");
    });

    it("and its outputs: kubeconfigs are secret, and nothing else is", () => {
      expect(run.secretOutputs).to.have.members(["kubeconfig", "directKubeconfig", "access"]);
      expect(Object.keys(run.outputs)).to.include.members(["nodes", "certificates", "versions"]);
    });

    /** The run with one resource changed. */
    const broken = (resourceName: RegExp, change: (resource: Registered) => Partial<Registered>) => {
      const found = run.resources.filter((r) => r.custom && resourceName.test(r.name));
      expect(found, String(resourceName)).to.not.deep.equal([]);
      return violations(found.slice(0, 1).map((r) => ({ ...r, ...change(r) })));
    };

    it("find what is taken away from it", () => {
      const connection = (r: Registered, changes: object) => ({ ...(r.inputs.connection as object), ...changes });
      const inputs = (changes: (r: Registered) => object) => (r: Registered) => ({
        inputs: { ...r.inputs, ...changes(r) },
      });
      const changes: [string, RegExp, (r: Registered) => Partial<Registered>][] = [
        [
          "host-key-pinned",
          /^cp1-control-plane$/,
          inputs((r) => ({ connection: connection(r, { hostKey: undefined }) })),
        ],
        ["secrets-by-stdin", /^cp1-control-plane$/, inputs((r) => ({ environment: { ALL: r.inputs.stdin } }))],
        ["secrets-by-stdin", /^cp1-control-plane$/, inputs(() => ({ logging: undefined }))],
        ["delete-needs-deleted-with", /-upgrade$/, inputs(() => ({ delete: "true" }))],
        ["secrets-marked", /^cp1-control-plane$/, () => ({ secretInputs: ["connection"] })],
        ["secrets-marked", /^cilium-kubernetes$/, () => ({ secretInputs: [] })],
        ["secret-outputs", /^cp1-control-plane$/, () => ({ additionalSecretOutputs: [] })],
      ];
      for (const [rule, resource, change] of changes) {
        expect(
          broken(resource, change).map((line) => line.split(":")[0]),
          rule,
        ).to.include(rule);
      }
    });
  });
}

describe("the policies over machines on EC2", () => {
  it("find what is taken away from them", async () => {
    const { resources } = await runProgram(stacks.EC2);
    const changes: [string, RegExp, object][] = [
      ["ec2-not-public", /^ec2-ssh-/, { cidrIpv4: "0.0.0.0/0" }],
      ["ec2-rules-justified", /^ec2-tailscale$/, { description: undefined }],
      ["ec2-encrypted-disks", /^cp1-instance$/, { rootBlockDevice: { volumeType: "gp3" } }],
      ["ec2-imdsv2", /^cp1-instance$/, { metadataOptions: { httpTokens: "optional", httpPutResponseHopLimit: 1 } }],
    ];
    for (const [rule, name, inputs] of changes) {
      const resource = resources.find((r) => r.custom && name.test(r.name))!;
      const lines = violations([{ ...resource, inputs: { ...resource.inputs, ...inputs } }]);
      expect(lines.map((line) => line.split(":")[0])).to.deep.equal([rule]);
    }
  });

  it("let a delete stand where it goes with its machine, on a bare host never", async () => {
    const deletes = async (args: RunArgs) => {
      const { resources } = await runProgram(args);
      const script = resources.find(({ name }) => name === "w1-join")!;
      return violations([{ ...script, inputs: { ...script.inputs, delete: "true" } }]);
    };
    expect(await deletes(stacks.EC2!)).to.deep.equal([]);
    expect((await deletes(stacks["bare hosts"]!)).map((line) => line.split(":")[0])).to.deep.equal([
      "delete-needs-deleted-with",
    ]);
  });
});
