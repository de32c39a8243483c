/** Keys of the config that once stood beside one another, without groups: the last run's outputs may have them, and a user's file. */

/** The path that each has now. */
export const renamedKeys: Readonly<Record<string, string>> = {
  nodeCidr: "lan.cidr",
  nodeInterface: "lan.interface",
  checksumOffload: "lan.checksumOffload",
  // The only one whose name is that of a group now: it is the old one where it holds a text.
  endpoint: "endpoint.address",
  endpointPort: "endpoint.port",
  apiServerPort: "endpoint.apiServerPort",
  podCidr: "network.podCidr",
  serviceCidr: "network.serviceCidr",
  podRouting: "network.podRouting",
  tunnelPort: "network.tunnelPort",
  kubernetesVersion: "kubernetes.version",
  containerdVersion: "kubernetes.containerdVersion",
  certificateRenewal: "kubernetes.certificateRenewal",
  drainSeconds: "kubernetes.drainSeconds",
  restoreSnapshot: "kubernetes.restoreSnapshot",
  ciliumVersion: "cilium.version",
  ciliumChart: "cilium.chart",
  ciliumValues: "cilium.values",
  tailnetLoginServer: "tailnet.loginServer",
  tailnetTag: "tailnet.tag",
  tailnetControlPlaneTag: "tailnet.controlPlaneTag",
  tailnetMtu: "tailnet.mtu",
  tailnetAuthKeyFile: "tailnet.authKeyFile",
  tailnetControlPlaneAuthKeyFile: "tailnet.controlPlaneAuthKeyFile",
  tailnetApi: "tailnet.api",
  tailnetApiKeyFile: "tailnet.apiKeyFile",
  tailnetOauthClientId: "tailnet.oauthClientId",
  tailnetOauthClientSecretFile: "tailnet.oauthClientSecretFile",
  tailnetRouteApproval: "tailnet.routeApproval",
  tailnetPolicyFile: "tailnet.policyFile",
  tailscaleVersion: "tailnet.tailscaleVersion",
  sshUser: "ssh.user",
  sshPort: "ssh.port",
  sshPrivateKeyFile: "ssh.privateKeyFile",
  registryCredentialsFile: "mirrors.registryCredentialsFile",
};

/** A record by config keys as a run of any program has left it, by today's keys. */
export function byTodaysKeys<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [renamedKeys[key] ?? key, value]));
}
