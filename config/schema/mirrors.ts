/** The `mirrors` section of a stack's config: where hosts install from instead of the official places. */
import { X509Certificate } from "node:crypto";
import { z } from "zod";
import type { MirrorsConfig } from "../../model/config";
import { hostOf } from "../../components/kubernetes/registries";
import { refused, valueText } from "../../model/messages";
import { text } from "./fields";
import type { ReadFile } from "../source";

const url = (example: string) =>
  text(/^https?:\/\/[A-Za-z0-9.:[\]-]+(\/[A-Za-z0-9._~:/+@-]*)?$/, `a URL without a password such as ${example}`);

function packageMirror(example: string) {
  return z
    .strictObject({ url: url(example), keyUrl: url(`${example}/key.asc`).optional() }, { error: "an object with url" })
    .optional();
}

/** What a user writes under `mirrors`. */
export const mirrorsSchema = z
  .strictObject(
    {
      packages: z
        .strictObject(
          {
            kubernetes: packageMirror("https://mirror.example.com/kubernetes"),
            tailscale: packageMirror("https://mirror.example.com/tailscale"),
            docker: packageMirror("https://mirror.example.com/docker"),
          },
          { error: "an object with kubernetes, tailscale or docker" },
        )
        .default({}),
      registries: z
        .array(
          z.strictObject(
            {
              name: text(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d+)?$/, "the name of a registry such as registry.k8s.io"),
              endpoints: z
                .array(url("https://mirror.example.com/v2/registry.k8s.io"), { error: "a list of URLs" })
                .min(1, { error: "at least one URL" }),
              caFile: z.string({ error: "the path of a file on this machine" }).optional(),
            },
            { error: "an object with name and endpoints" },
          ),
          { error: "a list of registries, each with name and endpoints" },
        )
        .default([]),
      charts: z
        .strictObject(
          {
            url: url("https://mirror.example.com/charts"),
            caFile: z.string({ error: "the path of a file on this machine" }).optional(),
          },
          { error: "an object with url" },
        )
        .optional(),
      imageRepository: text(
        /^[a-z0-9][a-z0-9.-]*(:\d+)?(\/[a-z0-9._-]+)*$/,
        "the beginning of image names such as mirror.example.com/kubernetes",
      ).optional(),
    },
    { error: "an object such as { registries: [{ name: registry.k8s.io, endpoints: [https://mirror.example.com] }] }" },
  )
  .prefault({});

export type MirrorsValues = z.output<typeof mirrorsSchema>;

/** A user's mirrors with what their files hold, and a line in `problems` for each file that does not do. */
export function readMirrors(values: MirrorsValues, readFile: ReadFile, problems: string[]): MirrorsConfig {
  const bare = (one: string) => one.replace(/\/+$/, "");
  const packages = Object.fromEntries(
    Object.entries(values.packages).flatMap(([name, mirror]) =>
      mirror === undefined
        ? []
        : [[name, { url: bare(mirror.url), ...(mirror.keyUrl !== undefined && { keyUrl: mirror.keyUrl }) }]],
    ),
  );
  const charts = values.charts;
  if (charts?.caFile !== undefined) {
    readAuthorities("mirrors.charts.caFile", charts.caFile, readFile, problems);
  }
  return {
    packages,
    registries: values.registries.map(({ name, endpoints, caFile }, i) => {
      const key = `mirrors.registries[${i}].caFile`;
      const ca = caFile === undefined ? undefined : readAuthorities(key, caFile, readFile, problems);
      return { name, endpoints: endpoints.map(bare), ...(ca !== undefined && { ca }) };
    }),
    ...(charts !== undefined && {
      charts: { url: bare(charts.url), ...(charts.caFile !== undefined && { caFile: charts.caFile }) },
    }),
    ...(values.imageRepository !== undefined && { imageRepository: values.imageRepository }),
  };
}

/** The certificates of a PEM file, and nothing else that is in it. */
function readAuthorities(key: string, path: string, readFile: ReadFile, problems: string[]): string | undefined {
  const todo = "Correct the path or the file.";
  let content: string;
  try {
    content = readFile(path);
  } catch {
    problems.push(refused(key, path, "a file on this machine; a relative path is relative to the project", todo));
    return undefined;
  }
  const certificates = content.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    if (certificates.length === 0) throw new Error();
    for (const one of certificates) new X509Certificate(one);
  } catch {
    problems.push(refused(key, path, "a PEM file with the certificates of authorities", todo));
    return undefined;
  }
  return `${certificates.join("\n")}\n`;
}

/** Rules between mirrors and other keys: a line for each problem. */
export function mirrorProblems(
  mirrors: MirrorsConfig,
  { bundle, chart, credentials }: { bundle?: string; chart?: string; credentials: ReadonlyMap<string, string> },
): string[] {
  const problems: string[] = [];
  const packages = Object.keys(mirrors.packages);
  if (bundle !== undefined && packages.length > 0) {
    problems.push(
      refused(
        `mirrors.packages.${packages[0]}`,
        "a mirror",
        "nothing beside bundle, which has the binaries",
        "Remove one of the two.",
      ),
    );
  }
  if (chart !== undefined && mirrors.charts !== undefined) {
    problems.push(
      refused("mirrors.charts.url", mirrors.charts.url, "nothing beside ciliumChart", "Remove one of the two."),
    );
  }
  const first = new Map<string, number>();
  const hosts = new Set<string>();
  mirrors.registries.forEach(({ name, endpoints, ca }, i) => {
    const same = first.get(name);
    if (same !== undefined) {
      problems.push(
        refused(
          `mirrors.registries[${i}].name`,
          name,
          `a registry of its own; mirrors.registries[${same}] has this one`,
          "Put the endpoints into one.",
        ),
      );
    }
    first.set(name, same ?? i);
    endpoints.forEach((endpoint, j) => {
      const host = hostOf(endpoint);
      hosts.add(host);
      if (endpoint.startsWith("http://") && (credentials.has(host) || ca !== undefined)) {
        problems.push(
          refused(
            `mirrors.registries[${i}].endpoints[${j}]`,
            endpoint,
            `https where ${ca === undefined ? "registryCredentials has a password for it, which would cross the network in plain" : "caFile is set"}`,
            "Use https.",
          ),
        );
      }
    });
  });
  for (const host of credentials.keys()) {
    if (!hosts.has(host)) {
      problems.push(
        `registryCredentials: it has a line for ${valueText(host)}, which is the host of no endpoint. Allowed: ` +
          `${[...hosts].join(", ") || "none without mirrors.registries"}. Correct the line, or remove it.`,
      );
    }
  }
  return problems;
}
