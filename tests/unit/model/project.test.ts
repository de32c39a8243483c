import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { inProject, projectFolder, setProjectFolder } from "../../../model/project";

const root = join(__dirname, "../../..");

describe("paths of the project for providers", () => {
  const before = projectFolder();
  afterEach(() => setProjectFolder(before));

  it("lead from the folder of Pulumi.yaml's main to that of Pulumi.yaml", () => {
    const { main } = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8")) as { main: string };
    const [, way] = /^setProjectFolder\("(.*)"\);$/m.exec(readFileSync(join(root, "index.ts"), "utf8"))!;
    setProjectFolder(way!);
    expect(join(dirname(main), projectFolder())).to.equal(".");
    expect(join(dirname(main), inProject("charts/cilium"))).to.equal("charts/cilium");
    expect(inProject("/srv/charts/cilium")).to.equal("/srv/charts/cilium");
  });

  it("are those that the user's own program has, by default", () => {
    setProjectFolder(".");
    expect(inProject("charts/cilium")).to.equal("./charts/cilium");
  });
});
