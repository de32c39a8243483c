import { expect } from "chai";
import { median, outage, type Sample } from "../../faults/outage";

/** Requests each 100 ms from 0 on: a digit is an answer by that control plane after 10 ms, `-` none within a second. */
function requests(text: string): Sample[] {
  return [...text].map((one, i) => {
    const start = i * 100;
    return one === "-"
      ? { start, end: start + 1000, ok: false, error: "timeout" }
      : { start, end: start + 10, ok: true, by: `cp${one}` };
  });
}

describe("outage", () => {
  it("is the time from one answer to the next", () => {
    expect(outage(requests("11-----22"), 150, 900)).to.deep.equal({
      // From the fault, for the last answer was before it, to 710.
      longest: 560,
      failed: 5,
      total: 7,
      apart: [],
      answeredBy: ["cp2"],
    });
    expect(outage(requests("11-----22"), 50).longest).to.equal(600);
  });

  it("lasts to the end of the window if no answer comes", () => {
    expect(outage(requests("11---"), 150, 60_000)).to.include({ longest: 59_850, failed: 3 });
    expect(outage(requests("11---"), 150, 60_000).answeredBy).to.deep.equal([]);
  });

  it("counts the longest of several, and names who answered as often as that changed", () => {
    const seen = outage(requests("1--11----2211"), 50);
    expect(seen.longest).to.equal(500);
    expect(seen.answeredBy).to.deep.equal(["cp1", "cp2", "cp1"]);
  });

  it("tells failures apart from the switch: those that are more than a second away from the largest group", () => {
    expect(outage(requests("1----1-1--122"), 50).apart).to.deep.equal([]);
    expect(outage(requests(`1-${"2".repeat(12)}----22`), 50).apart).to.deep.equal(["0.1 s: timeout"]);
  });

  it("counts a request that was under way at the fault, and none that had ended", () => {
    expect(outage(requests("1-1"), 500)).to.include({ failed: 1, total: 1 });
    expect(outage(requests("111"), 500)).to.include({ failed: 0, total: 0 });
  });
});

describe("median", () => {
  it("is the middle one", () => {
    expect(median([900, 1000, 80])).to.equal(900);
    expect(() => median([1, 2])).to.throw("no median of 2 figures");
  });
});
