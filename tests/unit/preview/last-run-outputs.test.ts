import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { type PreviousOutputs, previousOutputs } from "../../../preview/last-run-outputs";

interface Read {
  type: string;
  name: string;
  id: string | undefined;
  inputs: unknown;
}

/** Runs with an engine that answers a read with `state`; returns what was read as well. */
async function read(
  state: Record<string, unknown>,
  { preview = false, organization }: { preview?: boolean; organization?: string } = {},
): Promise<{ last: PreviousOutputs; reads: Read[] }> {
  const reads: Read[] = [];
  await pulumi.runtime.setMocks(
    {
      call: ({ token }) => {
        throw new Error(`the program calls ${token}`);
      },
      newResource: ({ type, name, id, inputs }) => {
        reads.push({ type, name, id, inputs });
        return { id: id!, state: { ...inputs, ...state } };
      },
    },
    "tailkube",
    "dev",
    preview,
    organization,
  );
  return { last: previousOutputs(), reads };
}

const valueOf = (output: pulumi.Output<unknown>) => new Promise((resolve) => void output.apply(resolve));

describe("previousOutputs", () => {
  const nodes = [{ name: "cp1", address: "100.64.0.1" }];
  const outputs = { nodes, kubeconfig: "apiVersion: v1", version: "1.36.3" };

  it("reads the current stack, and nothing else", async () => {
    for (const [organization, name] of [
      [undefined, "organization/tailkube/dev"],
      ["acme", "acme/tailkube/dev"],
    ] as const) {
      const { last, reads } = await read({ outputs: {}, secretOutputNames: [] }, { organization });
      expect(await valueOf(last.get("nodes"))).to.equal(undefined);
      const inputs = { name };
      expect(reads).to.deep.equal([{ type: "pulumi:pulumi:StackReference", name: "last", id: name, inputs }]);
    }
  });

  it("gives each output, secret only if it was", async () => {
    const { last } = await read({ outputs: pulumi.secret(outputs), secretOutputNames: ["kubeconfig"] });
    expect(await valueOf(last.get("nodes"))).to.deep.equal(nodes);
    expect(await valueOf(last.get("kubeconfig"))).to.equal("apiVersion: v1");
    expect(await pulumi.isSecret(last.get("nodes"))).to.equal(false);
    expect(await pulumi.isSecret(last.get("kubeconfig"))).to.equal(true);
    const derived = last.get("kubeconfig").apply((text) => `${String(text)}!`);
    expect(await pulumi.isSecret(derived)).to.equal(true);
    expect(await valueOf(last.get("gone"))).to.equal(undefined);
  });

  it("takes all for secret where the engine does not say which are", async () => {
    const all = await read({ outputs: pulumi.secret(outputs) });
    expect(await pulumi.isSecret(all.last.get("nodes"))).to.equal(true);
    const none = await read({ outputs });
    expect(await pulumi.isSecret(none.last.get("nodes"))).to.equal(false);
  });

  it("has none under mocks that know nothing of it", async () => {
    const { last } = await read({});
    expect(await valueOf(last.get("nodes"))).to.equal(undefined);
  });

  it("knows them in a preview", async () => {
    const { last } = await read({ outputs, secretOutputNames: [] }, { preview: true });
    expect(await valueOf(last.get("version"))).to.equal("1.36.3");
  });
});
