/** Config keys from before there were groups. The outputs of the last run, or a user's file, may have them. */

/** The new path of each key. */
export const renamedKeys: Readonly<Record<string, string>> = {
  nodeCidr: "lan.cidr",
  nodeInterface: "lan.interface",
  checksumOffload: "lan.checksumOffload",
  // Today this is the name of a group; it is the old key if it holds a text.
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

/** A record by config keys from a run of any version, by today's keys. */
export function byTodaysKeys<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [renamedKeys[key] ?? key, value]));
}
