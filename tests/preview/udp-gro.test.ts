/** The whole program with and without UDP GRO forwarding: which stages get its variables, and that no other does. */
import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { scriptText } from "../../components/hosts/script-text";
import { custom, find, isScript, type Registered, runProgram, variablesOf } from "./program";

const text = ({ inputs }: Registered) => JSON.stringify(inputs);

describe("a cluster with UDP GRO forwarding", () => {
  it("changes the stage tailnet alone, on every node", async () => {
    const [plain, run] = [await runProgram({}), await runProgram({ config: { tailnet: { udpGroForwarding: true } } })];
    expect([...plain.errors, ...run.errors]).to.deep.equal([]);
    expect(custom(run).map(({ name }) => name)).to.deep.equal(custom(plain).map(({ name }) => name));
    const differ = run.resources.filter(isScript).filter((one) => text(one) !== text(find(plain, one.name)));
    const stages = ["cp1", "cp2", "cp3", "w1"].map((name) => `${name}-tailnet`);
    expect(differ.map(({ name }) => name)).to.have.members(stages);
    for (const name of stages) {
      const given = variablesOf(find(run, name).inputs.stdin as string);
      expect(given).to.include({ TK_UDP_GRO: "on", TK_HOST_UDP_GRO: scriptText("installed/udp-gro.sh") });
      const before = variablesOf(find(plain, name).inputs.stdin as string);
      expect(Object.keys(before)).to.not.include("TK_UDP_GRO").and.not.include("TK_HOST_UDP_GRO");
    }
  });

  it("warns of what a host cannot have, a line each, and does not fail", async () => {
    const found: string[] = [];
    const { warn } = pulumi.log;
    const log = pulumi.log as { warn: typeof warn };
    log.warn = (message) => Promise.resolve(void found.push(message));
    const withoutUdpGro = "eth0: rx-udp-gro-forwarding is off [fixed]\neth1: it has no rx-udp-gro-forwarding";
    const run = await runProgram({
      config: { tailnet: { udpGroForwarding: true } },
      answers: { "w1-tailnet": { withoutUdpGro } },
    }).finally(() => (log.warn = warn));
    expect(run.errors).to.deep.equal([]);
    expect(found.filter((line) => line.includes("udpGroForwarding"))).to.deep.equal([
      "w1: tailnet.udpGroForwarding has no effect, or only in part: eth0: rx-udp-gro-forwarding is off [fixed]. Nothing in the cluster depends on it.",
      "w1: tailnet.udpGroForwarding has no effect, or only in part: eth1: it has no rx-udp-gro-forwarding. Nothing in the cluster depends on it.",
    ]);
  });
});
