import { expect } from "chai";
import fc from "fast-check";
import {
  type SecurityGroupArgs,
  securityGroupArgs,
  type SecurityRule,
  securityGroupRules,
  world,
} from "../../../../../components/hosts/ec2/security-group-rules";
import { configOf } from "../../../config/fixtures";
import { inLan, keyPair, onEc2 } from "./fixtures";

const base: SecurityGroupArgs = {
  network: { kind: "tailnet", openTailscalePort: false },
  apiPort: 6443,
  operatorCidrs: ["198.51.100.7/32"],
  apiFromOperator: true,
};

/** A rule as one line: `in tcp 22 from 198.51.100.7/32`. */
const line = ({ direction, protocol, ports, peer }: SecurityRule) =>
  [
    direction === "ingress" ? "in" : "out",
    protocol,
    ...(ports === undefined ? [] : [ports[0] === ports[1] ? `${ports[0]}` : ports.join("-")]),
    direction === "ingress" ? "from" : "to",
    peer === "group" ? "the group" : peer.cidr,
  ].join(" ");
const lines = (changes: Partial<SecurityGroupArgs>) => securityGroupRules({ ...base, ...changes }).map(line);

const allOut = "out all to 0.0.0.0/0";
const operator = ["in tcp 22 from 198.51.100.7/32", "in tcp 6443 from 198.51.100.7/32"];

/** Every choice there is. */
const anyArgs = fc.record({
  network: fc.oneof(
    fc.record({ kind: fc.constant("tailnet" as const), openTailscalePort: fc.boolean() }),
    fc.record(
      {
        kind: fc.constant("lan" as const),
        tunnelPort: fc.integer({ min: 1, max: 65535 }),
        balancerCidr: fc.constantFrom("10.0.0.0/8", "10.20.0.0/16"),
      },
      { requiredKeys: ["kind", "tunnelPort"] },
    ),
  ),
  // Any, and those that other rules are about.
  apiPort: fc.oneof(fc.integer({ min: 1, max: 65535 }), fc.constantFrom(22, 2379, 4240, 10250)),
  operatorCidrs: fc.uniqueArray(fc.constantFrom("198.51.100.7/32", "192.0.2.0/24", "10.0.0.0/8"), { minLength: 1 }),
  apiFromOperator: fc.boolean(),
});

describe("the security group", () => {
  it("of a tailnet: SSH and the API from the operator, Tailscale between nodes", () => {
    expect(lines({})).to.have.members([...operator, "in udp 41641 from the group", allOut]);
  });

  it("of a tailnet with openTailscalePort: its port from the world as well", () => {
    expect(lines({ network: { kind: "tailnet", openTailscalePort: true } })).to.have.members([
      ...operator,
      "in udp 41641 from the group",
      "in udp 41641 from 0.0.0.0/0",
      allOut,
    ]);
  });

  it("of a LAN: what Kubernetes and Cilium need between nodes", () => {
    const between = ["tcp 6443", "tcp 2379-2380", "tcp 10250", "tcp 4240"].map((port) => `in ${port} from the group`);
    const lan = { kind: "lan", tunnelPort: 8473 } as const;
    const all = [...operator, ...between, "in udp 8473 from the group", allOut];
    expect(lines({ network: lan })).to.have.members(all);
    expect(lines({ network: { ...lan, balancerCidr: "10.20.0.0/16" } })).to.have.members([
      ...all,
      "in tcp 6443 from 10.20.0.0/16",
    ]);
    expect(lines({ network: { ...lan, hubble: true } })).to.have.members([...all, "in tcp 4244 from the group"]);
    // Once, or EC2 would refuse the second one.
    expect(lines({ network: { ...lan, balancerCidr: "198.51.100.7/32" } })).to.have.members(all);
  });

  it("speaks of the tailnet in a tailnet alone", () => {
    const lan = securityGroupRules({ ...base, network: { kind: "lan", tunnelPort: 8472 } });
    expect(lan.filter(({ description }) => /tail/i.test(description))).to.deep.equal([]);
  });

  describe("is asked by the config", () => {
    const stack = onEc2(keyPair().privateKey);
    const of = (changes: Record<string, unknown> = {}) => {
      const config = configOf({ ...stack, ...changes });
      return securityGroupArgs(config, config.ec2!);
    };
    const lan = inLan(stack);

    it("in a tailnet: for its own port, and for the API's", () => {
      expect(of({ network: { tunnelPort: 8473 }, endpoint: { port: 7443 } })).to.deep.equal({ ...base, apiPort: 7443 });
      for (const operatorEndpoint of ["tailnet", "endpoint"]) {
        expect(of({ operatorEndpoint }).apiFromOperator, operatorEndpoint).to.equal(false);
      }
    });

    it("in a lan with Hubble's relay: for the agents' port", () => {
      const hubble = { hubble: { relay: true } };
      expect(of({ ...lan, ...hubble }).network).to.include({ hubble: true });
      expect(of(lan).network).to.not.have.property("hubble");
      expect(of(hubble)).to.deep.equal(of());
    });

    it("in a lan: for the tunnel's port, and for the one that the API servers listen on", () => {
      expect(
        of({
          ...lan,
          network: { tunnelPort: 8473 },
          endpoint: { ...(lan.endpoint as object), port: 443, apiServerPort: 7443 },
        }),
      ).to.deep.equal({
        ...base,
        network: { kind: "lan", tunnelPort: 8473 },
        apiPort: 7443,
      });
      expect(of({ ...lan, operatorEndpoint: "endpoint" }).apiFromOperator).to.equal(true);
    });

    it("in a lan: for a balancer of the VPC, unless the endpoint is a node's own address", () => {
      const network = { kind: "lan", tunnelPort: 8472 };
      expect(of({ ...lan, endpoint: { address: "api.example.com" } }).network).to.deep.equal({
        ...network,
        balancerCidr: "10.20.0.0/16",
      });
      const given = {
        ...lan,
        nodes: stack.nodes,
        lan: { cidr: "172.31.0.0/16" },
        endpoint: { address: "172.31.9.9" },
        ec2: { ...(stack.ec2 as object), vpcId: "vpc-0a", subnetIds: ["subnet-0a"] },
      };
      expect(of(given).network).to.deep.equal({ ...network, balancerCidr: "172.31.0.0/16" });
    });
  });

  it("has no rule for the API from the operator where that goes another way", () => {
    expect(lines({ apiFromOperator: false, apiPort: 8443 }).join()).to.not.include("8443");
  });

  it("has the operator's rules for each network of theirs", () => {
    const ssh = lines({ operatorCidrs: ["192.0.2.0/24", "198.51.100.0/25"], apiFromOperator: false });
    expect(ssh).to.include.members(["in tcp 22 from 192.0.2.0/24", "in tcp 22 from 198.51.100.0/25"]);
  });

  it("lets the world in by 41641/udp alone, and only where asked", () => {
    fc.assert(
      fc.property(anyArgs, (args) => {
        const open = securityGroupRules(args as SecurityGroupArgs).filter(
          ({ direction, peer }) => direction === "ingress" && peer !== "group" && peer.cidr === world,
        );
        const asked = args.network.kind === "tailnet" && args.network.openTailscalePort;
        expect(open.map(line)).to.deep.equal(asked ? ["in udp 41641 from 0.0.0.0/0"] : []);
      }),
    );
  });

  it("has one rule where two would say the same", () => {
    expect(lines({ apiPort: 22 })).to.deep.equal([...new Set(lines({ apiPort: 22 }))]);
    const network = { kind: "lan", tunnelPort: 8472 } as const;
    expect(lines({ network, apiPort: 10250 }).filter((one) => one === "in tcp 10250 from the group")).to.have.length(1);
  });

  it("says of each rule why, in EC2's characters, and has no two of a name or of one meaning", () => {
    fc.assert(
      fc.property(anyArgs, (args) => {
        const rules = securityGroupRules(args);
        for (const { name, description } of rules) {
          // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html
          expect(description, name).to.match(/^[a-zA-Z0-9. _\-:/()#,@[\]+=&;{}!$*]{20,255}$/);
        }
        expect(new Set(rules.map(({ name }) => name)).size).to.equal(rules.length);
        expect(new Set(rules.map(line)).size).to.equal(rules.length);
      }),
    );
  });
});
