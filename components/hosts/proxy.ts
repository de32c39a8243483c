/** The proxy between the hosts and the internet: docs/install/proxy.md says who uses it. */
import * as pulumi from "@pulumi/pulumi";
import { contains, isIPv4, isNetwork, tailnetRange } from "../../model/cidr";
import type { ClusterConfig, NodeConfig, ProxyConfig } from "../../model/config";
import { shellQuote } from "./script-text";

/** https://tailscale.com/kb/1033/ip-and-dns-addresses */
const tailnetRange6 = "fd7a:115c:a1e0::/48";

/** RFC 1918. */
const privateNetworks = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];

/** A requirement of host-requirements.ts. */
interface ProxyRequirement {
  id: "proxy";
  test: string;
  problem: string;
}

interface Place {
  /** `SCHEME://HOST[:PORT]` */
  origin: string;
  host: string;
  /** For messages. */
  what: string;
  /** Bash: whether a host needs it, by the variables of host/stages/facts.sh. Absent: it does. */
  test?: string;
  /** Whether it is reached without the password. */
  isOpen?: true;
}

/**
 * What a node's host reaches without the proxy. No other node's address is in it: a new node must not change the hosts of the others.
 */
export function noProxyOf(config: ClusterConfig, node: NodeConfig): string[] {
  const { lan } = node;
  const all = [
    ...["localhost", "127.0.0.0/8", "::1", ".svc", ".cluster.local"],
    ...[tailnetRange, tailnetRange6, config.podCidr, config.serviceCidr, config.endpoint.address],
    ...[config.loadBalancer?.cidr, lan?.cidr, lan?.address].filter((one) => one !== undefined),
    ...(config.proxy?.noProxy ?? []),
  ];
  // apt and older curls compare texts, and know no networks.
  const addresses = places(config)
    .map(({ host }) => host)
    .filter((host) => isIPv4(host) && isDirect(host, all));
  return [...new Set([...all, ...addresses])];
}

/** The same for tailscaled. Nothing else asks the coordination server, and mirrors may have the same address. */
export function tailscaledNoProxyOf(config: ClusterConfig, node: NodeConfig): string[] {
  const all = noProxyOf(config, node);
  const { hostname } = new URL(config.tailnet.loginServer);
  const isInside = isIPv4(hostname) && privateNetworks.some((one) => contains(one, hostname));
  return isInside && !all.includes(hostname) ? [...all, hostname] : all;
}

/** The environment of what goes through the proxy, one `NAME=VALUE` per line. */
export function proxyEnvironment(proxy: ProxyConfig, noProxy: readonly string[], credentials?: string): string {
  const url = (bare: string) =>
    credentials === undefined ? bare : bare.replace("http://", `http://${credentialsInUrl(credentials)}@`);
  return [
    ...(proxy.http === undefined ? [] : [`HTTP_PROXY=${url(proxy.http)}`]),
    `HTTPS_PROXY=${url(proxy.https)}`,
    `NO_PROXY=${noProxy.join(",")}`,
  ].join("\n");
}

/** `USER:PASSWORD`, so that systemd and shells take each character as it is, too. */
function credentialsInUrl(credentials: string): string {
  const encoded = (text: string) =>
    encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  const colon = credentials.indexOf(":");
  return `${encoded(credentials.slice(0, colon))}:${encoded(credentials.slice(colon + 1))}`;
}

export interface ProxyVariablesArgs {
  config: ClusterConfig;
  node: NodeConfig;
  /** `USER:PASSWORD`; secret. */
  credentials: pulumi.Output<string> | undefined;
}

/** The variables of host/lib/software/proxy.sh; none without a proxy. */
export function proxyVariables({
  config,
  node,
  credentials,
}: ProxyVariablesArgs): Record<string, pulumi.Input<string>> {
  const { proxy } = config;
  if (proxy === undefined) return {};
  const noProxy = noProxyOf(config, node);
  const open = proxyEnvironment(proxy, noProxy);
  return { TK_PROXY: credentials?.apply((text) => proxyEnvironment(proxy, noProxy, text)) ?? open };
}

/** The variables of host/lib/software/tailscale.sh: tailscaled logs the URL of its proxy, so it gets the one without the password. */
export function tailscaledProxyVariables({
  config,
  node,
}: Omit<ProxyVariablesArgs, "credentials">): Record<string, string> {
  const { proxy } = config;
  if (proxy === undefined || config.nodeNetwork !== "tailnet") return {};
  return { TK_PROXY_OPEN: proxyEnvironment(proxy, tailscaledNoProxyOf(config, node)) };
}

/** The variables of host/lib/software/proxy-check.sh; none without a password. */
export function proxyCheckVariables(
  { proxy }: ClusterConfig,
  credentials: pulumi.Output<string> | undefined,
): Record<string, pulumi.Input<string>> {
  if (proxy === undefined || credentials === undefined) return {};
  return { TK_PROXY_AUTHORIZATION: credentials.apply((text) => Buffer.from(text).toString("base64")) };
}

/** The requirements of a host behind the proxy: it is there, and lets the host through to each place that the host needs. */
export function proxyRequirements(config: ClusterConfig, node: NodeConfig): ProxyRequirement[] {
  const { proxy } = config;
  if (proxy === undefined) return [];
  const noProxy = noProxyOf(config, node);
  const reachable = [...new Set([proxy.http, proxy.https].filter((one) => one !== undefined))].map(
    (url): ProxyRequirement => ({
      id: "proxy",
      test: `proxy_reachable ${words(url)}`,
      problem: `the proxy ${url} cannot be reached: $PROXY_SAID. Correct proxy in the config, or let this host connect to it.`,
    }),
  );
  const lets = places(config)
    .filter(({ host, isOpen }) => !isDirect(host, isOpen ? tailscaledNoProxyOf(config, node) : noProxy))
    .flatMap(({ origin, what, test, isOpen }): ProxyRequirement[] => {
      const by = proxyFor(proxy, origin);
      if (by === undefined) return [];
      const asked = `proxy_lets ${words(by)} ${shellQuote(origin)}${isOpen ? " open" : ""}`;
      const cure = isOpen ? "Let it pass there without a password" : "Let it pass there";
      return [
        {
          id: "proxy",
          test: test === undefined ? asked : `! { ${test}; } || ${asked}`,
          problem: `the proxy ${by} does not let this host through to ${origin} (${what}): $PROXY_SAID. ${cure}, or add the host to proxy.noProxy.`,
        },
      ];
    });
  return [...reachable, ...lets, ...ofDistribution(config, proxy, noProxy)];
}

/** The host alone knows where its own packages come from. */
function ofDistribution({ bundle }: ClusterConfig, proxy: ProxyConfig, noProxy: readonly string[]): ProxyRequirement[] {
  if (bundle !== undefined) return [];
  const by = (url: string | undefined) => (url === undefined ? "true" : `proxy_lets ${words(url)} "$site"`);
  const site = `site=$(distribution_site ${shellQuote(noProxy.join(","))})`;
  return [
    {
      id: "proxy",
      test: `${site}; case $site in https://*) ${by(proxy.https)} ;; http://*) ${by(proxy.http)} ;; esac`,
      problem:
        "the proxy does not let this host through to $site (the distribution's packages): $PROXY_SAID. Let it pass there, or set " +
        "apt's own proxy on the host (Acquire::http::Proxy).",
    },
  ];
}

const proxyFor = ({ http, https }: ProxyConfig, origin: string) => (origin.startsWith("https://") ? https : http);

/** Host and port of a proxy as two words of a shell. */
const words = (proxy: string) => new URL(proxy).host.replace(/:(\d+)$/, " $1").replace(/^([^ ]+)$/, "$1 80");

/** Whether a host's name or address is among those that are reached without a proxy. */
function isDirect(host: string, noProxy: readonly string[]): boolean {
  return noProxy.some((entry) =>
    isNetwork(entry)
      ? isIPv4(host) && contains(entry, host)
      : host === entry.replace(/^\./, "") || host.endsWith(`.${entry.replace(/^\./, "")}`),
  );
}

/** Where hosts get what they need, beside the distribution's packages. */
function places(config: ClusterConfig): Place[] {
  const { mirrors, bundle, tailnet } = config;
  const isTailnet = config.nodeNetwork === "tailnet";
  const found: Place[] = [];
  const add = (url: string, what: string, more: Pick<Place, "test" | "isOpen"> = {}) => {
    const { origin, hostname: host } = new URL(url);
    if (!found.some((one) => one.origin === origin && one.isOpen === more.isOpen)) {
      found.push({ origin, host, what, ...more });
    }
  };
  if (bundle === undefined) {
    add(mirrors.packages.kubernetes?.url ?? "https://pkgs.k8s.io", "Kubernetes' packages");
    for (const { keyUrl } of Object.values(mirrors.packages)) if (keyUrl !== undefined) add(keyUrl, "a signing key");
    if (isTailnet) {
      const test = config.tailscaleVersion === undefined ? { test: "! command -v tailscaled >/dev/null" } : {};
      add(mirrors.packages.tailscale?.url ?? "https://pkgs.tailscale.com", "Tailscale's packages", test);
    }
    const test = config.containerdVersion === undefined ? { test: '[ -z "$containerd" ]' } : {};
    add(mirrors.packages.docker?.url ?? "https://download.docker.com", "containerd's package", test);
    for (const [name, images] of [
      [mirrors.imageRepository?.split("/")[0] ?? "registry.k8s.io", "Kubernetes' images"],
      ["quay.io", "Cilium's images"],
    ] as const) {
      const mirror = mirrors.registries.find((one) => one.name === name);
      add(mirror?.endpoints[0] ?? `https://${name}`, images);
    }
  }
  if (isTailnet) add(tailnet.loginServer, "the tailnet's coordination server", { isOpen: true });
  return found;
}

/** For texts: `HOST:PORT` of the proxy. */
export const proxyText = ({ https }: ProxyConfig) => new URL(https).host;
