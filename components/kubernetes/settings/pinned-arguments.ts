/** Arguments of the control plane's components that the cluster depends on, so that a user cannot set them. */
import type { ClusterConfig, ExtraArgument } from "../../../model/config";
import { apiServerHardening } from "../hardening/arguments";
import type { ComponentKey } from "./components";

/** Why a value cannot be set, and what to do instead. */
export interface Pin {
  why: string;
  fix: string;
}

export type Setting = Pick<ClusterConfig, "security" | "settings" | "nodeNetwork">;

const certificates = "each control plane has its certificates and keys at kubeadm's paths";
const identity = "it must use the identity that kubeadm creates for it";
const proxy = "the API server's extensions rely on the front proxy's certificate authority";
const leader = "all control planes run one, and only one of them may act";
const member = "each control plane has one etcd member at its node IP";

/** Names for which any value conflicts. A function returns undefined if this value, or this config, allows it. */
type Pinned = Readonly<Record<string, Pin | ((value: string, config: Setting) => Pin | undefined)>>;

export const pin = (why: string, fix = "Remove it."): Pin => ({ why, fix });
const all = (names: string, one: Pin): Pinned => Object.fromEntries(names.split(" ").map((name) => [name, one]));
const lists = (value: string) => value.split(",").map((one) => one.trim());

const issuer = "https://kubernetes.default.svc.cluster.local";

const apiServer: Pinned = {
  "advertise-address": pin("each API server advertises its node IP"),
  "bind-address": pin("nodes, the endpoint and this host's own probes reach it at different addresses"),
  "secure-port": (_, { nodeNetwork }) =>
    pin(
      "nodes and the endpoint use another key's port",
      `Set ${nodeNetwork === "lan" ? "endpoint.apiServerPort" : "endpoint.port"} instead.`,
    ),
  ...all("etcd-servers etcd-cafile etcd-certfile etcd-keyfile", pin("each API server uses its own host's etcd member")),
  "etcd-prefix": pin("snapshots, restores and the encryption of Secrets expect /registry"),
  "endpoint-reconciler-type": pin("the service kubernetes must follow the control planes that run"),
  "service-cluster-ip-range": pin("the cluster's DNS and the routes use it", "Set network.serviceCidr instead."),
  ...all(
    "service-account-key-file service-account-signing-key-file",
    pin("all control planes share the key in the stack's state"),
  ),
  ...all(
    "client-ca-file tls-cert-file tls-private-key-file kubelet-client-certificate kubelet-client-key kubelet-certificate-authority",
    pin(certificates),
  ),
  ...all(
    "requestheader-client-ca-file requestheader-allowed-names requestheader-username-headers requestheader-group-headers " +
      "requestheader-uid-headers requestheader-extra-headers-prefix proxy-client-cert-file proxy-client-key-file",
    pin(proxy),
  ),
  "enable-bootstrap-token-auth": pin("workers join with bootstrap tokens"),
  "allow-privileged": pin("Cilium's pods are privileged"),
  "authorization-config": pin(
    "nodes, joins and the checks need the modes Node and RBAC",
    "Set authorization-mode instead.",
  ),
  "authorization-mode": (value) =>
    ["Node", "RBAC"].every((mode) => lists(value).includes(mode))
      ? undefined
      : pin("nodes, joins and the checks need the modes Node and RBAC", "Add both."),
  "kubelet-preferred-address-types": pin("kubelets' certificates have only the node IP and the node's name"),
  "anonymous-auth": pin(
    "the authentication file sets it, and the API server accepts only one of the two",
    "Set security.anonymousRequests instead.",
  ),
  "authentication-config": pin(
    "the program writes that file",
    "Set kubernetes.oidc and security.anonymousRequests instead.",
  ),
  ...all(
    "oidc-issuer-url oidc-client-id oidc-username-claim oidc-username-prefix oidc-groups-claim oidc-groups-prefix oidc-required-claim " +
      "oidc-ca-file oidc-signing-algs",
    pin("the API server rejects it together with an authentication file", "Set kubernetes.oidc instead."),
  ),
  ...all(
    "encryption-provider-config encryption-provider-config-automatic-reload",
    pin("the program encrypts Secrets with a key from the stack's state", "Set security.secretsEncryption instead."),
  ),
  profiling: pin("another key sets it", "Set security.profiling instead."),
  "service-account-extend-token-expiration": pin("another key sets it", "Set security.extendedTokens instead."),
  "service-account-issuer": (value, { settings }) =>
    settings?.apiServer.extraArgs.some((one) => one.name === "service-account-issuer" && one.value === issuer)
      ? undefined
      : pin(
          `tokens of running pods have the issuer ${issuer}, and would be rejected`,
          `Add that issuer as a further service-account-issuer after ${value}.`,
        ),
  "disable-admission-plugins": (value, config) => {
    const own = apiServerHardening(config).extraArgs.find(({ name }) => name === "enable-admission-plugins");
    const lost = lists(value).find((one) => lists(own?.value ?? "").includes(one));
    if (lost === undefined) return undefined;
    return lost === "NodeRestriction"
      ? pin("without NodeRestriction, a node can change any other node", "Remove NodeRestriction from it.")
      : pin(
          `${lost} is on by a key of security`,
          `Set ${lost === "EventRateLimit" ? "security.eventRateLimit: false" : "security.serviceExternalIPs: true"} instead.`,
        );
  },
};

const controllerManager: Pinned = {
  ...all("kubeconfig authentication-kubeconfig authorization-kubeconfig", pin(identity)),
  ...all(
    "client-ca-file requestheader-client-ca-file root-ca-file service-account-private-key-file cluster-signing-cert-file " +
      "cluster-signing-key-file",
    pin(certificates),
  ),
  "use-service-account-credentials": pin("each controller must have only its own rights"),
  "allocate-node-cidrs": pin("each node gets its pod addresses from it"),
  "cluster-cidr": pin("the nodes' pod routes are in it", "Set network.podCidr instead."),
  ...all("node-cidr-mask-size node-cidr-mask-size-ipv4", pin("each node has a /24 of network.podCidr")),
  "service-cluster-ip-range": pin("the cluster's DNS and the routes use it", "Set network.serviceCidr instead."),
  "cluster-name": pin("kubeconfigs have it", "Set clusterName instead."),
  "secure-port": pin("kubeadm's probes use its default"),
  "leader-elect": pin(leader),
  profiling: pin("another key sets it", "Set security.profiling instead."),
  controllers: (value) =>
    ["*", "bootstrapsigner", "tokencleaner"].every((one) => lists(value).includes(one))
      ? undefined
      : pin("joins need *, bootstrapsigner and tokencleaner", "Add them."),
};

const scheduler: Pinned = {
  ...all("kubeconfig authentication-kubeconfig authorization-kubeconfig", pin(identity)),
  "secure-port": pin("kubeadm's probes use its default"),
  "leader-elect": pin(leader),
  profiling: pin("another key sets it", "Set security.profiling instead."),
};

const etcd: Pinned = {
  ...all(
    "name listen-client-urls listen-client-http-urls advertise-client-urls listen-peer-urls initial-advertise-peer-urls",
    pin(member),
  ),
  ...all(
    "initial-cluster initial-cluster-state initial-cluster-token force-new-cluster discovery discovery-srv discovery-srv-name " +
      "discovery-token discovery-endpoints",
    pin("the program adds and removes members one at a time"),
  ),
  ...all("data-dir wal-dir", pin("snapshots, restores and the cleanup expect the data in /var/lib/etcd")),
  ...all(
    "cert-file key-file trusted-ca-file peer-cert-file peer-key-file peer-trusted-ca-file client-cert-file client-key-file " +
      "client-crl-file peer-crl-file auto-tls peer-auto-tls",
    pin(certificates),
  ),
  ...all("client-cert-auth peer-client-cert-auth", pin("etcd holds all Secrets and must accept no one else")),
  "config-file": pin("with a configuration file, etcd ignores its other arguments"),
  "unsafe-no-fsync": pin("a power cut would destroy the cluster's data"),
  "strict-reconfig-check": pin("it keeps etcd's majority when members change"),
};

const pinned: Readonly<Record<ComponentKey, Pinned>> = { apiServer, controllerManager, scheduler, etcd };

/** Arguments of the hardening that a user may replace: none of them is a config key's. */
const replaceable = new Set([
  "enable-admission-plugins",
  "audit-log-maxage",
  "audit-log-maxbackup",
  "audit-log-maxsize",
  "tls-cipher-suites",
  "terminated-pod-gc-threshold",
]);

/** Why an argument cannot have this value; undefined if it can. */
export function pinnedArgument(key: ComponentKey, { name, value }: ExtraArgument, config: Setting): Pin | undefined {
  const known = pinned[key][name];
  if (known !== undefined) return typeof known === "function" ? known(value, config) : known;
  if (key !== "apiServer" || replaceable.has(name)) return undefined;
  const own = apiServerHardening({ security: config.security }).extraArgs.find((one) => one.name === name);
  if (own === undefined) return undefined;
  return name.startsWith("audit-")
    ? pin("the program writes the audit log", "Set security.auditLog: false first.")
    : pin("the program writes that file", "Set the keys of security instead.");
}
