/** kubeconfig files: whom they trust, and by which address they reach the API server. */
import { createHash, X509Certificate } from "node:crypto";
import { parse, stringify } from "yaml";
import type { ClusterConfig } from "../config/schema";

interface Kubeconfig {
  clusters: { name: string; cluster: { server: string; "certificate-authority-data": string } }[];
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
 * The URL by which the operator's machine reaches the API server.
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
 * What a joiner pins the cluster's certificate authority by: `sha256:` and the hex SHA-256 of the CA certificate's
 * SubjectPublicKeyInfo, as in https://kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-join.
 *
 * @param certificate PEM. Throws if it is none.
 */
export function caCertHash(certificate: string): string {
  const key = new X509Certificate(certificate).publicKey.export({ type: "spki", format: "der" });
  return `sha256:${createHash("sha256").update(key).digest("hex")}`;
}
