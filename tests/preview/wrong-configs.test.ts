import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { apiKey, authKey } from "../unit/config/fixtures";
import { runProgram } from "./program";
import { wrongConfigs } from "./wrong-configs";

const head = "there is a problem in the stack's config:\n  - ";

describe("a wrong config: one line, no host contacted, nothing created:", () => {
  const home = process.cwd();
  // eslint-disable-next-line @typescript-eslint/unbound-method -- put back as it is, and called by nobody here
  const connect = Socket.prototype.connect;
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "tailkube-wrong-"));
    Socket.prototype.connect = () => {
      throw new Error("the program opens a connection");
    };
  });

  afterEach(() => {
    Socket.prototype.connect = connect;
    process.chdir(home);
    rmSync(folder, { recursive: true });
  });

  for (const { what, changes, plain, files = {}, line } of wrongConfigs) {
    it(what, async () => {
      for (const [name, content] of Object.entries(files)) {
        mkdirSync(dirname(join(folder, name)), { recursive: true });
        writeFileSync(join(folder, name), content);
      }
      process.chdir(folder);
      const run = await runProgram({ config: changes, plain, preview: true });
      expect(run.resources).to.deep.equal([]);
      expect(run.errors).to.have.lengthOf(1);
      const message = run.errors[0]!.message;
      expect(message.startsWith(head), message).to.equal(true);
      const told = message.slice(head.length);
      for (const secret of [authKey, apiKey, "b3BlbnNz", "bm90IGEga2V5", "hunter2"]) {
        expect(told).to.not.include(secret);
      }
      expect(told).to.match(/^\S[^\n]*$/);
      if (line instanceof RegExp) {
        expect(told).to.match(line);
      } else {
        expect(told).to.equal(line);
      }
    });
  }

  it("there are more than forty of them", () => {
    expect(new Set(wrongConfigs.map(({ what }) => what)).size)
      .to.equal(wrongConfigs.length)
      .and.at.least(40);
  });

  it("all of it is said at once", async () => {
    process.chdir(folder);
    const run = await runProgram({
      preview: true,
      config: {
        endpoint: { address: "10.96.0.1" },
        network: { podCidr: "172.17.0.0/16" },
        tailnet: { mtu: 1000 },
        checks: "maybe",
        nodez: "x",
      },
      plain: ["tailnetAuthKey"],
    });
    expect(run.resources).to.deep.equal([]);
    const keys = run.errors.flatMap(({ message }) => message.split("\n  - ").slice(1)).map((one) => one.split(":")[0]);
    expect(keys).to.have.members([
      "nodez",
      "tailnetAuthKey",
      "tailnet.mtu",
      "checks",
      "endpoint.address",
      "network.podCidr",
    ]);
  });
});
