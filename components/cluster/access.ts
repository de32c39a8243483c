/** The output that the command `tailkube` works from. */
import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../model/config";
import type { AccessOutput, NodeAccess } from "../../model/outputs";
import { loginText } from "../hosts/operator-script";
import type { Member } from "../kubernetes/member";

/** How a host is reached, with the secrets for it in `login`. */
type Reached = Omit<NodeAccess, "login"> & { login: string };

export interface AccessArgs {
  config: ClusterConfig;
  members: readonly Member[];
  kubeconfig: pulumi.Output<string>;
  directKubeconfig: pulumi.Output<string>;
}

export function accessOutput({
  config,
  members,
  kubeconfig,
  directKubeconfig,
}: AccessArgs): pulumi.Output<AccessOutput> {
  const { clusterName, nodeNetwork, endpoint, apiServerPort, kubernetesVersion } = config;
  const all = pulumi.all([pulumi.all(members.map(reached)), kubeconfig, directKubeconfig]);
  return pulumi.secret(
    all.apply(([nodes, throughEndpoint, direct]) => ({
      clusterName,
      nodeNetwork,
      endpoint,
      apiServerPort,
      kubernetesVersion,
      kubeconfig: throughEndpoint,
      directKubeconfig: direct,
      ...withLogins(nodes),
    })),
  );
}

function reached({ node, address, host }: Member) {
  const { openssh } = host;
  return pulumi
    .all([address, host.connection, openssh?.way, openssh?.secretLines])
    .apply(([nodeAddress, connection, way, secretLines]): Reached => ({
      name: node.name,
      role: node.role,
      address: nodeAddress,
      host: connection.host,
      port: connection.port ?? 22,
      user: host.user,
      hostKey: connection.hostKey ?? "",
      ...(way !== undefined && { way }),
      hasSudoPassword: openssh?.hasSudoPassword === true,
      login: loginText(secretLines !== undefined ? { secretLines } : { privateKey: connection.privateKey ?? "" }),
    }));
}

/** Most hosts have the same key: each text is there once. */
export function withLogins(all: readonly Reached[]): Pick<AccessOutput, "nodes" | "logins"> {
  const logins = [...new Set(all.map(({ login }) => login))];
  return { nodes: all.map((node) => ({ ...node, login: logins.indexOf(node.login) })), logins };
}
