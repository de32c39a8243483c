import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { inProject, projectFolder } from "../../../model/project";

describe("paths of the project for providers", () => {
  it("lead from the folder of Pulumi.yaml's main to that of Pulumi.yaml", () => {
    const { main } = parse(readFileSync(join(__dirname, "../../../Pulumi.yaml"), "utf8")) as { main: string };
    expect(join(dirname(main), projectFolder)).to.equal(".");
    expect(join(dirname(main), inProject("charts/cilium"))).to.equal("charts/cilium");
    expect(inProject("/srv/charts/cilium")).to.equal("/srv/charts/cilium");
  });
});
