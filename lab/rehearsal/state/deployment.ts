/** Pulumi's deployment format, version 3: what `pulumi stack export` prints and `pulumi stack import` reads. */
import type { Props } from "../values";

export const DEPLOYMENT_VERSION = 3;

/** One resource. */
export interface ResourceState {
  urn: string;
  /** Managed by a provider (and not a component). */
  custom: boolean;
  /** Replaced by a newer one of the same URN; to be deleted. */
  delete?: boolean;
  id?: string;
  type: string;
  inputs?: Props;
  outputs?: Props;
  parent?: string;
  protect?: boolean;
  external?: boolean;
  dependencies?: string[];
  initErrors?: string[];
  /** `<provider's URN>::<provider's ID>`. */
  provider?: string;
  propertyDependencies?: Record<string, string[]>;
  /** Deleted already, its replacement not yet created. */
  pendingReplacement?: boolean;
  additionalSecretOutputs?: string[];
  aliases?: string[];
  retainOnDelete?: boolean;
  deletedWith?: string;
  /** ISO 8601. */
  created?: string;
  /** ISO 8601. */
  modified?: string;
  ignoreChanges?: string[];
  replaceOnChanges?: string[];
  /** Members that this engine only carries along. */
  [key: string]: unknown;
}

export type OperationType = "creating" | "updating" | "deleting";

/** An operation that was running when the state was written. */
export interface PendingOperation {
  resource: ResourceState;
  type: OperationType | "reading" | "importing";
}

export interface Manifest {
  /** ISO 8601. */
  time: string;
  /** SHA-256 of the version, in hex. */
  magic: string;
  version: string;
}

export interface SecretsProvider {
  type: string;
  state?: { salt: string };
}

export interface Deployment {
  manifest: Manifest;
  secrets_providers?: SecretsProvider;
  resources?: ResourceState[];
  pending_operations?: PendingOperation[];
  metadata?: object;
}

/** The document of `stack export` and of the state file. */
export interface UntypedDeployment {
  version: number;
  deployment: Deployment;
}

/** Every URN that the resource needs to exist: nothing of these may be deleted before it. */
export function dependenciesOf(resource: ResourceState): string[] {
  const urns = new Set(resource.dependencies ?? []);
  for (const list of Object.values(resource.propertyDependencies ?? {})) list.forEach((urn) => urns.add(urn));
  if (resource.parent) urns.add(resource.parent);
  if (resource.deletedWith) urns.add(resource.deletedWith);
  if (resource.provider) urns.add(resource.provider.slice(0, resource.provider.lastIndexOf("::")));
  return [...urns];
}

/** The order in which Pulumi writes a resource's members. */
const ORDER = [
  "urn custom delete id type inputs outputs parent protect taint external dependencies initErrors provider",
  "propertyDependencies pendingReplacement additionalSecretOutputs aliases customTimeouts importID retainOnDelete",
  "deletedWith replaceWith created modified sourcePosition stackTrace ignoreChanges hideDiff replaceOnChanges",
].flatMap((line) => line.split(" "));

/** The resource with its members in Pulumi's order, absent and empty ones left out. */
export function inOrder(resource: ResourceState): ResourceState {
  const keys = [...new Set([...ORDER, ...Object.keys(resource)])];
  const members = keys.map((key) => [key, resource[key]] as const);
  return Object.fromEntries(members.filter(([, value]) => !isEmpty(value))) as ResourceState;
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}
