/** The provider that a package's resources have when the program gives them none. */
import type { Config } from "../config";
import type { Goal } from "../goal";
import { providerType } from "../urn";
import { Props, secret } from "../values";

/** As Pulumi's engine makes it: named after the package's version, configured by the stack's config. */
export function defaultProviderGoal(packageName: string, version: string, config: Config): Goal {
  return withProviderVersion({
    type: providerType(packageName),
    name: version ? `default_${version.replace(/[^A-Za-z0-9]/g, "_")}` : "default",
    custom: true,
    parent: "",
    inputs: packageConfig(packageName, config),
    protect: undefined,
    retainOnDelete: undefined,
    deletedWith: "",
    provider: "",
    version,
    dependencies: [],
    propertyDependencies: {},
    deleteBeforeReplace: undefined,
    ignoreChanges: [],
    replaceOnChanges: [],
    additionalSecretOutputs: [],
    aliases: [],
  });
}

/** A provider's inputs name the version of its package. */
export function withProviderVersion(goal: Goal): Goal {
  if (!goal.version) return goal;
  return { ...goal, inputs: { ...goal.inputs, __internal: {}, version: goal.version } };
}

function packageConfig(packageName: string, config: Config): Props {
  const inputs: Props = {};
  for (const [key, value] of Object.entries(config.values)) {
    const [namespace, name] = key.split(/:(.*)/s);
    if (namespace !== packageName || !name) continue;
    inputs[name] = config.secretKeys.includes(key) ? secret(value) : value;
  }
  return inputs;
}
