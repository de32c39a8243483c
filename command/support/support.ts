/** `tailkube support`: a bundle for the people who help, without secrets. */
import { existsSync } from "node:fs";
import { gzipSync } from "node:zlib";
import type { Answers, Asked } from "../answers";
import { exitCodes, Failure } from "../failure";
import { writeNew } from "../files";
import { onAll, progress } from "../parallel";
import type { ClusterAccess } from "../stack";
import { askHost } from "../status/gather";
import { statusOf } from "../status/status";
import { stamp } from "../times";
import { redactor } from "./redact";
import { secretsOf } from "./secrets";
import { type Entry, tar } from "./tar";

export interface SupportOptions {
  output?: string | undefined;
  /** Of the stack's config. */
  configSecrets: readonly string[];
}

export async function support(cluster: ClusterAccess, { output, configSecrets }: SupportOptions): Promise<number> {
  const now = new Date();
  const file = output ?? `tailkube-support-${cluster.clusterName}-${stamp(now)}.tar.gz`;
  if (existsSync(file)) throw new Failure(`${file} is there already. Name another file with --output`, exitCodes.usage);
  progress(`asking ${cluster.nodes.length} hosts of ${cluster.clusterName} for status and logs; it takes a minute`);
  const [found, hosts] = await Promise.all([
    statusOf(cluster),
    onAll(cluster.nodes, async (node) => ({ name: node.name, answers: await askHost("support", cluster, node) })),
  ]);
  const entries = [
    { name: "status.txt", text: found.text },
    { name: "status.json", text: found.json },
    { name: "README", text: readme(cluster, now) },
    ...hosts.flatMap(({ name, answers }) => hostEntries(name, answers)),
  ];
  const bundle = bundleOf(entries, [...secretsOf(cluster), ...configSecrets], now);
  writeNew(file, bundle);
  progress(
    `${file}: ${(bundle.length / 1e6).toFixed(1)} MB. Secrets are redacted; names, addresses and logs are not. Look into it before you pass it on.`,
  );
  return exitCodes.ok;
}

/** The archive, with every text redacted. */
export function bundleOf(
  entries: readonly { name: string; text: string }[],
  secrets: readonly string[],
  now: Date,
): Buffer {
  const redact = redactor(secrets);
  const files = entries.map(({ name, text }): Entry => ({
    name: `tailkube-support/${redact(name)}`,
    content: Buffer.from(redact(text)),
  }));
  return gzipSync(tar(files, now));
}

/** A host's answers as files: what each command printed, and its error if it failed. */
export function hostEntries(node: string, answers: Asked<Answers>): { name: string; text: string }[] {
  if ("none" in answers) return [{ name: `${node}/no-answer.txt`, text: `${answers.none}\n` }];
  return [...answers.value].map(([name, { output, status, error }]) => ({
    name: `${node}/${name}`,
    text: status === 0 ? output : `${output}\n[ended with ${status}] ${error}\n`,
  }));
}

const readme = ({ clusterName, nodes }: ClusterAccess, now: Date) =>
  [
    `Support bundle of the cluster ${clusterName}, ${now.toISOString()}, ${nodes.length} nodes.`,
    "status.txt and status.json: tailkube status. A folder for each node: what its commands printed.",
    "Keys, tokens, passwords and kubeconfigs are redacted. Kubernetes Secrets were not read.",
    "",
  ].join("\n");
