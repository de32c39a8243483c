/** What a program wants of one resource: a RegisterResource or ReadResource request, checked. */
import type { ReadResourceRequest, RegisterResourceRequest } from "@pulumi/pulumi/proto/resource_pb";
import { Props, rejectUnsupported } from "./values";

export interface AliasSpec {
  urn?: string;
  name?: string;
  type?: string;
  stack?: string;
  project?: string;
  parent?: string;
  noParent?: boolean;
}

export interface Goal {
  type: string;
  name: string;
  custom: boolean;
  /** Empty when there is none. */
  parent: string;
  inputs: Props;
  /** Undefined: as the parent. */
  protect: boolean | undefined;
  /** Undefined: as the parent. */
  retainOnDelete: boolean | undefined;
  /** Empty: as the parent. */
  deletedWith: string;
  /** A reference to an explicit provider; empty when there is none. */
  provider: string;
  /** The version of the SDK's package, which names the default provider. */
  version: string;
  dependencies: string[];
  propertyDependencies: Record<string, string[]>;
  deleteBeforeReplace: boolean | undefined;
  ignoreChanges: string[];
  replaceOnChanges: string[];
  additionalSecretOutputs: string[];
  aliases: AliasSpec[];
}

/** A resource that exists without this stack, by its ID. */
export interface ReadGoal {
  id: string;
  goal: Goal;
}

/** A reading takes only some of the options, and nothing from its parent. */
export function readGoalOf(request: ReadResourceRequest): ReadGoal {
  return {
    id: request.getId(),
    goal: {
      type: request.getType(),
      name: request.getName(),
      custom: true,
      parent: request.getParent(),
      inputs: (request.getProperties()?.toJavaScript() ?? {}) as Props,
      protect: false,
      retainOnDelete: false,
      deletedWith: "",
      provider: request.getProvider(),
      version: request.getVersion(),
      dependencies: request.getDependenciesList().sort(),
      propertyDependencies: {},
      deleteBeforeReplace: undefined,
      ignoreChanges: [],
      replaceOnChanges: [],
      additionalSecretOutputs: request.getAdditionalsecretoutputsList(),
      aliases: [],
    },
  };
}

/** Throws on an option that this engine does not perform. */
export function goalOf(request: RegisterResourceRequest): Goal {
  const label = `${request.getType()} "${request.getName()}"`;
  rejectOptions(request, label);
  const inputs = (request.getObject()?.toJavaScript() ?? {}) as Props;
  for (const [key, value] of Object.entries(inputs)) rejectUnsupported(value, `${label}: ${key}`);
  const propertyDependencies: Record<string, string[]> = {};
  request.getPropertydependenciesMap().forEach((dependencies, key) => {
    propertyDependencies[key] = dependencies.getUrnsList().sort();
  });
  return {
    type: request.getType(),
    name: request.getName(),
    custom: request.getCustom(),
    parent: request.getParent(),
    inputs,
    protect: request.hasProtect() ? request.getProtect() : undefined,
    retainOnDelete: request.hasRetainondelete() ? request.getRetainondelete() : undefined,
    deletedWith: request.getDeletedwith(),
    provider: request.getProvider() || (request.getProvidersMap().get(request.getType().split(":")[0]!) ?? ""),
    version: request.getVersion(),
    dependencies: request.getDependenciesList().sort(),
    propertyDependencies,
    deleteBeforeReplace: request.getDeletebeforereplacedefined() ? request.getDeletebeforereplace() : undefined,
    ignoreChanges: request.getIgnorechangesList(),
    replaceOnChanges: request.getReplaceonchangesList(),
    additionalSecretOutputs: request.getAdditionalsecretoutputsList(),
    aliases: [
      ...request.getAliasurnsList().map((urn) => ({ urn })),
      ...request.getAliasesList().map((alias) => {
        if (alias.hasUrn()) return { urn: alias.getUrn() };
        const spec = alias.getSpec()!;
        return {
          name: spec.getName() || undefined,
          type: spec.getType() || undefined,
          stack: spec.getStack() || undefined,
          project: spec.getProject() || undefined,
          parent: spec.getParenturn() || undefined,
          noParent: spec.getNoparent(),
        };
      }),
    ],
  };
}

function rejectOptions(request: RegisterResourceRequest, label: string): void {
  const timeouts = request.getCustomtimeouts();
  const hooks = request.getHooks();
  const used: Record<string, boolean> = {
    "remote components": request.getRemote(),
    import: request.getImportid() !== "",
    customTimeouts: !!timeouts && Object.values(timeouts.toObject()).some((value) => value !== ""),
    transforms: request.getTransformsList().length > 0,
    hooks: !!hooks && Object.values(hooks.toObject()).some((list) => list.length > 0),
    stateMigrations: request.getStateMigrationsList().length > 0,
    replaceWith: request.getReplaceWithList().length > 0,
    replacementTrigger: request.hasReplacementTrigger(),
    envVarMappings: request.getEnvvarmappingsMap().getLength() > 0,
    hideDiffs: request.getHidediffsList().length > 0,
    pluginDownloadURL: request.getPlugindownloadurl() !== "",
    "parameterized packages": request.getPackageref() !== "",
  };
  const unsupported = Object.keys(used).filter((option) => used[option]);
  if (unsupported.length > 0) {
    throw new Error(`${label}: the rehearsal engine does not support ${unsupported.join(", ")}`);
  }
}
