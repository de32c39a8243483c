import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { ec2HostSchema, ec2Schema } from "../../../config/schema/ec2";
import { type Ec2HostConfig } from "../../../model/config";
import { ConfigError } from "../../../model/messages";
import { configOf } from "./fixtures";
import { inLan, keyPair, onEc2 } from "../components/hosts/ec2/fixtures";

const { privateKey } = keyPair();
const stack = onEc2(privateKey);
const ec2 = stack.ec2 as Record<string, unknown>;
const nodes = stack.nodes as { name: string; role: string; host: Record<string, unknown> }[];

/** The stack in a lan. */
const lan = { ...stack, ...inLan(stack) };
const lanNodes = lan.nodes as typeof nodes;

/** The stack with other keys of `ec2` and of the first node's host. */
const changed = (shared: object, host: object = {}, more: object = {}) => ({
  ...stack,
  ec2: { ...ec2, ...shared },
  nodes: nodes.map((node, i) => (i === 0 ? { ...node, host: { ...node.host, ...host } } : node)),
  ...more,
});

const hostsOf = (changes: Record<string, unknown>) => configOf(changes).nodes.map(({ host }) => host as Ec2HostConfig);

describe("hosts of kind ec2", () => {
  it("have what is named nowhere: Debian on amd64, 2 CPUs and 4 GiB, 20 GiB", () => {
    expect(hostsOf(stack)[0]).to.deep.equal({
      kind: "ec2",
      user: "admin",
      port: 22,
      instanceType: "t3.medium",
      architecture: "amd64",
      os: "debian",
      rootVolumeGib: 20,
    });
  });

  it("have the architecture of a type of their own", () => {
    expect(hostsOf(stack)[3]).to.include({ instanceType: "m7g.large", architecture: "arm64", rootVolumeGib: 50 });
  });

  it("have what all share, and their own before it", () => {
    const shared = { os: "ubuntu", architecture: "arm64", instanceType: "c7g.xlarge", rootVolumeGib: "30" };
    const [cp1, cp2] = hostsOf(changed(shared, { os: "debian", architecture: "amd64", rootVolumeGib: 40 }));
    expect(cp1).to.include({ os: "debian", user: "admin", architecture: "amd64", instanceType: "t3.medium" });
    expect(cp1).to.include({ rootVolumeGib: 40 });
    expect(cp2).to.include({ os: "ubuntu", user: "ubuntu", architecture: "arm64", instanceType: "c7g.xlarge" });
    expect(cp2).to.include({ rootVolumeGib: 30 });
  });

  it("are on the architecture of the type that all share", () => {
    expect(hostsOf(changed({ instanceType: "t4g.large" }))[0]).to.include({ architecture: "arm64" });
  });

  it("are in a VPC that is made, or in one that is given", () => {
    expect(configOf(stack).ec2).to.deep.equal({
      region: "eu-central-1",
      vpcCidr: "10.20.0.0/16",
      operatorCidrs: ["198.51.100.7/32"],
      openTailscalePort: false,
      operatorAddress: "public",
    });
    const given = { vpcId: "vpc-0a1b", subnetIds: ["subnet-0a", "subnet-0b"], operatorAddress: "private" };
    const config = configOf(changed(given, { subnetId: "subnet-0c" }));
    expect(config.ec2).to.deep.include({
      given: { vpcId: "vpc-0a1b", subnetIds: ["subnet-0a", "subnet-0b"] },
      operatorAddress: "private",
    });
    expect(config.nodes[0]!.host).to.include({ subnetId: "subnet-0c" });
  });

  it("are in the network of a VPC that is given, in a lan", () => {
    const given = { vpcId: "vpc-0a1b", subnetIds: ["subnet-0a"] };
    const lan = { ...inLan(stack), nodes, lan: { cidr: "172.31.0.0/16" } };
    expect(configOf(changed(given, {}, lan)).ec2!.vpcCidr).to.equal("172.31.0.0/16");
    expect(configOf({ ...stack, ...inLan(stack) }).ec2!.vpcCidr).to.equal("10.20.0.0/16");
  });

  it("may stand beside bare ones, whose `kind` may be left out", () => {
    const w2 = { name: "w2", role: "worker", host: { address: "192.0.2.22" } };
    expect(hostsOf({ ...stack, nodes: [...nodes, w2] }).map(({ kind }) => kind)).to.include.members(["ssh", "ec2"]);
  });

  it("are told of in docs/install/ec2.md, key by key", () => {
    const page = readFileSync(join(__dirname, "../../../docs/install/ec2.md"), "utf8");
    const rows = [...page.matchAll(/^\| (`[^|]*`) *\|/gm)].flatMap(([, keys]) => keys!.replaceAll("`", "").split(","));
    const keys = [ec2Schema, ec2HostSchema].flatMap(({ shape }) => Object.keys(shape));
    expect(rows).to.have.members([...new Set(keys)].filter((key) => key !== "kind"));
  });

  it("are no part of a stack of bare hosts: nothing of the default is left there", () => {
    expect(configOf({ ec2: {} })).to.deep.equal(configOf());
  });
});

describe("wrong hosts of kind ec2", () => {
  const cases: [string, Record<string, unknown>, RegExp][] = [
    [
      "no ec2",
      { ...stack, ec2: undefined },
      /^ec2: not set\. Required: an object with region and operatorCidrs, because nodes\[0\]\.host\.kind is ec2\./,
    ],
    [
      "no region",
      { ...stack, ec2: { operatorCidrs: ["192.0.2.0/24"] } },
      /^ec2\.region: not set\. Required: an AWS region/,
    ],
    ["a region's zone", changed({ region: "eu-central-1a" }), /^ec2\.region: "eu-central-1a" is invalid\./],
    [
      "no operatorCidrs",
      { ...stack, ec2: { region: "eu-central-1" } },
      /^ec2\.operatorCidrs: not set\. Required: a list/,
    ],
    [
      "empty operatorCidrs",
      changed({ operatorCidrs: [] }),
      /^ec2\.operatorCidrs: \[\] is invalid\. Allowed: at least one/,
    ],
    [
      "SSH from the world",
      changed({ operatorCidrs: ["0.0.0.0/0"] }),
      /^ec2\.operatorCidrs\[0\]: "0\.0\.0\.0\/0" is invalid\. Allowed: an IPv4 network with a prefix length from \/8 to \/32/,
    ],
    ["SSH from half of the world", changed({ operatorCidrs: ["128.0.0.0/1"] }), /^ec2\.operatorCidrs\[0\]: "128/],
    [
      "host bits",
      changed({ operatorCidrs: ["198.51.100.7/24"] }),
      /^ec2\.operatorCidrs\[0\]: .* this one would be 198\.51\.100\.0\/24\./,
    ],
    [
      "a mistyped key",
      changed({ operatorCidr: "x" }),
      /^ec2\.operatorCidr: there is no such key\. .*Did you mean operatorCidrs\?$/,
    ],
    [
      "a key of the other kind",
      changed({}, { address: "192.0.2.1" }),
      /^nodes\[0\]\.host\.address: there is no such key\. Allowed: kind, instanceType, architecture, os, rootVolumeGib, subnetId, identity\./,
    ],
    [
      "a key of this kind on a bare host",
      {
        ...stack,
        nodes: [{ name: "cp1", role: "control-plane", host: { address: "192.0.2.1", instanceTyp: "t3.medium" } }],
      },
      /^nodes\[0\]\.host\.instanceTyp: there is no such key\. Allowed: kind, address, user, port, hostKey, via, privateKeyFile, identity\./,
    ],
    [
      "no object",
      { ...stack, nodes: [{ name: "cp1", role: "control-plane", host: "ec2" }] },
      /^nodes\[0\]\.host: "ec2" is invalid\. Allowed: an object/,
    ],
    [
      "another OS",
      changed({ os: "fedora" }),
      /^ec2\.os: "fedora" is invalid\. Allowed: debian or ubuntu or ubuntu-24\.04\./,
    ],
    [
      "another architecture",
      changed({}, { architecture: "x86" }),
      /^nodes\[0\]\.host\.architecture: "x86" is invalid\. Allowed: amd64 or arm64\./,
    ],
    [
      "a type of another architecture",
      changed({}, { instanceType: "t3.medium", architecture: "arm64" }),
      /^nodes\[0\]\.host\.instanceType: "t3\.medium" does not have architecture arm64\. Allowed: a type that has it, such as t4g\.medium\./,
    ],
    [
      "a type of another architecture for all",
      changed({ instanceType: "t3.medium", architecture: "arm64" }),
      /^ec2\.instanceType: "t3\.medium" does not have architecture arm64\. Allowed: a type that has it, such as t4g\.medium\./,
    ],
    ["a type that is none", changed({ instanceType: "large" }), /^ec2\.instanceType: "large" is invalid\./],
    [
      "a disk too small",
      changed({}, { rootVolumeGib: 8 }),
      /^nodes\[0\]\.host\.rootVolumeGib: 8 is invalid\. Allowed: GiB from 10/,
    ],
    ["a VPC without subnets", changed({ vpcId: "vpc-0a" }), /^ec2\.subnetIds: not set\. .* or remove ec2\.vpcId\.$/],
    [
      "subnets without a VPC",
      changed({ subnetIds: ["subnet-0a"] }),
      /^ec2\.vpcId: not set\. .* or remove ec2\.subnetIds\.$/,
    ],
    [
      "a network for a VPC that is there",
      changed({ vpcId: "vpc-0a", subnetIds: ["subnet-0a"], vpcCidr: "10.30.0.0/16" }),
      /^ec2\.vpcCidr: "10\.30\.0\.0\/16" cannot be set together with ec2\.vpcId/,
    ],
    [
      "a subnet of a VPC that is made",
      changed({}, { subnetId: "subnet-0a" }),
      /^nodes\[0\]\.host\.subnetId: "subnet-0a" requires an existing VPC/,
    ],
    [
      "private addresses in a VPC that is made",
      changed({ operatorAddress: "private" }),
      /^ec2\.operatorAddress: "private" requires an existing VPC/,
    ],
    [
      "a VPC over the pods",
      changed({ vpcCidr: "10.50.0.0/16" }),
      /^network\.podCidr: "10\.50\.0\.0\/16" overlaps ec2\.vpcCidr 10\.50\.0\.0\/16/,
    ],
    [
      "a VPC over the services",
      changed({ vpcCidr: "10.100.0.0/16" }),
      /^network\.serviceCidr: .* overlaps ec2\.vpcCidr 10\.100\.0\.0\/16/,
    ],
    [
      "a VPC over the endpoint",
      changed({ vpcCidr: "10.200.0.0/16" }),
      /^endpoint\.address: .* overlaps ec2\.vpcCidr 10\.200\.0\.0\/16/,
    ],
    [
      "a VPC in the tailnet's range",
      changed({ vpcCidr: "100.64.0.0/16" }),
      /^ec2\.vpcCidr: "100\.64\.0\.0\/16" overlaps the tailnet's range/,
    ],
    [
      "a key pair that EC2 does not take",
      changed({}, {}, { sshPrivateKey: keyPair("ecdsa").privateKey }),
      /^sshPrivateKey: it has type ecdsa-sha2-nistp256\. Allowed: an ed25519 or RSA key/,
    ],
    [
      "a bare one beside them in a lan",
      { ...lan, nodes: [...lanNodes, { name: "w2", role: "worker", host: { address: "10.20.0.99" } }] },
      /^nodes\[4\]\.host\.kind: "ssh" cannot be mixed with ec2 when nodeNetwork is lan, .* Set nodeNetwork: tailnet, or/,
    ],
    [
      "routed pods in a lan",
      { ...lan, network: { podRouting: "native" } },
      /^network\.podRouting: "native" does not work in a LAN on EC2, .* Allowed: vxlan\./,
    ],
    [
      "a port of Tailscale's in a lan",
      { ...lan, ec2: { ...ec2, openTailscalePort: true } },
      /^ec2\.openTailscalePort: true requires nodeNetwork tailnet\./,
    ],
    [
      "a lan without its network",
      { ...lan, lan: { cidr: undefined, interface: "ens5" } },
      /^lan\.cidr: not set\. Required: with nodeNetwork lan on EC2, the network of the VPC/,
    ],
    [
      "another network than that of the VPC that is made",
      { ...lan, lan: { cidr: "10.20.0.0/15" } },
      /^lan\.cidr: "10\.20\.0\.0\/15" is not the network of the VPC that the program creates\. Allowed: 10\.20\.0\.0\/16\./,
    ],
    [
      "an endpoint that is no declared address",
      { ...lan, nodes },
      /^endpoint\.address: "10\.20\.64\.10" is not the nodeIp of a control plane\. .* Set nodeIp of cp1 to it, or/,
    ],
    ...["10.20.192.1", "10.20.64.3", "10.20.127.255"].map((nodeIp): [string, Record<string, unknown>, RegExp] => [
      `the address ${nodeIp}`,
      { ...lan, nodes: lanNodes.map((node, i) => (i === 3 ? { ...node, nodeIp } : node)) },
      /^nodes\[3\]\.nodeIp: ".*" is invalid\. Allowed: an address in 10\.20\.0\.0\/18 or 10\.20\.64\.0\/18 or 10\.20\.128\.0\/18, except the/,
    ]),
    [
      "an address in a VPC that is there, without its subnet",
      { ...lan, ec2: { ...ec2, vpcId: "vpc-0a", subnetIds: ["subnet-0a"] } },
      /^nodes\[0\]\.host\.subnetId: not set\. Required: the ID of the subnet that contains nodeIp 10\.20\.64\.10\./,
    ],
    [
      "pods over the VPC in a lan",
      { ...lan, network: { podCidr: "10.20.192.0/18" } },
      /^network\.podCidr: "10\.20\.192\.0\/18" overlaps lan\.cidr/,
    ],
    ["no key", changed({}, {}, { sshPrivateKey: undefined }), /^sshPrivateKey: not set\./],
    [
      "a key that cannot be read",
      changed({}, {}, { sshPrivateKey: "-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----" }),
      /^sshPrivateKey: its format is unknown\. Allowed: an ed25519 or RSA key/,
    ],
  ];

  for (const [what, changes, line] of cases) {
    it(what, () => {
      try {
        configOf(changes);
      } catch (error) {
        expect(error).to.be.instanceOf(ConfigError);
        expect((error as ConfigError).problems).to.have.lengthOf(1);
        expect((error as ConfigError).problems[0]).to.match(line);
        return;
      }
      throw new Error("it was taken");
    });
  }

  it("are told all at once, and no key is quoted", () => {
    const { privateKey: wrong } = keyPair("ecdsa");
    const changes = changed({ vpcCidr: "10.50.0.0/16", operatorAddress: "private" }, {}, { sshPrivateKey: wrong });
    expect(() => configOf(changes))
      .to.throw(ConfigError)
      .with.property("problems")
      .that.satisfies((lines: string[]) => lines.length === 3 && !lines.join().includes(wrong.split("\n")[1]!));
  });
});
