/** The config of a Pulumi stack: `config/load.ts` on what the engine hands over. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import type { StackConfig } from "../model/stack-config";
import { ConfigError } from "../model/messages";
import { refusalMarkdown } from "../preview/markdown";
import { loadConfig } from "./load";
import { type ConfigSource } from "./source";
import { writePlanFile } from "../preview/plan-file";
import { reported } from "../model/report";

/**
 * Loads the current stack's config. Throws an error that names all problems and nothing else; warnings go to the run's log.
 * Relative paths in it are relative to the working directory, which Pulumi sets to the project's folder.
 */
export function loadStackConfig(): StackConfig {
  const { config, secrets, warnings } = load();
  for (const warning of warnings) {
    void pulumi.log.warn(warning);
  }
  return {
    config,
    secrets: {
      sshPrivateKey: pulumi.secret(secrets.sshPrivateKey),
      ...(secrets.tailnetAuthKey !== undefined && { tailnetAuthKey: pulumi.secret(secrets.tailnetAuthKey) }),
      ...(secrets.tailnetControlPlaneAuthKey !== undefined && {
        tailnetControlPlaneAuthKey: pulumi.secret(secrets.tailnetControlPlaneAuthKey),
      }),
      ...(secrets.tailnetApiKey !== undefined && { tailnetApiKey: pulumi.secret(secrets.tailnetApiKey) }),
      ...(secrets.tailnetOauthClientSecret !== undefined && {
        tailnetOauthClientSecret: pulumi.secret(secrets.tailnetOauthClientSecret),
      }),
      ...(secrets.registryCredentials !== undefined && {
        registryCredentials: pulumi.secret(secrets.registryCredentials),
      }),
    },
  };
}

function load() {
  try {
    return loadConfig(stackSource(), readProjectFile);
  } catch (error) {
    if (!(error instanceof ConfigError)) {
      throw error;
    }
    writePlanFile(refusalMarkdown(error.problems));
    throw reported(error.message);
  }
}

// There, but not in the SDK's types: pulumi.Config asks it.
const { isConfigSecret } = pulumi.runtime as unknown as { isConfigSecret?: (key: string) => boolean };

// Not pulumi.Config: its `get` warns of each secret, and it does not tell which keys there are.
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
      return text === undefined || text === "" ? undefined : JSON.parse(text);
    },
    keys: () => [...all.keys()],
    isEncrypted: (key) => isConfigSecret?.(`${prefix}${key}`) ?? true,
  };
}

function readProjectFile(path: string): string {
  const full = path.startsWith("~/") ? join(homedir(), path.slice(2)) : resolve(path);
  return readFileSync(full, "utf8");
}
