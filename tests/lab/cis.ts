/**
 * The items of the CIS Kubernetes Benchmark 1.12 (sections 1 to 4: the control plane, etcd, logging, nodes) that can be
 * looked at from outside, as pure functions over what was seen. Their numbers are the benchmark's, their wording is ours.
 */

/** What was seen of a control plane and of a node. */
export interface Observed {
  /** Arguments by process, as `--name=value`, without the dashes. */
  arguments: Record<string, Record<string, string>>;
  /** `mode user:group` by path, such as `600 root:root`. */
  files: Record<string, string>;
  /** The KubeletConfiguration that the kubelet runs by. */
  kubelet: Record<string, unknown>;
  /** Status codes of requests without credentials, by path. */
  anonymous: Record<string, number>;
  /** How the bytes of a Secret begin in etcd; control characters as dots. */
  storedSecret: string;
  /** The audit log: number of entries, and whether a text that only a Secret held was found in it. */
  audit: { entries: number; leaks: boolean };
  /** Whether the certificate that the kubelet serves under is the cluster authority's. */
  servingCertificate: boolean;
}

export interface Item {
  id: string;
  /** What is asked for. */
  what: string;
  /** What is wrong; undefined if nothing is. */
  fails: (o: Observed) => string | undefined;
}

const apiServer = "kube-apiserver";
const manager = "kube-controller-manager";
const scheduler = "kube-scheduler";
const kubernetes = "/etc/kubernetes";

const argument = (o: Observed, process: string, name: string) => o.arguments[process]?.[name];
const list = (value: string | undefined) => (value ?? "").split(",").filter((one) => one !== "");

function item(id: string, what: string, fails: Item["fails"]): Item {
  return { id, what, fails };
}

/** An argument whose value has to pass; the text is what is said of one that does not. */
function wants(
  id: string,
  what: string,
  process: string,
  name: string,
  passes: (value: string | undefined) => boolean,
): Item {
  return item(id, what, (o) => {
    const value = argument(o, process, name);
    return passes(value) ? undefined : `--${name} of ${process} is ${value ?? "not set"}`;
  });
}

const isSet = (value: string | undefined) => value !== undefined && value !== "";
const is = (wanted: string) => (value: string | undefined) => value === wanted;
const isNot = (unwanted: string) => (value: string | undefined) => value !== unwanted;
const atLeast = (least: number) => (value: string | undefined) => Number(value ?? 0) >= least;

/** Files that exist have at most these rights, and this owner. */
function file(id: string, what: string, path: RegExp, most: number, owner = "root:root"): Item {
  return item(id, what, (o) => {
    const found = Object.entries(o.files).filter(([name]) => path.test(name));
    if (found.length === 0) return "no such file was seen";
    const wrong = found.filter(([, seen]) => {
      const [mode, who] = seen.split(" ");
      return (parseInt(mode!, 8) & ~most) !== 0 || who !== owner;
    });
    return wrong.length === 0 ? undefined : wrong.map(([name, seen]) => `${name} is ${seen}`).join(", ");
  });
}

function kubelet(id: string, what: string, path: string, passes: (value: unknown) => boolean): Item {
  return item(id, what, (o) => {
    const value = path
      .split(".")
      .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], o.kubelet);
    return passes(value) ? undefined : `the kubelet's ${path} is ${JSON.stringify(value) ?? "not set"}`;
  });
}

const plugin = (name: string) => (value: string | undefined) => list(value).includes(name);
const noPlugin = (name: string) => (value: string | undefined) => !list(value).includes(name);
/** Forward secrecy and authenticated encryption. */
const strong = (suites: readonly string[]) =>
  suites.length > 0 &&
  suites.every((suite) => /^TLS_(ECDHE_(RSA|ECDSA)_WITH_)?(AES_\d+_GCM|CHACHA20_POLY1305)/.test(suite));
const plugins = "enable-admission-plugins";

export const items: readonly Item[] = [
  ...["kube-apiserver", manager, scheduler, "etcd"].map((name, i) =>
    file(
      `1.1.${2 * i + 1}-${2 * i + 2}`,
      `${name}'s manifest: 600, root's`,
      new RegExp(`^${kubernetes}/manifests/${name}.yaml$`),
      0o600,
    ),
  ),
  file("1.1.9-10", "the CNI's configuration: 600, root's", /^\/etc\/cni\/net\.d\//, 0o600),
  item("1.1.11", "etcd's data: 700", (o) => {
    const seen = o.files["/var/lib/etcd"] ?? "nothing";
    return seen.startsWith("700 ") ? undefined : `/var/lib/etcd is ${seen}`;
  }),
  file("1.1.12", "etcd's data belong to a user of its own", /^\/var\/lib\/etcd$/, 0o700, "etcd:etcd"),
  file("1.1.13-14", "the administrators' kubeconfigs: 600, root's", /^\/etc\/kubernetes\/(super-)?admin\.conf$/, 0o600),
  file(
    "1.1.15-18",
    "the kubeconfigs of scheduler and controller manager: 600, root's",
    /\/(scheduler|controller-manager)\.conf$/,
    0o600,
  ),
  file("1.1.20", "certificates: 644, root's", /\/pki\/.*\.crt$/, 0o644),
  file("1.1.19,21", "keys: 600, root's", /\/pki\/.*\.key$/, 0o600),
  item("1.2.1", "nobody is anonymous, but on the health paths", (o) =>
    o.anonymous["/api"] === 401 && o.anonymous["/readyz"] === 200
      ? undefined
      : `without credentials /api answers ${o.anonymous["/api"]}, /readyz ${o.anonymous["/readyz"]}`,
  ),
  wants("1.2.2", "no file of static tokens", apiServer, "token-auth-file", (value) => value === undefined),
  wants("1.2.3", "a Service cannot claim external addresses", apiServer, plugins, plugin("DenyServiceExternalIPs")),
  wants("1.2.4", "the API server shows kubelets a certificate", apiServer, "kubelet-client-certificate", isSet),
  wants("1.2.5", "the API server verifies kubelets", apiServer, "kubelet-certificate-authority", isSet),
  wants("1.2.6-8", "authorization by Node and RBAC", apiServer, "authorization-mode", is("Node,RBAC")),
  wants("1.2.9", "events are limited in rate", apiServer, plugins, plugin("EventRateLimit")),
  wants("1.2.10", "not everything is admitted", apiServer, plugins, noPlugin("AlwaysAdmit")),
  wants("1.2.11", "images are pulled for each pod", apiServer, plugins, plugin("AlwaysPullImages")),
  wants(
    "1.2.12-13",
    "no default admission plugin is off",
    apiServer,
    "disable-admission-plugins",
    (v) => v === undefined,
  ),
  wants("1.2.14", "a kubelet may change its own node alone", apiServer, plugins, plugin("NodeRestriction")),
  wants("1.2.15", "the API server serves no profiles", apiServer, "profiling", is("false")),
  wants("1.2.16", "there is an audit log", apiServer, "audit-log-path", isSet),
  wants("1.2.17", "it is kept for 30 days", apiServer, "audit-log-maxage", atLeast(30)),
  wants("1.2.18", "in 10 files", apiServer, "audit-log-maxbackup", atLeast(10)),
  wants("1.2.19", "of 100 MB", apiServer, "audit-log-maxsize", atLeast(100)),
  wants("1.2.20", "requests end in time", apiServer, "request-timeout", isNot("0")),
  wants("1.2.21", "a deleted service account's tokens end", apiServer, "service-account-lookup", isNot("false")),
  wants("1.2.22", "service accounts have a key of their own", apiServer, "service-account-key-file", isSet),
  wants("1.2.23", "the API server shows etcd a certificate", apiServer, "etcd-certfile", isSet),
  wants("1.2.24", "the API server has a certificate", apiServer, "tls-cert-file", isSet),
  wants("1.2.25", "clients are known by certificates", apiServer, "client-ca-file", isSet),
  wants("1.2.26", "the API server verifies etcd", apiServer, "etcd-cafile", isSet),
  wants("1.2.27", "Secrets can be encrypted in etcd", apiServer, "encryption-provider-config", isSet),
  item("1.2.28", "a Secret's bytes in etcd are encrypted, by more than an encoding", (o) =>
    /^k8s:enc:(secretbox|aescbc|aesgcm|kms):/.test(o.storedSecret)
      ? undefined
      : `they begin with ${JSON.stringify(o.storedSecret)}`,
  ),
  wants("1.2.29", "the API server's TLS is strong", apiServer, "tls-cipher-suites", (value) => strong(list(value))),
  wants(
    "1.2.30",
    "tokens are not good for longer than they say",
    apiServer,
    "service-account-extend-token-expiration",
    is("false"),
  ),
  wants("1.3.1", "ended pods are cleared away in time", manager, "terminated-pod-gc-threshold", isSet),
  wants("1.3.2", "the controller manager serves no profiles", manager, "profiling", is("false")),
  wants("1.3.3", "each controller has an account of its own", manager, "use-service-account-credentials", is("true")),
  wants("1.3.4", "tokens are signed by a key", manager, "service-account-private-key-file", isSet),
  wants("1.3.5", "pods get the authority to verify", manager, "root-ca-file", isSet),
  wants("1.3.7", "the controller manager listens to its host alone", manager, "bind-address", is("127.0.0.1")),
  wants("1.4.1", "the scheduler serves no profiles", scheduler, "profiling", is("false")),
  wants("1.4.2", "the scheduler listens to its host alone", scheduler, "bind-address", is("127.0.0.1")),
  wants("2.1", "etcd has a certificate", "etcd", "cert-file", isSet),
  wants("2.2", "etcd verifies its clients", "etcd", "client-cert-auth", is("true")),
  wants("2.3", "by no certificates that they made themselves", "etcd", "auto-tls", isNot("true")),
  wants("2.4", "its members have certificates", "etcd", "peer-cert-file", isSet),
  wants("2.5", "they verify each other", "etcd", "peer-client-cert-auth", is("true")),
  wants("2.6", "by no certificates that they made themselves", "etcd", "peer-auto-tls", isNot("true")),
  item("2.7", "etcd has an authority of its own", (o) =>
    argument(o, "etcd", "trusted-ca-file") !== argument(o, apiServer, "client-ca-file")
      ? undefined
      : "it is the cluster's",
  ),
  wants("3.2.1", "a policy says what is logged", apiServer, "audit-policy-file", isSet),
  item("3.2.2", "the log has entries, and nothing that a Secret holds", ({ audit }) =>
    audit.leaks ? "a Secret's content is in it" : audit.entries > 0 ? undefined : "it is empty",
  ),
  file("4.1.1-2", "the kubelet's units: 600, root's", /\/kubelet\.service(\.d\/.*)?$/, 0o600),
  file("4.1.5-6", "the kubelet's kubeconfig: 600, root's", /^\/etc\/kubernetes\/kubelet\.conf$/, 0o600),
  file("4.1.7-8", "the authority that it trusts: 644, root's", /^\/etc\/kubernetes\/pki\/ca\.crt$/, 0o644),
  file("4.1.9-10", "the kubelet's configuration: 600, root's", /^\/var\/lib\/kubelet\/config\.yaml$/, 0o600),
  kubelet(
    "4.2.1",
    "the kubelet answers nobody anonymous",
    "authentication.anonymous.enabled",
    (value) => value === false,
  ),
  kubelet("4.2.2", "it asks the API server who may do what", "authorization.mode", (value) => value === "Webhook"),
  kubelet("4.2.3", "it knows clients by certificates", "authentication.x509.clientCAFile", (value) => !!value),
  kubelet("4.2.4", "it has no port without credentials", "readOnlyPort", (value) => !value),
  kubelet(
    "4.2.5",
    "idle connections end",
    "streamingConnectionIdleTimeout",
    (value) => value !== "0" && value !== "0s",
  ),
  kubelet("4.2.6", "it keeps its own rules of iptables", "makeIPTablesUtilChains", (value) => value !== false),
  kubelet("4.2.8", "events are not lost", "eventRecordQPS", (value) => value === undefined || Number(value) >= 0),
  item("4.2.9", "it serves under a certificate of the cluster", (o) =>
    o.servingCertificate ? undefined : "it has signed its own",
  ),
  kubelet("4.2.10", "it renews its client certificate", "rotateCertificates", (value) => value === true),
  kubelet("4.2.11", "it renews its serving certificate", "serverTLSBootstrap", (value) => value === true),
  kubelet("4.2.12", "its TLS is strong", "tlsCipherSuites", (value) => strong((value as string[] | undefined) ?? [])),
  kubelet("4.2.13", "a pod's processes are bounded", "podPidsLimit", (value) => Number(value ?? -1) > 0),
  kubelet("4.2.14", "containers have a seccomp profile", "seccompDefault", (value) => value === true),
];

export interface Finding {
  id: string;
  what: string;
  /** What is wrong; undefined if nothing is. */
  why: string | undefined;
}

/** All items, judged by what was seen. */
export function judge(observed: Observed): Finding[] {
  return items.map(({ id, what, fails }) => ({ id, what, why: fails(observed) }));
}

/** The ids of the items that fail. */
export function failing(observed: Observed): string[] {
  return judge(observed).flatMap(({ id, why }) => (why === undefined ? [] : [id]));
}
