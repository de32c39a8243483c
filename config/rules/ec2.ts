/** Rules between the keys of hosts of kind ec2. */
import { architectureOf, defaultInstanceType } from "../../components/hosts/ec2/image";
import { authorizedKey } from "../../model/ssh-key";
import type { Ec2Values } from "../schema/ec2";
import type { Ec2HostConfig } from "../../model/config";
import type { Problem } from "../../model/problem";
import type { Given } from "./rule";

interface Ec2Machine {
  host: Ec2HostConfig;
  /** `nodes[0].host` */
  key: string;
}

/** All problems of hosts of kind ec2. */
export function ec2Problems({ config, values: { ec2 }, secrets }: Given): Problem[] {
  const machines = config.nodes.flatMap(({ host }, i) =>
    host.kind === "ec2" ? [{ host, key: `nodes[${i}].host` }] : [],
  );
  return [
    ...(machines.length > 0 ? sharedProblems(machines[0]!, ec2, secrets.sshPrivateKey) : []),
    ...architectureProblems(machines, ec2),
    ...(ec2 === undefined ? [] : vpcProblems(machines, ec2)),
  ];
}

/** Requirements of every machine. */
function sharedProblems({ key }: Ec2Machine, values: Ec2Values | undefined, sshPrivateKey: string): Problem[] {
  const problems: Problem[] = [];
  if (values === undefined) {
    problems.push({ path: "ec2", allowed: `an object with region and operatorCidrs, because ${key}.kind is ec2` });
  }
  const type = authorizedKey(sshPrivateKey)?.split(" ")[0];
  if (type !== "ssh-ed25519" && type !== "ssh-rsa") {
    problems.push({
      path: "sshPrivateKey",
      wrong: type === undefined ? "its format is unknown" : `it has type ${type}`,
      allowed: "an ed25519 or RSA key, because EC2 accepts no others",
      fix: "Create one: ssh-keygen -t ed25519.",
      about: ["ssh.privateKeyFile"],
    });
  }
  return problems;
}

function architectureProblems(machines: readonly Ec2Machine[], values: Ec2Values | undefined): Problem[] {
  const all = [
    { key: "ec2", ...values },
    ...machines
      .map(({ host, key }) => ({ key, instanceType: host.instanceType, architecture: host.architecture }))
      // Reported once, at the key that sets it.
      .filter((one) => one.instanceType !== values?.instanceType || one.architecture !== values.architecture),
  ];
  return all.flatMap(({ key, instanceType, architecture }) =>
    instanceType === undefined || architecture === undefined || architectureOf(instanceType) === architecture
      ? []
      : {
          path: `${key}.instanceType`,
          got: instanceType,
          wrong: `does not have architecture ${architecture}`,
          allowed: `a type that has it, such as ${defaultInstanceType[architecture]}`,
          fix: "Choose another type, or change the architecture.",
          about: [`${key}.architecture`, "ec2.architecture", "ec2.instanceType"],
        },
  );
}

/** A VPC exists, with its subnets, or the program creates it. */
function vpcProblems(machines: readonly Ec2Machine[], values: Ec2Values): Problem[] {
  const { vpcId, subnetIds, vpcCidr, operatorAddress } = values;
  const problems: Problem[] = [];
  if ((vpcId === undefined) !== (subnetIds === undefined)) {
    const [missing, there] = vpcId === undefined ? ["vpcId", "subnetIds"] : ["subnetIds", "vpcId"];
    problems.push({
      path: `ec2.${missing}`,
      allowed: "both vpcId and subnetIds for an existing VPC, or neither",
      fix: `Set it, or remove ec2.${there}.`,
    });
  }
  if (vpcId !== undefined) {
    const wrong = "cannot be set together with ec2.vpcId, because an existing VPC has its own network";
    return vpcCidr === undefined
      ? problems
      : [...problems, { path: "ec2.vpcCidr", got: vpcCidr, wrong, fix: "Remove one of the two." }];
  }
  if (operatorAddress === "private") {
    problems.push({
      path: "ec2.operatorAddress",
      got: operatorAddress,
      wrong: "requires an existing VPC, because your machine has no route into a new one",
      fix: "Set ec2.vpcId and ec2.subnetIds, or remove it.",
      about: ["ec2.vpcId"],
    });
  }
  const inNewVpc = machines.filter(({ host }) => host.subnetId !== undefined);
  return [
    ...problems,
    ...inNewVpc.map(({ host, key }) => ({
      path: `${key}.subnetId`,
      got: host.subnetId,
      wrong: "requires an existing VPC, because the program creates the subnets of a new one",
      fix: "Remove it, or set ec2.vpcId and ec2.subnetIds.",
      about: ["ec2.vpcId"],
    })),
  ];
}
