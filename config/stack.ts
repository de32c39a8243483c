/** The config of a Pulumi stack. */
import * as pulumi from "@pulumi/pulumi";
import { hostInputs, type StackConfig } from "../model/stack-config";
import { ConfigError } from "../model/messages";
import { rejectionMarkdown } from "../preview/markdown";
import { loadConfig } from "./load";
import { readProjectFile } from "./project-file";
import { type ConfigSource } from "./source";
import { writePlanFile } from "../preview/plan-file";
import { userError } from "../model/report";

/**
 * Loads the current stack's config. Throws an error that names all problems and nothing else; warnings go to the run's log.
 * Relative paths in it are relative to the working directory, which Pulumi sets to the project's folder.
 *
 * @param cluster the name of the cluster's resource.
 */
export function loadStackConfig(cluster: string): StackConfig {
  const { config, secrets, warnings } = load(cluster);
  for (const warning of warnings) {
    void pulumi.log.warn(warning);
  }
  return {
    prefix: "",
    config,
    known: pulumi.output(config),
    hosts: config.nodes.map(({ host }) => hostInputs(host)),
    secrets: Object.fromEntries(
      Object.entries(secrets)
        .filter(([, value]) => value !== undefined)
        .map(([key, value]) => [key, pulumi.secret(value)]),
    ) as unknown as StackConfig["secrets"],
  };
}

function load(cluster: string) {
  try {
    return loadConfig(stackSource(), readProjectFile);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    writePlanFile(cluster, rejectionMarkdown(error.problems));
    throw userError(error.message);
  }
}

// The SDK's types do not have it, but pulumi.Config uses it.
const { isConfigSecret } = pulumi.runtime as unknown as { isConfigSecret?: (key: string) => boolean };

// Not pulumi.Config: its `get` warns of each secret, and it cannot list the keys.
function stackSource(): ConfigSource {
  const prefix = `${pulumi.getProject()}:`;
  const all = new Map(
    Object.entries(pulumi.runtime.allConfig())
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, value]) => [key.slice(prefix.length), String(value)]),
  );
  return {
    get: (key) => all.get(key),
    getObject: (key) => {
      const text = all.get(key);
      return text === undefined || text === "" ? undefined : (JSON.parse(text) as unknown);
    },
    keys: () => [...all.keys()],
    isEncrypted: (key) => isConfigSecret?.(`${prefix}${key}`) ?? true,
  };
}
