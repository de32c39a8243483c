import { utils } from "ssh2";

/** An SSH key pair that opens nothing; its public half as in authorized_keys. */
export function keyPair(type: "ed25519" | "rsa" | "ecdsa" = "ed25519"): { privateKey: string; publicKey: string } {
  const options = { rsa: { bits: 2048 }, ecdsa: { bits: 256 }, ed25519: {} }[type];
  for (;;) {
    const made = utils.generateKeyPairSync(type as "rsa", options as { bits: number });
    // Some 3 of 1000 of the library's ed25519 keys are malformed, for OpenSSH too.
    if (!(utils.parseKey(made.private) instanceof Error)) return { privateKey: made.private, publicKey: made.public };
  }
}

/** Changes to `onEc2`: the VPC is the node network, and the endpoint is the address of the first control plane. */
export const inLan = ({ nodes }: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> => ({
  nodes: (nodes as object[]).map((node, i) => (i === 0 ? { ...node, nodeIp: "10.20.64.10" } : node)),
  nodeNetwork: "lan",
  lan: { cidr: "10.20.0.0/16" },
  endpoint: { address: "10.20.64.10" },
  tailnetAuthKey: undefined,
});

/** Three control planes and a worker on EC2, in a VPC that is made. */
export const onEc2 = (sshPrivateKey: string): Readonly<Record<string, unknown>> => ({
  nodes: [
    ...["cp1", "cp2", "cp3"].map((name) => ({ name, role: "control-plane", host: { kind: "ec2" } })),
    { name: "w1", role: "worker", host: { kind: "ec2", instanceType: "m7g.large", rootVolumeGib: 50 } },
  ],
  ec2: { region: "eu-central-1", operatorCidrs: ["198.51.100.7/32"] },
  sshPrivateKey,
});
