import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { authoritiesOf, authorityWarnings } from "../../../../components/kubernetes/authority-values";

const pem = readFileSync(join(__dirname, "../../../preview/ca.crt"), "utf8");
const expires = "2126-10-28T10:49:56Z";

describe("The cluster's authorities", () => {
  it("end when their certificates say", () => {
    expect(authoritiesOf({ kubernetes: pem, etcd: pem })).to.deep.equal([
      { name: "kubernetes", expires },
      { name: "etcd", expires },
    ]);
  });

  it("are left out where there is no certificate that can be read", () => {
    const broken = pem.replace(/M/g, "N");
    expect(authoritiesOf({ a: "", b: undefined, c: "none", d: broken, kubernetes: pem })).to.deep.equal([
      { name: "kubernetes", expires },
    ]);
  });

  it("are warned of in their last year, and after", () => {
    const authorities = [{ name: "etcd", expires }];
    expect(authorityWarnings(authorities, new Date("2125-10-28T10:49:55Z"))).to.deep.equal([]);
    const [soon] = authorityWarnings(authorities, new Date("2125-10-28T10:49:57Z"));
    expect(soon).to.match(/^The cluster's certificate authority etcd expires at 2126-10-28T10:49:56Z, in 364 days\. /);
    expect(soon).to.not.include("\n");
    const [late] = authorityWarnings(authorities, new Date("2127-01-01T00:00:00Z"));
    expect(late).to.match(/^The cluster's certificate authority etcd expired at 2126-10-28T10:49:56Z\. /);
  });
});
