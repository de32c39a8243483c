/** `npm run docs`: writes two pages of docs/reference: config.md (from the schema, Pulumi.yaml and docs/fields.yaml) and versions.md. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { format } from "prettier";
import { parse } from "yaml";
import { hostProfileSchema, stackSchema } from "../config/schema/stack";
import { catalogueDate, defaultVersions, oldestKubernetesMinor } from "../model/releases";
import { referenceTables, sectionsOf } from "./reference";
import { releaseTables } from "./releases";

const root = join(__dirname, "..");
export const referencePath = join(root, "docs/reference/config.md");
export const versionsPath = join(root, "docs/reference/versions.md");

const head = `# Config reference

<!-- Written by \`npm run docs\` from config/schema/stack.ts, Pulumi.yaml and docs/fields.yaml. Do not edit it. -->

The keys of \`Pulumi.<stack>.yaml\`, each with the prefix \`tailkube:\`. Every stack needs \`nodes\` and \`sshPrivateKey\` (or its
file). A tailnet also needs \`tailnetAuthKey\` (or its file), or credentials that let the program create keys. A LAN needs
\`endpoint\`, and \`nodeCidr\` or \`nodeInterface\`. An empty text means "not set". Paths are relative to the project's folder.

"Allowed" is what the program prints when it rejects a value. The program checks rules between keys, such as overlapping networks or
incompatible versions, before it connects to any host, and the preview reports all problems at once. [examples/](../../examples) has
whole stacks.
`;

/** Descriptions: Pulumi.yaml has those of the stack's keys, docs/fields.yaml those of the keys inside them. */
export function words(): Map<string, string> {
  const project = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8")) as {
    config: Record<string, { description?: string }>;
  };
  const fields = parse(readFileSync(join(root, "docs/fields.yaml"), "utf8")) as Record<string, string>;
  return new Map([
    ...Object.entries(project.config).flatMap(([key, { description }]): [string, string][] =>
      description === undefined ? [] : [[key, description]],
    ),
    ...Object.entries(fields),
  ]);
}

/** All sections of the reference: the stack's config, and the file that `hostProfile` names. */
export function allSections() {
  return [...sectionsOf(stackSchema), ...sectionsOf(hostProfileSchema, "hostProfile")];
}

/** The whole page, formatted like the project's other files. */
export async function reference(): Promise<string> {
  return format(`${head}\n${referenceTables(allSections(), words())}`, { parser: "markdown", printWidth: 120 });
}

const versionsHead = `# Versions

<!-- Written by \`npm run docs\` from model/releases.json. Do not edit it. -->

What the program knows of other projects' releases, as of ${catalogueDate}. A stack without versions gets Kubernetes
${defaultVersions.kubernetes} and Cilium ${defaultVersions.cilium}. A preview warns of versions that are not tested together and of releases that no longer
get fixes. It rejects Kubernetes versions older than 1.${oldestKubernetesMinor}.
`;

/** The page of the catalogue, formatted like the project's other files. */
export async function versions(): Promise<string> {
  return format(`${versionsHead}\n${releaseTables()}`, { parser: "markdown", printWidth: 120 });
}

if (require.main === module) {
  void reference().then((text) => writeFileSync(referencePath, text));
  void versions().then((text) => writeFileSync(versionsPath, text));
}
