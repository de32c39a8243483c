/** Images and types of EC2 instances. */
import type { Architecture, Ec2Os } from "../../../model/config";

export interface Ec2Image {
  /** The AWS account that publishes it. */
  owner: string;
  /** Pattern of its name for an architecture; the newest image is used. */
  name: (architecture: Architecture) => string;
  /** Its login user, with sudo and no password. */
  user: string;
}

/** Canonical's image of a release such as `noble-24.04`. */
const ubuntu = (release: string): Ec2Image => ({
  owner: "099720109477",
  name: (architecture) => `ubuntu/images/hvm-ssd-gp3/ubuntu-${release}-${architecture}-server-*`,
  user: "ubuntu",
});

/**
 * The distributions' own images: https://wiki.debian.org/Cloud/AmazonEC2Image/Trixie and
 * https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/. Selected by owner, because anyone can publish an
 * image with any name.
 */
export const ec2Images: Readonly<Record<Ec2Os, Ec2Image>> = {
  debian: { owner: "136693071363", name: (architecture) => `debian-13-${architecture}-*`, user: "admin" },
  ubuntu: ubuntu("resolute-26.04"),
  "ubuntu-24.04": ubuntu("noble-24.04"),
};

/** What EC2 calls an architecture. */
export const ec2Architecture: Readonly<Record<Architecture, string>> = { amd64: "x86_64", arm64: "arm64" };

/** The smallest general types that meet the requirements of both roles with some room: 2 CPUs, 4 GiB. */
export const defaultInstanceType: Readonly<Record<Architecture, string>> = { amd64: "t3.medium", arm64: "t4g.medium" };

/**
 * The architecture of an instance type by its name: Graviton's families have a `g` right after the generation's number
 * (https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html); a1 was before that.
 */
export function architectureOf(instanceType: string): Architecture {
  return /^(a1|[a-z]+\d+g[a-z]*)[.-]/.test(instanceType) ? "arm64" : "amd64";
}
