/**
 * A control plane as kubeadm alone makes it, for what the hardening is measured by: the arguments of kubeadm 1.37's
 * cmd/kubeadm/app/phases/controlplane/manifests.go and phases/etcd/local.go, the modes that it writes with, and the
 * kubelet's defaults with kubeadm's own (componentconfigs/kubelet.go). The lab compares the arguments with a real one's.
 */
import type { Observed } from "./cis";

const pki = "/etc/kubernetes/pki";
const conf = (name: string) => `/etc/kubernetes/${name}.conf`;

export const plain: Observed = {
  arguments: {
    "kube-apiserver": {
      "advertise-address": "100.64.0.1",
      "allow-privileged": "true",
      "authorization-mode": "Node,RBAC",
      "client-ca-file": `${pki}/ca.crt`,
      "enable-admission-plugins": "NodeRestriction",
      "enable-bootstrap-token-auth": "true",
      "etcd-cafile": `${pki}/etcd/ca.crt`,
      "etcd-certfile": `${pki}/apiserver-etcd-client.crt`,
      "etcd-keyfile": `${pki}/apiserver-etcd-client.key`,
      "etcd-servers": "https://127.0.0.1:2379",
      "kubelet-client-certificate": `${pki}/apiserver-kubelet-client.crt`,
      "kubelet-client-key": `${pki}/apiserver-kubelet-client.key`,
      "kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
      "proxy-client-cert-file": `${pki}/front-proxy-client.crt`,
      "proxy-client-key-file": `${pki}/front-proxy-client.key`,
      "requestheader-allowed-names": "front-proxy-client",
      "requestheader-client-ca-file": `${pki}/front-proxy-ca.crt`,
      "requestheader-extra-headers-prefix": "X-Remote-Extra-",
      "requestheader-group-headers": "X-Remote-Group",
      "requestheader-username-headers": "X-Remote-User",
      "secure-port": "6443",
      "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
      "service-account-key-file": `${pki}/sa.pub`,
      "service-account-signing-key-file": `${pki}/sa.key`,
      "service-cluster-ip-range": "10.96.0.0/12",
      "tls-cert-file": `${pki}/apiserver.crt`,
      "tls-private-key-file": `${pki}/apiserver.key`,
    },
    "kube-controller-manager": {
      "allocate-node-cidrs": "true",
      "authentication-kubeconfig": conf("controller-manager"),
      "authorization-kubeconfig": conf("controller-manager"),
      "bind-address": "127.0.0.1",
      "client-ca-file": `${pki}/ca.crt`,
      "cluster-cidr": "10.50.0.0/16",
      "cluster-name": "tailkube",
      "cluster-signing-cert-file": `${pki}/ca.crt`,
      "cluster-signing-key-file": `${pki}/ca.key`,
      controllers: "*,bootstrapsigner,tokencleaner",
      kubeconfig: conf("controller-manager"),
      "leader-elect": "true",
      "requestheader-client-ca-file": `${pki}/front-proxy-ca.crt`,
      "root-ca-file": `${pki}/ca.crt`,
      "service-account-private-key-file": `${pki}/sa.key`,
      "service-cluster-ip-range": "10.96.0.0/12",
      "use-service-account-credentials": "true",
    },
    "kube-scheduler": {
      "authentication-kubeconfig": conf("scheduler"),
      "authorization-kubeconfig": conf("scheduler"),
      "bind-address": "127.0.0.1",
      kubeconfig: conf("scheduler"),
      "leader-elect": "true",
    },
    etcd: {
      "cert-file": `${pki}/etcd/server.crt`,
      "client-cert-auth": "true",
      "peer-cert-file": `${pki}/etcd/peer.crt`,
      "peer-client-cert-auth": "true",
      "trusted-ca-file": `${pki}/etcd/ca.crt`,
    },
  },
  files: {
    ...Object.fromEntries(
      ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"].map((name) => [
        `/etc/kubernetes/manifests/${name}.yaml`,
        "600 root:root",
      ]),
    ),
    // Cilium's own mode (daemon/cmd/cni/config.go).
    "/etc/cni/net.d/05-cilium.conflist": "600 root:root",
    "/var/lib/etcd": "700 root:root",
    ...Object.fromEntries(
      ["admin", "super-admin", "scheduler", "controller-manager", "kubelet"].map((name) => [
        conf(name),
        "600 root:root",
      ]),
    ),
    [`${pki}/ca.crt`]: "644 root:root",
    [`${pki}/ca.key`]: "600 root:root",
    [`${pki}/etcd/ca.key`]: "600 root:root",
    "/usr/lib/systemd/system/kubelet.service": "644 root:root",
    "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf": "644 root:root",
    "/var/lib/kubelet/config.yaml": "644 root:root",
  },
  kubelet: {
    authentication: { anonymous: { enabled: false }, x509: { clientCAFile: `${pki}/ca.crt` } },
    authorization: { mode: "Webhook" },
    eventRecordQPS: 50,
    makeIPTablesUtilChains: true,
    podPidsLimit: -1,
    rotateCertificates: true,
    streamingConnectionIdleTimeout: "4h0m0s",
  },
  // RBAC gives the group of the unauthenticated no more than /version, the health paths and cluster-info.
  anonymous: { "/api": 403, "/readyz": 200 },
  // The prefix of protobuf in etcd (apimachinery, runtime/serializer/protobuf).
  storedSecret: "k8s.",
  audit: { entries: 0, leaks: false },
  servingCertificate: false,
};
