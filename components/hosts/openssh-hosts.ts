/** How OpenSSH's client reaches the hosts of a cluster. */
import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, NodeConfig, SshHostConfig } from "../../model/config";
import type { StackConfig } from "../../model/stack-config";
import { base64, secretLines, type SshSecrets, sudoPasswordOf, usesOpenSsh, wayText } from "./openssh";
import type { OpenSshAccess } from "./script-target";

export interface OpenSshHosts {
  access(node: NodeConfig, address: pulumi.Output<string>, hostKey: pulumi.Output<string> | undefined): OpenSshAccess;
  /** ssh's configuration for a host, in base64. */
  encodedWay(node: NodeConfig, address: pulumi.Output<string>, hostKey: pulumi.Output<string>): pulumi.Output<string>;
  /** What stdin begins with for the ways to some hosts, with sudo's password on `logIn`. Secret. */
  secretLines(nodes: readonly NodeConfig[], logIn?: NodeConfig): pulumi.Output<string>;
}

/** "ADDRESS:PORT,TYPE,KEY" of a bare host, with its host key, for host/operator/answers.sh; with OpenSSH's client, ",WAY" in base64 after it. */
export function shownHost(
  node: NodeConfig,
  address: pulumi.Output<string>,
  hostKey: pulumi.Output<string>,
  openssh: OpenSshHosts | undefined,
): pulumi.Output<string> {
  const { port } = node.host as SshHostConfig;
  return pulumi
    .all([address, hostKey, openssh?.encodedWay(node, address, hostKey)])
    .apply(([to, key, way]) =>
      [`${to}:${port}`, ...key.split(" ").slice(0, 2), ...(way === undefined ? [] : [way])].join(","),
    );
}

/** Undefined if the provider's own SSH reaches them. */
export function openSshHosts(
  config: Pick<ClusterConfig, "ssh">,
  secrets: StackConfig["secrets"],
): OpenSshHosts | undefined {
  if (!usesOpenSsh(config)) return undefined;
  const agent = config.ssh.agent === true;
  const way = (node: NodeConfig, address: pulumi.Output<string>, hostKey: pulumi.Output<string> | undefined) =>
    pulumi
      .all([address, hostKey])
      .apply(([to, key]) => wayText({ host: node.host as SshHostConfig, address: to, hostKey: key, agent }));
  const lines = (nodes: readonly NodeConfig[], logIn?: NodeConfig) => {
    const ways = nodes.map(({ host }) => ({ host: host as SshHostConfig, agent }));
    return pulumi.secret(secretsOf(secrets, logIn).apply((all) => secretLines(ways, all)));
  };
  return {
    access: (node, address, hostKey) => ({
      way: way(node, address, hostKey),
      secretLines: lines([node], node),
      hasSudoPassword: (node.host as SshHostConfig).sudoPassword === true,
    }),
    encodedWay: (node, address, hostKey) => way(node, address, hostKey).apply(base64),
    secretLines: lines,
  };
}

function secretsOf(secrets: StackConfig["secrets"], logIn: NodeConfig | undefined): pulumi.Output<SshSecrets> {
  const { sshPrivateKey, sshKeyFiles, sshKeyPassphrase, sudoPassword, sudoPasswords } = secrets;
  return pulumi
    .all([sshPrivateKey, sshKeyFiles, sshKeyPassphrase, sudoPassword, sudoPasswords])
    .apply(([privateKey, keyFiles, passphrase, forAll, forNodes]) => ({
      privateKey,
      keyFiles: keyFiles ?? {},
      passphrase,
      sudoPassword: logIn && sudoPasswordOf({ name: logIn.name, user: logIn.host.user }, forAll, forNodes),
    }));
}
