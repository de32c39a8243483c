import { expect } from "chai";
import { countConnections, nodesOf } from "../../bench/connections";
import { type Registered, runProgram } from "./program";

const command = (type: string, inputs: object) =>
  ({ type: `command:${type}`, name: "x", inputs }) as unknown as Registered;

describe("the count of connections", () => {
  const nodes = nodesOf(4);
  const connection = { host: nodes[3]!.host.address };

  it("is that of what a first up runs on hosts", () => {
    const resources = [
      command("remote:Command", { connection: { host: nodes[0]!.host.address }, create: "true" }),
      command("remote:Command", { connection, create: "true" }),
      command("remote:Command", { connection, update: "true" }),
      command("remote:CopyToRemote", { connection }),
      command("local:Command", { create: "ssh-keyscan" }),
      command("local:Command", { delete: "ssh" }),
      command("local:Command", {
        create: "ssh",
        environment: { TAILKUBE_HOST: connection.host, TAILKUBE_COMMAND: "true" },
      }),
    ];
    expect(countConnections(resources, nodes)).to.deep.equal({ total: 6, busiest: 5, keyScans: 1 });
  });

  it("misses none that goes elsewhere", () => {
    const elsewhere = [command("remote:Command", { connection: { host: "192.0.2.200" }, create: "true" })];
    expect(() => countConnections(elsewhere, nodes)).to.throw("1 of 1 remote commands are for no host");
  });
});

describe("a first up", () => {
  const counted = async (count: number) => {
    const nodes = nodesOf(count);
    const run = await runProgram({ config: { nodes } });
    expect(run.errors).to.deep.equal([]);
    return countConnections(run.resources, nodes);
  };

  it("opens at most 8 connections a node, whether there are 4 or 100", async function () {
    // A hundred nodes are a thousand resources, on a machine that may be busy.
    this.timeout(300_000);
    const [few, many] = [await counted(4), await counted(100)];
    expect(few.total)
      .to.be.greaterThan(4)
      .and.at.most(8 * 4);
    expect(many.total)
      .to.be.greaterThan(100)
      .and.at.most(8 * 100);
    // Each further node is a worker, and asks for no connection to any other host.
    expect(many.busiest).to.equal(few.busiest);
    expect(many.keyScans).to.equal(100);
  });
});
