/** What makes the checks at the end of `up` run again: everything after which the plan says "the cluster is checked". */
import { expect } from "chai";
import { minimal } from "../unit/config/fixtures";
import { find, type Run, runProgram } from "./program";

const checks = (run: Run) => find(run, "cluster-checks").inputs.stdin as string;
const withNode = (name: string, changes: Record<string, unknown>) => ({
  nodes: (minimal.nodes as { name: string }[]).map((node) => (node.name === name ? { ...node, ...changes } : node)),
});

describe("the checks at the end of a run", () => {
  it("run again after each change for which nodes are upgraded or restarted", async function () {
    this.timeout(240_000);
    const plain = await runProgram({});
    expect(plain.errors).to.deep.equal([]);
    expect(checks(await runProgram({}))).to.equal(checks(plain));
    for (const config of [
      { kubernetes: { version: "1.37.1" } },
      { kubernetes: { containerdVersion: "2.2.1" } },
      { kubernetes: { certificateRenewal: "2026-11-21" } },
      { kubernetes: { apiServer: { extraArgs: [{ name: "request-timeout", value: "30s" }] } } },
      { tailnet: { tailscaleVersion: "1.102.5" } },
      { security: { auditLog: false } },
      { proxy: { https: "http://proxy.example.com:3128" } },
      withNode("w1", { kubelet: { maxPods: 200 } }),
    ]) {
      const run = await runProgram({ config });
      expect(run.errors, JSON.stringify(config)).to.deep.equal([]);
      expect(checks(run), JSON.stringify(config)).to.not.equal(checks(plain));
    }
  });

  it("do not run again for what only the operator's machine or finalizing uses", async () => {
    const plain = await runProgram({});
    for (const config of [{ kubernetes: { drainSeconds: 301 } }, withNode("w1", { labels: { a: "b" } })]) {
      expect(checks(await runProgram({ config })), JSON.stringify(config)).to.equal(checks(plain));
    }
  });
});
