import { createRequire } from "node:module";
import { runtime } from "@pulumi/pulumi";
import { specialSecretSig, specialSigKey } from "@pulumi/pulumi/runtime/rpc";
import { expect } from "chai";
import type { Policies } from "@pulumi/policy";
import { policies } from "../../../policy/policies";
import { rules } from "../../../policy/rules";
import { authKey } from "../config/fixtures";

/** What @pulumi/policy answers an engine with, without its process; its types leave that out. */
const server = createRequire(__filename)("@pulumi/policy/server") as Record<
  "makeAnalyzeRpcFun" | "makeRemediateRpcFun" | "makeAnalyzeStackRpcFun",
  (pack: string, version: string, level: string, policies: Policies) => Handler
>;

type Handler = (call: { request: unknown }, callback: (error: Error | null, response: Response) => void) => void;
interface Response {
  getDiagnosticsList(): {
    getPolicyname(): string;
    getMessage(): string;
    getEnforcementlevel(): number;
    getUrn(): string;
  }[];
}

const secret = (value: unknown) => ({ [specialSigKey]: specialSecretSig, value });

/** A resource as an engine sends it. */
const request = (type: string, properties: object, additionalSecretOutputs: string[] = []) => ({
  getType: () => type,
  getUrn: () => `urn:pulumi:test::tailkube::${type}::it`,
  getName: () => "it",
  getProperties: () => ({ toJavaScript: () => properties }),
  getOptions: () => ({
    getProtect: () => false,
    getIgnorechangesList: () => [],
    getAliasesList: () => [],
    getCustomtimeouts: () => undefined,
    getAdditionalsecretoutputsList: () => additionalSecretOutputs,
    getDeletebeforereplacedefined: () => false,
    getParent: () => "",
  }),
  getProvider: () => undefined,
  getParent: () => "",
  getDependenciesList: () => [],
  getPropertydependenciesMap: () => undefined,
});

const answer = (handler: Handler, message: unknown) =>
  new Promise<Response>((resolve, reject) =>
    handler({ request: message }, (error, response) => (error ? reject(error) : resolve(response))),
  );

const mandatory = 1;

/** The pack's answer to a resource, as `policy: message`; `marks: false` leaves out what an engine does first. */
async function analyze(type: string, properties: object, { marks = true } = {}): Promise<string[]> {
  const pack = policies(rules);
  const message = request(type, properties);
  if (marks) await answer(server.makeRemediateRpcFun("tailkube", "1.0.0", "mandatory", pack), message);
  const response = await answer(server.makeAnalyzeRpcFun("tailkube", "1.0.0", "mandatory", pack), message);
  return response.getDiagnosticsList().map((d) => {
    expect(d.getEnforcementlevel()).to.equal(mandatory);
    return `${d.getPolicyname()}: ${d.getMessage().split("\n").pop()}`;
  });
}

const connection = secret({ host: "192.0.2.11", hostKey: "ssh-ed25519 AAAA", privateKey: "x" });
const script = { connection, create: "bash -s", stdin: secret(authKey), logging: "none" };

describe("the policy pack, asked by an engine", () => {
  it("takes a script whose secrets are marked", async () => {
    expect(await analyze("command:remote:Command", script)).to.deep.equal([]);
  });

  it("sees what is marked, and what is not", async () => {
    expect(await analyze("command:remote:Command", { ...script, stdin: authKey })).to.deep.equal([
      "secrets-marked: stdin contains a secret and is not marked as one. Use pulumi.secret.",
    ]);
    expect(
      await analyze("command:remote:Command", { ...script, environment: { KEY: secret("hunter2") } }),
    ).to.deep.equal(["secrets-by-stdin: environment contains a secret. Pass it through stdin."]);
  });

  it("refuses nothing for being unknown, and says nothing of it", async () => {
    const hostKey = runtime.unknownValue;
    const unknown = {
      ...script,
      connection: secret({ host: "192.0.2.11", hostKey }),
      triggers: [runtime.unknownValue],
    };
    expect(await analyze("command:remote:Command", unknown)).to.deep.equal([]);
    expect(await analyze("command:remote:Command", { ...script, connection: runtime.unknownValue })).to.deep.equal([]);
  });

  it("refuses a delete: engines do not tell what a resource is deleted with", async () => {
    expect(await analyze("command:remote:Command", { ...script, delete: "true" })).to.have.lengthOf(1);
  });

  it("does not pass what it cannot see", async () => {
    const found = await analyze("command:remote:Command", script, { marks: false });
    expect(found).to.include(
      "secrets-by-stdin: unknown which inputs are secret. Enable the policy secrets-marked at the level remediate",
    );
  });

  it("looks at answers at the end, of what is no component", async () => {
    const pack = policies(rules);
    const script = "command:remote:Command";
    const stack = {
      getResourcesList: () => [
        request(script, { stdout: authKey }),
        request(script, { stdout: authKey }, ["stdout"]),
        request("tailkube:tailnet:Node", { key: secret(authKey) }),
      ],
    };
    const handler = server.makeAnalyzeStackRpcFun("tailkube", "1.0.0", "mandatory", pack);
    const found = (await answer(handler, stack)).getDiagnosticsList();
    expect(found.map((d) => [d.getPolicyname(), d.getUrn()])).to.deep.equal([
      ["secret-outputs", "urn:pulumi:test::tailkube::command:remote:Command::it"],
    ]);
  });
});
