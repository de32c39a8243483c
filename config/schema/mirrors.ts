/** The `mirrors` section of a stack's config: where hosts install from instead of the official places. */
import type { z } from "zod";
import { certificatesIn } from "../../model/certificates";
import type { MirrorsConfig } from "../../model/config";
import type { Problem } from "../../model/problem";
import { file, group, key, list, object, text } from "./fields";
import type { ReadFile } from "../source";

const url = (example: string) =>
  text(/^https?:\/\/[A-Za-z0-9.:[\]-]+(\/[A-Za-z0-9._~:/+@-]*)?$/, `a URL without a password such as ${example}`);

function packageMirror(of: string, example: string) {
  return key(
    object("an object with url", {
      url: key(url(example), "Replaces the official address; paths below it are the same."),
      keyUrl: key(url(`${example}/key.asc`).optional(), "The key that signs it. Default: the official path below url."),
    })
      .meta({ title: "PackageMirrorArgs" })
      .optional(),
    `Replaces ${of}.`,
  );
}

export const mirrorsSchema = key(
  group(
    {
      packages: key(
        object("an object with kubernetes, tailscale or docker", {
          kubernetes: packageMirror("https://pkgs.k8s.io", "https://mirror.example.com/kubernetes"),
          tailscale: packageMirror("https://pkgs.tailscale.com", "https://mirror.example.com/tailscale"),
          docker: packageMirror(
            "https://download.docker.com, the source of containerd.io",
            "https://mirror.example.com/docker",
          ),
        }).default({}),
        "apt repositories that replace the official ones, by project.",
      ),
      registries: key(
        list(
          "a list of registries, each with name and endpoints",
          object("an object with name and endpoints", {
            name: key(
              text(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d+)?$/, "the name of a registry such as registry.k8s.io"),
              "The registry in the names of the images.",
            ),
            endpoints: key(
              list("a list of URLs", url("https://mirror.example.com/v2/registry.k8s.io")).min(1, {
                error: "at least one URL",
              }),
              "Where its images are. containerd tries these in order, then the registry itself. A URL with a path is used " +
                "unchanged and must include /v2.",
            ),
            caFile: key(
              file().optional(),
              "File on this machine with the CAs that sign the endpoints' certificates. Default: the hosts' own CAs.",
            ),
          }),
        ).default([]),
        "Registries that containerd tries before the registry in an image's name.",
      ),
      registryCredentialsFile: key(
        file().optional(),
        "File on this machine with the lines of registryCredentials, relative to the project.",
      ),
      charts: key(
        object("an object with url", {
          url: key(url("https://mirror.example.com/charts"), "Its URL, which has index.yaml below it."),
          caFile: key(file().optional(), "File on this machine with the CAs that sign its certificate."),
        }).optional(),
        "A Helm repository with Cilium's chart, instead of https://helm.cilium.io.",
      ),
      imageRepository: key(
        text(
          /^[a-z0-9][a-z0-9.-]*(:\d+)?(\/[a-z0-9._-]+)*$/,
          "a prefix of image names such as mirror.example.com/kubernetes",
        ).optional(),
        "Replaces registry.k8s.io in the names of kubeadm's images, etcd, CoreDNS and pause. Cannot change in a running cluster.",
      ),
    },
    "{ registries: [{ name: registry.k8s.io, endpoints: [https://mirror.example.com] }] }",
  ),
  "Where hosts install from instead of the official places.",
  {
    title: "MirrorsArgs",
    examples: [
      {
        packages: { kubernetes: { url: "https://mirror.example.com/kubernetes" } },
        registries: [
          { name: "registry.k8s.io", endpoints: ["https://mirror.example.com/v2/registry.k8s.io"], caFile: "ca.pem" },
        ],
        charts: { url: "https://mirror.example.com/charts" },
      },
    ],
  },
);

export type MirrorsValues = z.output<typeof mirrorsSchema>;

/** The mirrors with the content of their files. Adds a problem for each invalid file. */
export function readMirrors(values: MirrorsValues, readFile: ReadFile, problems: Problem[]): MirrorsConfig {
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

/** The certificates in a PEM file, without anything else in it. */
function readAuthorities(key: string, path: string, readFile: ReadFile, problems: Problem[]): string | undefined {
  const wrong = (allowed: string) =>
    void problems.push({ path: key, got: path, allowed, fix: "Correct the path or the file." });
  let content: string;
  try {
    content = readFile(path);
  } catch {
    return wrong("a file on this machine; relative paths are relative to the project");
  }
  const certificates = certificatesIn(content);
  if (certificates === undefined) return wrong("a PEM file with CA certificates");
  return `${certificates.join("\n")}\n`;
}
