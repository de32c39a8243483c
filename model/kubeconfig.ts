/** kubeconfig files. */
import { parse, stringify } from "yaml";
import type { ClusterConfig } from "./config";

interface Kubeconfig {
  clusters: { name: string; cluster: { server: string; "certificate-authority-data": string } }[];
  users: { user: { "client-certificate-data": string; "client-key-data": string } }[];
}

/** The API server's URL, its CA certificate, and the user's certificate and key, PEM. */
export function apiAccess(kubeconfig: string): { server: string; ca: Buffer; cert: Buffer; key: Buffer } {
  const { clusters, users } = parse(kubeconfig) as Kubeconfig;
  const [{ cluster }, { user }] = [clusters[0]!, users[0]!];
  const decode = (text: string) => Buffer.from(text, "base64");
  return {
    server: cluster.server,
    ca: decode(cluster["certificate-authority-data"]),
    cert: decode(user["client-certificate-data"]),
    key: decode(user["client-key-data"]),
  };
}

/** The same kubeconfig with another server. */
export function withServer(kubeconfig: string, server: string): string {
  const document = parse(kubeconfig) as Kubeconfig;
  return stringify({
    ...document,
    clusters: document.clusters.map(({ name, cluster }) => ({ name, cluster: { ...cluster, server } })),
  });
}

/**
 * The URL at which the operator's machine reaches the API server.
 *
 * @param hostAddress where that machine reaches the first control plane by SSH.
 * @param nodeAddress the first control plane's node IP.
 */
export function operatorServer(
  config: Pick<ClusterConfig, "endpoint" | "operatorEndpoint"> & { apiServerPort?: number },
  hostAddress: string,
  nodeAddress: string,
): string {
  const address = { host: hostAddress, tailnet: nodeAddress, endpoint: config.endpoint.address }[
    config.operatorEndpoint
  ];
  const isBalanced = config.operatorEndpoint === "endpoint" || config.apiServerPort === undefined;
  const port = isBalanced ? config.endpoint.port : config.apiServerPort;
  return `https://${address}:${port}`;
}

/**
 * A kubeconfig for a worker's join, with a token that is valid only while the worker may join, and with the CA certificate, so that the
 * worker needs no answer from the cluster before it can verify it.
 *
 * @param certificate the cluster's CA, PEM.
 * @param token a bootstrap token.
 */
export function joinKubeconfig(
  { endpoint }: Pick<ClusterConfig, "endpoint">,
  certificate: string,
  token: string,
): string {
  const name = "join";
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name,
        cluster: {
          server: `https://${endpoint.address}:${endpoint.port}`,
          "certificate-authority-data": Buffer.from(certificate).toString("base64"),
        },
      },
    ],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    "current-context": name,
  }).trimEnd();
}
