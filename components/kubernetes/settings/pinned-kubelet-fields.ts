/** Fields of KubeletConfiguration that the cluster depends on, so that a user cannot set them. */
import { isValues, type Values } from "../../../model/merge";
import { type Pin, pin } from "./pinned-arguments";

/** Each node has a /24 of the pod network, of which Cilium uses two addresses, and the first and the last stay unused. */
const podsOfNode = 252;

const ofSecurity = (key: string) => pin("another key sets it", `Set security.${key} instead.`);

const fields: Readonly<Record<string, Pin | ((value: unknown) => Pin | undefined)>> = {
  apiVersion: pin("the program sets it"),
  kind: pin("the program sets it"),
  cgroupDriver: pin("it must be systemd, as in containerd"),
  resolvConf: pin("the program finds each host's own, and passes it as an argument, which overrides this field"),
  staticPodPath: pin("kubeadm writes the control plane's manifests there"),
  containerRuntimeEndpoint: pin("kubeadm finds containerd and sets it"),
  clusterDNS: pin("it is CoreDNS's address in network.serviceCidr"),
  clusterDomain: pin("certificates and CoreDNS have cluster.local"),
  address: pin("API servers and the endpoint's checks reach kubelets at the node IP"),
  port: pin("API servers and firewalls expect port 10250"),
  enableServer: pin("logs, exec and metrics need it"),
  healthzBindAddress: pin("the program and kubeadm ask for the kubelet's health at 127.0.0.1:10248"),
  healthzPort: pin("the program and kubeadm ask for the kubelet's health at 127.0.0.1:10248"),
  readOnlyPort: pin("it shows pods and their environment to anyone without credentials"),
  "authentication.anonymous": pin("the kubelet would answer requests without credentials"),
  "authentication.webhook": pin("API servers authenticate the kubelet's clients"),
  "authentication.x509": pin("the kubelet's clients have certificates of the cluster's CA"),
  authorization: pin("API servers decide what the kubelet's clients may do"),
  rotateCertificates: pin("kubeadm always sets it"),
  serverTLSBootstrap: ofSecurity("kubeletServingCertificates"),
  seccompDefault: ofSecurity("seccompDefault"),
  podPidsLimit: ofSecurity("podPidsLimit"),
  tlsCertFile: pin("kubelets' certificates are the cluster CA's", "Set security.kubeletServingCertificates instead."),
  tlsPrivateKeyFile: pin(
    "kubelets' certificates are the cluster CA's",
    "Set security.kubeletServingCertificates instead.",
  ),
  registerNode: pin("nodes join by registering themselves"),
  registerWithTaints: pin("another key sets it", "Set the node's taints instead."),
  podCIDR: pin("the controller manager gives each node its own"),
  maxPods: (value) =>
    typeof value === "number" && value > podsOfNode
      ? pin(`each node has the ${podsOfNode} pod addresses of its /24 of network.podCidr`, `Set ${podsOfNode} or less.`)
      : undefined,
};

/** The pinned fields among those of a user, by their paths. */
export function pinnedKubeletFields(values: Values): { path: string[]; got: unknown; pin: Pin }[] {
  return Object.entries(fields).flatMap(([name, known]) => {
    const path = name.split(".");
    const found = path.reduce<unknown>((at, part) => (isValues(at) ? at[part] : undefined), values);
    if (found === undefined) return [];
    const one = typeof known === "function" ? known(found) : known;
    return one === undefined ? [] : [{ path, got: found, pin: one }];
  });
}
