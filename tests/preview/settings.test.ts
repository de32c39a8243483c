/** Kubernetes' own settings in the whole program: where they go, and where a file's content does not. */
import { expect } from "chai";
import { before as prepare } from "mocha";
import { minimal } from "../unit/config/fixtures";
import { custom, find, type Run, runProgram, variablesOf } from "./program";

const content = "password: hunter2";
const encoded = Buffer.from(content).toString("base64");
const path = "/etc/kubernetes/tailkube/api-server/hook.yaml";
const kubernetes = {
  apiServer: {
    extraArgs: [{ name: "audit-webhook-config-file", value: path }],
    extraFiles: [{ name: "hook.yaml", content }],
  },
  etcd: { extraArgs: [{ name: "quota-backend-bytes", value: "1" }] },
  kubelet: { maxPods: 50 },
};
const variables = (run: Run, name: string) => variablesOf(find(run, name).inputs.stdin as string);
const planes = ["cp1", "cp2", "cp3"];

describe("with settings of Kubernetes", () => {
  let run: Run;
  let plain: Run;
  prepare(async () => {
    const nodes = (minimal.nodes as object[]).map((one, i) => (i === 3 ? { ...one, kubelet: { maxPods: 20 } } : one));
    run = await runProgram({ config: { kubernetes, nodes } });
    plain = await runProgram();
    expect([...run.errors, ...plain.errors]).to.deep.equal([]);
  });

  it("a control plane has them when it joins and when they change, and a worker its kubelet's alone", () => {
    for (const stage of ["control-plane", "upgrade"]) {
      for (const name of planes) {
        const { TK_ARGUMENTS, TK_ETCD_ARGUMENTS, TK_EXTRA_FILES, TK_KUBELET_PATCH } = variables(
          run,
          `${name}-${stage}`,
        );
        expect({ TK_ARGUMENTS, TK_ETCD_ARGUMENTS, TK_EXTRA_FILES, TK_KUBELET_PATCH }).to.deep.equal({
          TK_ARGUMENTS: `etcd --quota-backend-bytes=1\nkube-apiserver --audit-webhook-config-file=${path}`,
          TK_ETCD_ARGUMENTS: "--quota-backend-bytes=1",
          TK_EXTRA_FILES: `api-server/hook.yaml ${encoded}`,
          TK_KUBELET_PATCH: "maxPods: 50",
        });
      }
    }
    for (const stage of ["join", "upgrade"]) {
      expect(variables(run, `w1-${stage}`).TK_KUBELET_PATCH).to.equal("maxPods: 20");
      expect(variables(run, `w1-${stage}`).TK_KUBELET_CHECK).to.include("maxPods: 20");
    }
    expect(variables(run, "w1-upgrade").TK_EXTRA_FILES).to.equal("");
  });

  it("a file's content is nowhere but in the secret stdin of control planes", () => {
    const holders = run.resources.filter((one) => {
      const text = JSON.stringify([one.inputs, one.outputs]);
      expect(text, one.name).to.not.include("hunter2");
      return text.includes(encoded);
    });
    expect(holders.map(({ name }) => name)).to.have.members(
      planes.flatMap((name) => [`${name}-control-plane`, `${name}-upgrade`]),
    );
    for (const { name, inputs, secretInputs } of holders) {
      expect(secretInputs, name).to.include("stdin");
      expect(JSON.stringify({ ...inputs, stdin: "" }), name).to.not.include(encoded);
    }
    expect(JSON.stringify(run.outputs)).to.not.include("hunter2").and.to.not.include(encoded);
  });

  it("without them, a node's variables of them are empty, and all others as before", () => {
    for (const { name, inputs } of custom(plain).filter(({ inputs: { stdin } }) => typeof stdin === "string")) {
      const all = variablesOf(inputs.stdin as string);
      for (const key of ["ARGUMENTS", "ETCD_ARGUMENTS", "EXTRA_FILES", "KUBELET_PATCH", "KUBELET_CHECK"]) {
        if (`TK_${key}` in all) expect(all[`TK_${key}`], `${name} ${key}`).to.equal("");
      }
    }
    expect(variables(run, "cp1-tailnet")).to.deep.equal(variables(plain, "cp1-tailnet"));
    expect(variables(run, "cp1-upgrade").TK_SECURITY).to.not.equal(variables(plain, "cp1-upgrade").TK_SECURITY);
  });
});
