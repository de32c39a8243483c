import { expect } from "chai";
import { ConfigError, keyText, valueText } from "../../../model/messages";
import { nearest } from "../../../model/problem";

describe("config errors", () => {
  it("write a path as a user would", () => {
    expect(keyText(["nodes", 0, "host", "port"])).to.equal("nodes[0].host.port");
    expect(keyText(["nodes", 2, "labels", "example.com/a"])).to.equal('nodes[2].labels["example.com/a"]');
    expect(keyText([])).to.equal("");
  });

  it("cut long values", () => {
    expect(valueText("x".repeat(200)))
      .to.have.lengthOf(80)
      .and.match(/…$/);
    expect(valueText(undefined)).to.equal("nothing");
  });

  it("find the key that was meant", () => {
    const known = ["podCidr", "serviceCidr", "nodes"];
    expect(nearest("podcidr", known)).to.equal("podCidr");
    expect(nearest("servceCidr", known)).to.equal("serviceCidr");
    expect(nearest("zebra", known)).to.equal(undefined);
    expect(nearest("x", [])).to.equal(undefined);
  });

  it("list every problem under one head", () => {
    expect(new ConfigError(["a: 1", "b: 2"]).message).to.equal(
      "there are 2 problems in the stack's config:\n  - a: 1\n  - b: 2",
    );
    expect(new ConfigError(["a: 1"]).message).to.match(/^there is a problem in/);
  });
});
