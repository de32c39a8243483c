import { utils } from "ssh2";

/** An SSH key pair that opens nothing; its public half as in authorized_keys. */
export function keyPair(type: "ed25519" | "rsa" | "ecdsa" = "ed25519"): { privateKey: string; publicKey: string } {
  const options = { rsa: { bits: 2048 }, ecdsa: { bits: 256 }, ed25519: {} }[type];
  const { private: privateKey, public: publicKey } = utils.generateKeyPairSync(
    type as "rsa",
    options as { bits: number },
  );
  return { privateKey, publicKey };
}

/** Three control planes and a worker on EC2, in a VPC that is made. */
export const onEc2 = (sshPrivateKey: string): Readonly<Record<string, unknown>> => ({
  nodes: [
    ...["cp1", "cp2", "cp3"].map((name) => ({ name, role: "control-plane", host: { kind: "ec2" } })),
    { name: "w1", role: "worker", host: { kind: "ec2", instanceType: "m7g.large", rootVolumeGib: 50 } },
  ],
  ec2: { region: "eu-central-1", operatorCidrs: ["198.51.100.7/32"] },
  sshPrivateKey,
});
