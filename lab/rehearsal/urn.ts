/** Names of resources: `urn:pulumi:<stack>::<project>::<parent type>$<type>::<name>`. */

export const STACK_TYPE = "pulumi:pulumi:Stack";
const PROVIDER_PREFIX = "pulumi:providers:";

export interface UrnParts {
  stack: string;
  project: string;
  /** The types of the parents and the resource, joined by `$`. */
  qualifiedType: string;
  name: string;
}

export function parseUrn(urn: string): UrnParts {
  const match = /^urn:pulumi:(.+?)::(.+?)::(.+?)::(.*)$/s.exec(urn);
  if (!match) throw new Error(`"${urn}" is no URN`);
  return { stack: match[1]!, project: match[2]!, qualifiedType: match[3]!, name: match[4]! };
}

export function formatUrn(parts: UrnParts): string {
  return `urn:pulumi:${parts.stack}::${parts.project}::${parts.qualifiedType}::${parts.name}`;
}

/** The URN of a resource under a parent; a stack leaves no trace in its children's types. */
export function makeUrn(stack: string, project: string, parent: string, type: string, name: string): string {
  const parentType = parent ? parseUrn(parent).qualifiedType : "";
  const qualifiedType = parentType && parentType !== STACK_TYPE ? `${parentType}$${type}` : type;
  return formatUrn({ stack, project, qualifiedType, name });
}

export function urnName(urn: string): string {
  return parseUrn(urn).name;
}

/** The resource's own type, without its parents'. */
export function urnType(urn: string): string {
  return parseUrn(urn).qualifiedType.split("$").pop()!;
}

export function isProviderType(type: string): boolean {
  return type.startsWith(PROVIDER_PREFIX);
}

export function providerType(packageName: string): string {
  return PROVIDER_PREFIX + packageName;
}

/** `command` of `command:remote:Command`, `kubernetes` of `pulumi:providers:kubernetes`. */
export function packageOf(type: string): string {
  return isProviderType(type) ? type.slice(PROVIDER_PREFIX.length) : type.split(":")[0]!;
}

/** A reference to a provider is its URN and its ID: `<urn>::<id>`. */
export function parseProviderReference(reference: string): { urn: string; id: string } {
  const at = reference.lastIndexOf("::");
  return { urn: reference.slice(0, at), id: reference.slice(at + 2) };
}

export function formatProviderReference(urn: string, id: string): string {
  return `${urn}::${id}`;
}
