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

The keys of \`Pulumi.<stack>.yaml\`, each with the prefix \`tailkube:\`. Only \`nodes\` and \`sshPrivateKey\` (or its file) have to be set
in every stack; in a tailnet also \`tailnetAuthKey\` (or its file), or what lets the program make keys; in a lan \`endpoint\`, and
\`nodeCidr\` or \`nodeInterface\`. An empty text means "not set". Relative paths are relative to the project's folder.

"Allowed" is what the program itself says when it refuses a value. How keys go together (overlapping networks, versions that exclude each
other and so on) is tested before any host is talked to, and the preview says all of it at once. [examples/](../../examples) has whole
stacks.
`;

/** What each key is: Pulumi.yaml's words for the stack's keys, docs/fields.yaml's for those in them. */
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

/** Everything that the reference has: the stack's config, and the file that `hostProfile` names. */
export function allSections() {
  return [...sectionsOf(stackSchema), ...sectionsOf(hostProfileSchema, "hostProfile")];
}

/** The whole page, formatted as the project's other files are. */
export async function reference(): Promise<string> {
  return format(`${head}\n${referenceTables(allSections(), words())}`, { parser: "markdown", printWidth: 120 });
}

const versionsHead = `# Versions

<!-- Written by \`npm run docs\` from model/releases.json. Do not edit it. -->

What the program knew of other projects' releases on ${catalogueDate}. A stack that names no versions gets Kubernetes
${defaultVersions.kubernetes} and Cilium ${defaultVersions.cilium}. A preview warns of versions that are untested together and of releases that no longer get fixes
them; it refuses a Kubernetes older than 1.${oldestKubernetesMinor}.
`;

/** The page of the catalogue, formatted as the project's other files are. */
export async function versions(): Promise<string> {
  return format(`${versionsHead}\n${releaseTables()}`, { parser: "markdown", printWidth: 120 });
}

if (require.main === module) {
  void reference().then((text) => writeFileSync(referencePath, text));
  void versions().then((text) => writeFileSync(versionsPath, text));
}
