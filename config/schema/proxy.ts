/** The `proxy` section of a stack's config: the proxy between the hosts and the internet. */
import type { z } from "zod";
import { isNetwork } from "../../model/cidr";
import type { ProxyConfig } from "../../model/config";
import { checkedText, file, group, key, list, text } from "./fields";

// With its port, for curl, apt and Go each have another default. Of other kinds of proxies, not all of them know each.
const url = () =>
  text(
    /^http:\/\/[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?:[1-9][0-9]{0,4}\/?$/,
    "the URL of an HTTP proxy with its port, without a password, such as http://proxy.example.com:3128",
  );

/** A name with all names below it, an IPv4 address, or an IPv4 network. */
const isDirect = (entry: string) =>
  isNetwork(entry) ||
  /^\.?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/.test(entry);

export const proxySchema = key(
  group(
    {
      http: key(url().optional(), "The proxy for http URLs."),
      https: key(url().optional(), "The proxy for https URLs, which must allow CONNECT. Default: proxy.http."),
      noProxy: key(
        list(
          "a list of names, addresses and networks",
          checkedText(
            isDirect,
            "a DNS name such as example.com, an IPv4 address, or an IPv4 network such as 10.20.0.0/16",
          ),
        ).default([]),
        "What hosts reach without the proxy: DNS names with all names below them, IPv4 addresses and networks. The cluster's own are " +
          "always among them.",
      ),
      credentialsFile: key(file().optional(), "File on this machine with proxyCredentials, relative to the project."),
    },
    "{ http: http://proxy.example.com:3128 }",
  ),
  "The proxy between the hosts and the internet.",
  {
    title: "ProxyArgs",
    examples: [{ http: "http://proxy.example.com:3128", noProxy: ["mirror.example.com", "10.20.0.0/16"] }],
  },
);

/** The proxy with its defaults; undefined if there is none. */
export function proxyConfig(values: z.output<typeof proxySchema>): ProxyConfig | undefined {
  const bare = (one: string | undefined) => one?.replace(/\/$/, "");
  const http = bare(values.http);
  const https = bare(values.https) ?? http;
  if (https === undefined) return undefined;
  return { ...(http !== undefined && { http }), https, noProxy: values.noProxy };
}
