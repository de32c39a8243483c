import { expect } from "chai";
import { planMarkdown, planPicture, rejectionMarkdown } from "../../../preview/markdown";
import { planOf } from "../../../preview/steps";
import { expectGolden } from "../../golden/golden";
import { configOf, minimal } from "../config/fixtures";
import { afterRunOf } from "../fixtures";

type Node = { name: string; role: string; host: Record<string, unknown> };
const nodes = minimal.nodes as Node[];
const w2 = { name: "w2", role: "worker", host: { address: "192.0.2.22" } };

describe("the plan for a pull request", () => {
  it("of a new cluster", () => {
    expectGolden("plan-new.md", planMarkdown(planOf(configOf(), undefined), configOf()));
  });

  it("of one node that comes, one that goes, and one that is another machine", () => {
    const [cp1, cp2, cp3] = nodes as [Node, Node, Node];
    const wanted = configOf({ nodes: [cp1, { ...cp2, host: { ...cp2.host, identity: "2" } }, cp3, w2] });
    expectGolden("plan-members.md", planMarkdown(planOf(wanted, afterRunOf(configOf())), wanted));
  });

  it("of an upgrade", () => {
    const wanted = configOf({ kubernetes: { version: "1.37.3" } });
    expectGolden("plan-upgrade.md", planMarkdown(planOf(wanted, afterRunOf(configOf())), wanted));
  });

  it("of nothing", () => {
    const markdown = planMarkdown(planOf(configOf(), afterRunOf(configOf())), configOf());
    expect(markdown).to.include("Nothing changes on any node.").and.not.include("In this order");
  });

  it("draws no node by its own name, which may be a word of Mermaid's", () => {
    const config = configOf({
      nodes: [
        { ...nodes[0]!, name: "end" },
        { ...nodes[3]!, name: "subgraph" },
      ],
    });
    const picture = planPicture(planOf(config, undefined), config);
    expect(picture).to.match(/^ {4}n0\["end<br\/>control plane<br\/><b>created<\/b>"\]$/m);
    expect(picture).to.match(/^ {2}n1 --> endpoint$/m);
    expect(picture).to.match(/^ {2}endpoint --> n0$/m);
  });

  it("or why there is none, with nothing in it that is markup", () => {
    expect(rejectionMarkdown(['a: "<img src=x>" & `b` is refused.'])).to.equal(
      '### No plan: the stack\'s config is invalid\n\n- a: "&#60;img src=x&#62;" &#38; &#96;b&#96; is refused.\n',
    );
  });
});
