/**
 * `npm run generate`: writes what is made of config/schema (the config block of Pulumi.yaml, the types in config/args.ts, and
 * docs/reference/config.md) and of the catalogue of releases (docs/reference/versions.md).
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { hostProfileSchema } from "../config/schema/host-profile";
import { stackSchema } from "../config/schema/stack";
import { catalogueDate, defaultVersions, oldestKubernetesMinor } from "../model/releases";
import { renamedKeys } from "../model/renamed-keys";
import { projectConfig } from "./project";
import { referenceTables, renamedTable } from "./reference";
import { releaseTables } from "./releases";
import { type Section, sectionsOf, shapeOf } from "./sections";
import { typeDeclarations } from "./types";

const root = join(__dirname, "..");

/** A file that is generated, and what makes its text. */
export interface Generated {
  /** Relative to the project. */
  path: string;
  text: () => Promise<string>;
}

/** Formatted like the project's other files. */
async function formatted(path: string, text: string): Promise<string> {
  const filepath = join(root, path);
  return format(text, { ...(await resolveConfig(filepath)), filepath });
}

const referenceHead = `# Config reference

<!-- Written by \`npm run generate\` from config/schema. Do not edit it. -->

The keys of \`Pulumi.<stack>.yaml\`, each with the prefix \`tailkube:\`. Every stack needs \`nodes\` and an SSH
key: \`sshPrivateKey\`, or [another way](../install/ssh.md#keys). A tailnet also needs \`tailnetAuthKey\` (or its file), or credentials that let the program create keys. A LAN needs
\`endpoint.address\`, and \`lan.cidr\` or \`lan.interface\`. An empty text means "not set". Paths are relative to the project's folder.

Most keys are in groups, such as \`mtu\` in \`tailnet\`. Edit the stack's file, or set one key with \`--path\`:

\`\`\`sh
pulumi config set --path tailkube:tailnet.mtu 1400
\`\`\`

Secrets are keys of their own, because Pulumi reports only for a whole key whether its value is encrypted. The program rejects a
secret that is not encrypted: set it with \`pulumi config set --secret\`.

"Allowed" is what the program prints when it rejects a value. The program checks rules between keys, such as overlapping networks or
incompatible versions, before it connects to any host, and the preview reports all problems at once. [examples/](../../examples) has
whole stacks.
`;

const renamedHead = `## Old keys

Before the first release, most keys stood beside one another. The program rejects an old key and names the new one. Secrets have
kept their keys.
`;

/** All sections of the reference: the stack's config, and the file that `hostProfile` names. */
export function allSections(): [Section, ...Section[]] {
  const [first, ...others] = sectionsOf(stackSchema);
  return [first!, ...others, ...sectionsOf(hostProfileSchema, "hostProfile")];
}

const reference: Generated = {
  path: "docs/reference/config.md",
  text: async () =>
    formatted(
      reference.path,
      [referenceHead, referenceTables(allSections()), renamedHead, renamedTable(renamedKeys)].join("\n"),
    ),
};

const project: Generated = {
  path: "Pulumi.yaml",
  text: async () => {
    const [head] = readFileSync(join(root, project.path), "utf8").split(/^config:$/m);
    return formatted(project.path, `${head}${projectConfig(allSections())}`);
  },
};

const types: Generated = {
  path: "config/args.ts",
  text: async () =>
    formatted(
      types.path,
      `/** What a user writes, as types. Written by \`npm run generate\` from config/schema: do not edit it. */
import type { Input } from "@pulumi/pulumi";

${typeDeclarations("ClusterArgs", shapeOf(stackSchema))}`,
    ),
};

const versions: Generated = {
  path: "docs/reference/versions.md",
  text: async () =>
    formatted(
      versions.path,
      `# Versions

<!-- Written by \`npm run generate\` from model/releases.json. Do not edit it. -->

What the program knows of other projects' releases, as of ${catalogueDate}. A stack without versions gets Kubernetes
${defaultVersions.kubernetes} and Cilium ${defaultVersions.cilium}. A preview warns of versions that are not tested together and of releases that no longer
get fixes. It rejects Kubernetes versions older than 1.${oldestKubernetesMinor}.

${releaseTables()}`,
    ),
};

export const generated: readonly Generated[] = [reference, project, types, versions];

async function generate(): Promise<void> {
  for (const { path, text } of generated) writeFileSync(join(root, path), await text());
}

if (require.main === module) void generate();
