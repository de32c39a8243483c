import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { before as prepare } from "mocha";
import { parse, parseAllDocuments } from "yaml";
import { bash } from "../unit/host/bash";
import { inLan, keyPair, onEc2 } from "../unit/components/hosts/ec2/fixtures";
import { derivedHostKey } from "../../model/ssh-key";
import { configOf, controlPlaneAuthKey } from "../unit/config/fixtures";
import { outputsOf } from "../unit/fixtures";
import {
  commandOf,
  connectionOf,
  isGuarded,
  isScript,
  nodeAddress,
  ownHostKey,
  publicAddress,
  type Registered,
  type Run,
  runProgram,
  unknown,
  variablesOf,
} from "./program";

const { privateKey, publicKey } = keyPair();
const config = onEc2(privateKey);
const names = (config.nodes as { name: string }[]).map(({ name }) => name);
const given = { vpcId: "vpc-0a", subnetIds: ["subnet-0a", "subnet-0b"], operatorAddress: "private" };

const custom = ({ resources }: Run) => resources.filter((r) => r.custom);
const ofType = (run: Run, type: string) => custom(run).filter((r) => r.type === type);
const scripts = ({ resources }: Run) => resources.filter(isScript);
/** In the order of their names. */
const instances = (run: Run) => ofType(run, "aws:ec2/instance:Instance").sort((a, b) => a.name.localeCompare(b.name));
const lastOf = (urn: string) => urn.split("::").pop()!;

function find(run: Run, name: string): Registered {
  const found = custom(run).filter((r) => r.name === name);
  expect(found, name).to.have.lengthOf(1);
  return found[0]!;
}

/** A rule of the security group as one line, with its reason. */
function rules(run: Run): Record<string, string> {
  const all = custom(run).filter(({ type }) => /:SecurityGroup(In|E)gressRule$/.test(type));
  return Object.fromEntries(
    all.map(({ type, inputs }) => {
      const { ipProtocol, fromPort, toPort, cidrIpv4, referencedSecurityGroupId, description } = inputs;
      expect(referencedSecurityGroupId === undefined).to.equal(cidrIpv4 !== undefined);
      const peer = cidrIpv4 ?? "nodes";
      const ports = fromPort === undefined ? "" : fromPort === toPort ? ` ${fromPort}` : ` ${fromPort}-${toPort}`;
      return [`${type.includes("Ingress") ? "from" : "to"} ${peer}: ${ipProtocol}${ports}`, description as string];
    }),
  );
}

describe("a stack on EC2", () => {
  let run: Run;
  prepare(async () => {
    run = await runProgram({ config });
    expect(run.errors).to.deep.equal([]);
  });

  it("is these resources of AWS", () => {
    const aws = custom(run).filter(({ type }) => type.startsWith("aws:") || type === "pulumi:providers:aws");
    expect(aws.map(({ type, name }) => `${type.split(":").pop()} ${name}`)).to.have.members([
      "aws ec2-aws",
      ...[
        "Vpc ec2-vpc",
        "InternetGateway ec2-gateway",
        "RouteTable ec2-routes",
        "Route ec2-internet",
        "KeyPair ec2-key",
      ],
      ...[1, 2, 3].flatMap((i) => [`Subnet ec2-subnet-${i}`, `RouteTableAssociation ec2-subnet-${i}-routes`]),
      "SecurityGroup ec2-nodes",
      ...["ssh-198.51.100.7-32", "api-198.51.100.7-32", "tailscale"].map(
        (name) => `SecurityGroupIngressRule ec2-${name}`,
      ),
      "SecurityGroupEgressRule ec2-out",
      ...names.flatMap((name) => [
        `Instance ${name}-instance`,
        `Eip ${name}-address`,
        `EipAssociation ${name}-address-of`,
      ]),
    ]);
  });

  it("is, on the hosts, what a stack of bare ones is, but for their host keys and their end", () => {
    const stages = [
      ...names.flatMap((name) =>
        ["first-boot", "host-key", "facts", "tailnet", "runtime", "upgrade"].map((s) => `${name}-${s}`),
      ),
      ...["cp1", "cp2", "cp3"].flatMap((name) => [`${name}-control-plane`, `${name}-encryption`]),
      ...["workers-admission", "w1-join", "cluster-authorities", "cluster-peers", "cluster-dead-members"],
      ...["cluster-finalize", "cluster-checks"],
    ];
    expect(scripts(run).map(({ name }) => name)).to.have.members(stages);
    const local = ofType(run, "command:local:Command").map(({ name }) => name);
    expect(local).to.have.members(names.map((name) => `${name}-tailnet`));
  });

  it("is in the region of the config, all of it", () => {
    expect(find(run, "ec2-aws").inputs).to.include({ region: "eu-central-1" });
    for (const { name, provider } of custom(run).filter(({ type }) => type.startsWith("aws:"))) {
      expect(provider, name).to.match(/::ec2-aws::/);
    }
  });

  it("comes up again as it is: the same config gives the same inputs", async () => {
    const inputs = (of: Run) => Object.fromEntries(custom(of).map((r) => [r.name, r.inputs]));
    expect(inputs(await runProgram({ config }))).to.deep.equal(inputs(run));
  });

  describe("the security group", () => {
    const operator = {
      "from 198.51.100.7/32: tcp 22": "SSH from the operator: every step on a host runs over it",
      "from 198.51.100.7/32: tcp 6443": "API from the operator: Cilium is installed through it (operatorEndpoint)",
    };
    const always = {
      "from nodes: udp 41641":
        "Tailscale between nodes: direct paths inside of the VPC; all else of the cluster is within them",
      "to 0.0.0.0/0: -1":
        "Out: packages, images, and the server, relays and peers of the tailnet are at addresses that cannot be listed",
    };

    it("has these rules, each with its reason, and none is open to the world", () => {
      expect(rules(run)).to.deep.equal({ ...operator, ...always });
    });

    it("is open to the world for 41641/udp where that is asked for, and for nothing else", async () => {
      const open = await runProgram({
        config: { ...config, ec2: { ...(config.ec2 as object), openTailscalePort: true } },
      });
      expect(rules(open)).to.deep.equal({
        ...operator,
        ...always,
        "from 0.0.0.0/0: udp 41641":
          "Tailscale from anywhere (openTailscalePort): direct paths from peers elsewhere; it answers to keys only",
      });
    });

    it("has no rule for the API where the operator's machine is in the tailnet", async () => {
      const inside = await runProgram({ config: { ...config, operatorEndpoint: "endpoint" } });
      expect(Object.keys(rules(inside))).to.have.members(["from 198.51.100.7/32: tcp 22", ...Object.keys(always)]);
    });

    it("is the only one of each instance, and its rules have no other group", () => {
      for (const { inputs, name } of instances(run)) {
        expect(inputs.vpcSecurityGroupIds, name).to.deep.equal(["ec2-nodes-id"]);
        expect(inputs, name).to.not.have.property("securityGroups");
      }
      const { ingress, egress } = find(run, "ec2-nodes").inputs;
      expect([ingress, egress]).to.deep.equal([undefined, undefined]);
    });
  });

  describe("each instance", () => {
    it("is of the newest image of the distribution's own, by owner and architecture", () => {
      const amis = instances(run).map(({ inputs }) => inputs.ami);
      expect(amis).to.deep.equal([
        ...["amd64", "amd64", "amd64", "arm64"].map((a) => `newest of debian-13-${a}-* by 136693071363`),
      ]);
      expect(instances(run).map(({ inputs }) => inputs.instanceType)).to.deep.equal([
        ...["t3.medium", "t3.medium", "t3.medium"],
        "m7g.large",
      ]);
    });

    it("has an encrypted gp3 root volume, and answers of its metadata that reach no pod", () => {
      instances(run).forEach(({ inputs, name }, i) => {
        expect(inputs.rootBlockDevice, name).to.deep.equal({
          volumeType: "gp3",
          volumeSize: i === 3 ? 50 : 20,
          encrypted: true,
        });
        expect(inputs.metadataOptions, name).to.deep.equal({
          httpEndpoint: "enabled",
          httpTokens: "required",
          httpPutResponseHopLimit: 1,
        });
      });
    });

    it("is in the next zone of its role", () => {
      expect(instances(run).map(({ inputs }) => inputs.subnetId)).to.deep.equal(
        [1, 2, 3, 1].map((i) => `ec2-subnet-${i}-id`),
      );
      const subnets = [1, 2, 3].map((i) => find(run, `ec2-subnet-${i}`).inputs);
      expect(subnets.map(({ availabilityZone }) => availabilityZone)).to.deep.equal(
        ["a", "b", "c"].map((zone) => `eu-central-1${zone}`),
      );
      expect(subnets.map(({ cidrBlock }) => cidrBlock)).to.deep.equal([
        "10.20.0.0/18",
        "10.20.64.0/18",
        "10.20.128.0/18",
      ]);
    });

    it("lets in the key of the config", () => {
      const key = find(run, "ec2-key");
      expect(key.inputs).to.deep.equal({ publicKey });
      expect(key.secretInputs).to.deep.equal([]);
      for (const { inputs, name } of instances(run)) expect(inputs.keyName, name).to.equal("ec2-key-made-up");
    });

    it("is told at its first boot a host key that no other has, and that nobody reads in the state", () => {
      const keys = instances(run).map(({ inputs, secretInputs, additionalSecretOutputs, name }) => {
        expect(secretInputs, name).to.deep.equal(["userData"]);
        expect(additionalSecretOutputs, name).to.include("userData");
        const { ssh_keys, ...rest } = parse(inputs.userData as string) as { ssh_keys: Record<string, string> };
        expect(rest, name).to.deep.equal({ ssh_deletekeys: true, ssh_pwauth: false, disable_root: true });
        return ssh_keys.ecdsa_public;
      });
      expect(new Set(keys).size).to.equal(4);
      expect(JSON.stringify(instances(run))).to.not.include(privateKey.split("\n")[1]);
    });

    it("stays as it is when a newer image or another default comes, and goes before the next one of its name comes", () => {
      for (const { ignoreChanges, deleteBeforeReplace, replacementTrigger, name } of instances(run)) {
        expect(ignoreChanges, name).to.have.members([
          ...["ami", "instanceType", "subnetId", "privateIp", "keyName", "userData", "rootBlockDevice"],
        ]);
        expect(deleteBeforeReplace, name).to.equal(true);
        expect(replacementTrigger, name).to.equal("");
      }
    });

    it("boots when it has a way out and its rules", () => {
      for (const { dependencies, name } of instances(run)) {
        expect(dependencies.map(lastOf), name).to.include.members([
          ...["ec2-internet", "ec2-out", "ec2-ssh-198.51.100.7-32", "ec2-tailscale", "ec2-subnet-2-routes"],
        ]);
      }
    });
  });

  describe("each host", () => {
    const firstKey = (node: string) =>
      derivedHostKey(`${privateKey.trim()}\n`, JSON.stringify(["tailkube", "test", "tailkube", node, ""]));

    it("is never spoken to blindly: first by the key that it was given, then by the one that it has made", () => {
      for (const script of scripts(run)) {
        const { TK_STAGE, TK_NODE } = variablesOf(script.inputs.stdin as string);
        const expected = TK_STAGE === "first-boot" ? firstKey(TK_NODE!).publicKey : ownHostKey;
        expect(connectionOf(script), script.name).to.include({
          hostKey: expected,
          user: "admin",
          port: 22,
          ...(isGuarded(script) ? {} : { dialErrorLimit: 40, privateKey: `${privateKey.trim()}\n` }),
        });
        expect(connectionOf(script).host, script.name).to.equal(publicAddress(names.indexOf(TK_NODE!)));
      }
    });

    it("is asked for its key once: what the first key is used for changes no more", () => {
      for (const name of names) {
        const boot = find(run, `${name}-first-boot`);
        expect(boot.ignoreChanges).to.have.members([
          "connection",
          "create",
          "stdin",
          "logging",
          "addPreviousOutputInEnv",
        ]);
        expect(boot.inputs.triggers).to.deep.equal(find(run, `${name}-tailnet`).inputs.triggers);
      }
    });

    it("takes with it what is on it, but for what is the cluster's", () => {
      const lasting = (name: string) =>
        /-(upgrade|encryption)$/.test(name) || ["cluster-authorities", "cluster-dead-members"].includes(name);
      for (const script of scripts(run)) {
        const node = variablesOf(script.inputs.stdin as string).TK_NODE!;
        const expected = lasting(script.name) ? "" : `${node}-instance`;
        expect(script.deletedWith && lastOf(script.deletedWith), script.name).to.equal(expected);
        expect(script.inputs.triggers === undefined, script.name).to.equal(lasting(script.name));
        expect(script.inputs, script.name).to.not.have.any.keys(
          "delete",
          ...(isGuarded(script) ? [] : ["environment"]),
        );
      }
    });

    it("is worked on by sudo, in bounded time, and says nothing but its result", () => {
      for (const { name, inputs } of scripts(run)) {
        expect(commandOf({ inputs }), name).to.match(
          /^(sh -c 'if sudo -n true; then exec )?sudo -n timeout --kill-after=10 \d+ bash -s -- apply/,
        );
        expect(inputs, name).to.include({ logging: "none", addPreviousOutputInEnv: false });
      }
    });

    it("runs bash that is whole, with every variable that it reads", () => {
      for (const stage of ["first-boot", "host-key"]) {
        const text = find(run, `cp1-${stage}`).inputs.stdin as string;
        const { status, stderr } = bash(`set -n\n${text}`, "apply");
        expect({ status, stderr }, stage).to.deep.equal({ status: 0, stderr: "" });
        const code = text.slice(text.indexOf("\n# shellcheck shell=bash\n")).replace(/^\s*#.*$/gm, "");
        const set = [...text.matchAll(/^(TK_[A-Z0-9_]+)=/gm)].map((match) => match[1]);
        const read = [...code.matchAll(/\$\{?(TK_[A-Z0-9_]+)/g)].map((match) => match[1]);
        expect(
          read.filter((name) => !set.includes(name) && name !== "TK_LOCK_SECONDS"),
          stage,
        ).to.deep.equal([]);
      }
    });

    it("is in the API's certificate by its address, and in the outputs", () => {
      const document = variablesOf(find(run, "cp2-control-plane").inputs.stdin as string).TK_INIT_DOCUMENT!;
      const cluster = parseAllDocuments(document)[1]!.toJS() as { apiServer: { certSANs: string[] } };
      expect(cluster.apiServer.certSANs).to.deep.equal(["10.200.0.1", publicAddress(1)]);
      expect(run.outputs.nodes).to.deep.equal(
        names.map((name, i) => ({
          name,
          role: i === 3 ? "worker" : "control-plane",
          address: nodeAddress(i),
          host: publicAddress(i),
          deviceId: `n${i}CNTRL`,
        })),
      );
      expect(find(run, "cilium-kubernetes").inputs.kubeconfig).to.include(`server: https://${publicAddress(0)}:6443`);
    });
  });

  it("that is replaced is another machine: its scripts run anew, and nothing changes on the others", async () => {
    const renewed = await runProgram({
      config: {
        ...config,
        nodes: (config.nodes as { name: string; host: object }[]).map((node) =>
          node.name === "cp2" ? { ...node, host: { ...node.host, identity: "2" } } : node,
        ),
      },
    });
    expect(find(renewed, "cp2-instance").replacementTrigger).to.equal("2");
    // The mocks give the new instance the old ID, so what is left is what the config alone changes.
    const changed = custom(run).filter(
      ({ name, inputs }) => JSON.stringify(find(renewed, name).inputs) !== JSON.stringify(inputs),
    );
    expect(changed.map(({ name }) => name)).to.have.members(["cp2-instance", "cp2-first-boot"]);
    expect(Object.keys(find(renewed, "cp2-instance").inputs).filter((key) => key !== "userData")).to.satisfy(
      (keys: string[]) =>
        keys.every(
          (key) =>
            JSON.stringify(find(renewed, "cp2-instance").inputs[key]) ===
            JSON.stringify(find(run, "cp2-instance").inputs[key]),
        ),
    );
  });
});

describe("a preview of a stack on EC2 that is not there yet", () => {
  it("asks for the same resources, and waits for nothing that nobody knows", async () => {
    const outline = (run: Run) =>
      run.resources.map(({ type, name, parent }) => `${type} ${name} below ${parent}`).sort();
    const preview = await runProgram({ config, preview: true });
    expect(preview.errors).to.deep.equal([]);
    expect(outline(preview)).to.deep.equal(outline(await runProgram({ config })));
    for (const script of scripts(preview)) {
      if (isGuarded(script)) expect(connectionOf(script).host, script.name).to.equal(unknown);
      else expect(script.inputs.connection, script.name).to.equal(unknown);
    }
    expect(instances(preview).map(({ inputs }) => (inputs.ami as string).slice(0, 9))).to.deep.equal(
      names.map(() => "newest of"),
    );
  });

  it("is that of the example, too", async () => {
    const file = join(__dirname, "../../examples/Pulumi.ec2.yaml");
    const { config: values } = parse(readFileSync(file, "utf8")) as { config: Record<string, unknown> };
    const example = Object.fromEntries(
      Object.entries(values).map(([key, value]) => [key.replace(/^tailkube:/, ""), value]),
    );
    const run = await runProgram({
      config: { ...example, sshPrivateKey: privateKey, tailnetControlPlaneAuthKey: controlPlaneAuthKey },
      preview: true,
    });
    expect(run.errors).to.deep.equal([]);
    expect(instances(run).map(({ inputs }) => [inputs.instanceType, inputs.ami])).to.deep.equal([
      ...[1, 2, 3].map(() => ["t4g.medium", "newest of debian-13-arm64-* by 136693071363"]),
      ["m7g.large", "newest of debian-13-arm64-* by 136693071363"],
      ["m7i.large", "newest of ubuntu/images/hvm-ssd-gp3/ubuntu-resolute-26.04-amd64-server-* by 099720109477"],
    ]);
    expect(Object.keys(rules(run))).to.include("from 0.0.0.0/0: udp 41641");
  });
});

describe("a plan that is refused", () => {
  it("leaves AWS as it is: no machine and nothing of their network is made, replaced or asked for its key", async () => {
    const lost = (config.nodes as { host: object }[]).map((node) => ({
      ...node,
      host: { ...node.host, identity: "2" },
    }));
    const last = outputsOf(configOf(config));
    for (const preview of [true, false]) {
      const run = await runProgram({ config: { ...config, nodes: lost }, last, preview });
      expect(run.errors.map(({ message }) => message)).to.have.lengthOf(1);
      expect(run.errors[0]!.message).to.include("nodes: this run would replace every control plane (cp1, cp2, cp3)");
      expect(custom(run).map(({ name }) => name)).to.deep.equal([]);
    }
  });
});

describe("a lan on EC2", () => {
  const lan = { ...config, ...inLan(config) };
  const addresses = ["10.20.64.10", "10.20.64.11", "10.20.128.12", "10.20.0.13"];
  const facts = Object.fromEntries(
    names.map((name, i) => [name, { interfaces: [{ name: "ens5", addresses: [`${addresses[i]}/18`], mtu: 9001 }] }]),
  );

  it("has no tailnet, and lets through what the nodes have to say to each other, by the ports of the config", async () => {
    const run = await runProgram({
      config: { ...lan, network: { tunnelPort: 8473 }, endpoint: { ...(lan.endpoint as object), apiServerPort: 7443 } },
      facts,
    });
    expect(run.errors).to.deep.equal([]);
    expect(run.resources.filter(({ type, name }) => /tailnet|tailscale/.test(`${type} ${name}`))).to.deep.equal([]);
    expect(Object.keys(rules(run))).to.have.members([
      ...["from 198.51.100.7/32: tcp 22", "from 198.51.100.7/32: tcp 7443", "to 0.0.0.0/0: -1"],
      ...["tcp 7443", "tcp 2379-2380", "tcp 10250", "tcp 4240", "udp 8473"].map((port) => `from nodes: ${port}`),
    ]);
    expect(find(run, "cilium-release").inputs.values).to.deep.include({
      ...{ devices: "ens5", MTU: 9001, routingMode: "tunnel", tunnelPort: 8473, k8sServiceHost: "10.20.64.10" },
    });
  });

  it("gives a machine the address that is declared, in the subnet that has it, and takes the others as they come", async () => {
    const run = await runProgram({ config: lan, facts });
    expect(instances(run).map(({ inputs }) => [inputs.privateIp, inputs.subnetId])).to.deep.equal([
      ["10.20.64.10", "ec2-subnet-2-id"],
      [undefined, "ec2-subnet-2-id"],
      [undefined, "ec2-subnet-3-id"],
      [undefined, "ec2-subnet-1-id"],
    ]);
    expect(names.map((name) => variablesOf(find(run, `${name}-lan`).inputs.stdin as string).TK_ADDRESS)).to.deep.equal(
      addresses,
    );
    expect(lastOf(find(run, "w1-lan").deletedWith)).to.equal("w1-instance");
  });

  it("lets a balancer of the VPC reach the API, where the endpoint is one", async () => {
    const run = await runProgram({ config: { ...lan, endpoint: { address: "api.example.com" } }, facts });
    expect(run.errors).to.deep.equal([]);
    expect(rules(run)["from 10.20.0.0/16: tcp 6443"]).to.equal(
      "API from the balancer that is the endpoint, and its health checks",
    );
  });
});

describe("other stacks on EC2", () => {
  it("in a VPC that is there: its subnets in turns, private addresses, and nothing is made but what is the cluster's", async () => {
    const nodes = (config.nodes as { host: object }[]).map((node, i) =>
      i === 3 ? { ...node, host: { ...node.host, subnetId: "subnet-0c" } } : node,
    );
    const run = await runProgram({ config: { ...config, nodes, ec2: { ...(config.ec2 as object), ...given } } });
    expect(run.errors).to.deep.equal([]);
    const types = new Set(custom(run).map(({ type }) => type.split(":").pop()));
    expect([...types])
      .to.not.include.members(["Vpc"])
      .and.not.include.members(["Eip"]);
    for (const absent of ["Vpc", "Subnet", "InternetGateway", "Eip", "EipAssociation"])
      expect(types).to.not.include(absent);
    expect(find(run, "ec2-nodes").inputs).to.include({ vpcId: "vpc-0a" });
    expect(instances(run).map(({ inputs }) => inputs.subnetId)).to.deep.equal([
      ...["subnet-0a", "subnet-0b", "subnet-0a"],
      "subnet-0c",
    ]);
    expect(connectionOf(find(run, "cp2-facts")).host).to.equal("10.20.0.2");
  });

  it("beside bare hosts: each has its own way, and nobody asks which", async () => {
    const bare = { name: "w2", role: "worker", host: { address: "192.0.2.22" } };
    const run = await runProgram({ config: { ...config, nodes: [...(config.nodes as object[]), bare] } });
    expect(run.errors).to.deep.equal([]);
    expect(ofType(run, "command:local:Command").map(({ name }) => name)).to.have.members([
      ...["w2-host-key", "w2-cleanup", "cluster-online"],
      ...[...names, "w2"].map((name) => `${name}-tailnet`),
    ]);
    expect(find(run, "w2-tailnet").deletedWith).to.equal("");
    expect(lastOf(find(run, "w1-tailnet").deletedWith)).to.equal("w1-instance");
    expect(instances(run).map(({ name }) => name)).to.not.include("w2-instance");
    expect(variablesOf(find(run, "workers-admission").inputs.stdin as string).TK_JOINERS).to.match(/^w1=\w+ w2=\w+$/);
  });
});
