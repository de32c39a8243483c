import { expect } from "chai";
import { parse } from "yaml";
import { subnets } from "../../../../../model/cidr";
import { userData } from "../../../../../components/hosts/ec2/user-data";
import { architectureOf, defaultInstanceType, ec2Images } from "../../../../../components/hosts/ec2/image";
import { derivedHostKey } from "../../../../../model/ssh-key";
import { spread, zoneSubnets } from "../../../../../components/hosts/ec2/zones";

describe("instance types and images", () => {
  it("an instance type tells its architecture", () => {
    const arm64 = [
      "t4g.medium",
      "m7g.large",
      "c7gn.xlarge",
      "r8gd.metal-24xl",
      "x2gd.large",
      "im4gn.large",
      "a1.large",
    ];
    const amd64 = [
      "t3.medium",
      "t3a.small",
      "m7i.large",
      "m7i-flex.large",
      "g4dn.xlarge",
      "g5.xlarge",
      "c5n.large",
      "u-6tb1.metal",
    ];
    for (const type of arm64) expect(architectureOf(type), type).to.equal("arm64");
    for (const type of amd64) expect(architectureOf(type), type).to.equal("amd64");
    for (const architecture of ["amd64", "arm64"] as const) {
      expect(architectureOf(defaultInstanceType[architecture])).to.equal(architecture);
    }
  });

  it("an image's name says its architecture, and its owner is an account", () => {
    for (const { owner, name } of Object.values(ec2Images)) {
      expect(owner).to.match(/^\d{12}$/);
      expect(name("arm64")).to.include("-arm64-").and.not.equal(name("amd64"));
    }
  });
});

describe("spread", () => {
  it("takes zones in turns, for each role", () => {
    const roles = ["control-plane", "worker", "control-plane", "worker", "control-plane", "control-plane"] as const;
    expect(
      spread(
        roles.map((role) => ({ role })),
        3,
      ),
    ).to.deep.equal([0, 0, 1, 1, 2, 0]);
  });

  it("has a node with an address of its own in the zone whose subnet has it", () => {
    expect(zoneSubnets("10.20.0.0/24")).to.deep.equal(["10.20.0.0/26", "10.20.0.64/26", "10.20.0.128/26"]);
    const own = (address?: string) => ({
      role: "worker" as const,
      lan: { ...(address !== undefined && { address }), checksumOffload: true },
    });
    const nodes = [own("10.20.0.130"), own(), own("10.20.0.4"), own()];
    expect(spread(nodes, 3, "10.20.0.0/24")).to.deep.equal([2, 1, 0, 0]);
  });
});

describe("subnets", () => {
  it("are the first ones of a network", () => {
    expect(subnets("10.20.0.0/16", 18, 3)).to.deep.equal(["10.20.0.0/18", "10.20.64.0/18", "10.20.128.0/18"]);
    expect(subnets("192.168.7.0/24", 26, 4)[3]).to.equal("192.168.7.192/26");
  });

  it("are not more than there are", () => {
    expect(() => subnets("10.20.0.0/24", 26, 5)).to.throw("10.20.0.0/24 has no 5 networks of prefix length /26");
  });
});

describe("userData", () => {
  it("makes a machine reachable by SSH, and nothing more", () => {
    const key = derivedHostKey("secret", "cp1");
    const text = userData(key);
    expect(text.split("\n")[0]).to.equal("#cloud-config");
    expect(parse(text)).to.deep.equal({
      ssh_deletekeys: true,
      ssh_keys: { ecdsa_private: key.privateKey, ecdsa_public: key.publicKey },
      ssh_pwauth: false,
      disable_root: true,
    });
  });
});
