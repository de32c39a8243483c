/** The rules as policies of @pulumi/policy. */
import {
  type Policies,
  type ResourceValidationPolicy,
  type StackValidationPolicy,
  UnknownValueError,
} from "@pulumi/policy";
import { secretInputs } from "./marks";
import { type CheckedResource, isObject, type Rule, unknown } from "./rule";
import { secretsMarked } from "./secrets";

/** What all policies of a run know together; one for each pack, for it keeps what it has seen. */
export function policies(rules: readonly Rule[]): Policies {
  /** By URN. An engine has every resource remediated before it has it validated. */
  const marks = new Map<string, Set<string>>();
  return rules.map((rule) => (rule.about === "inputs" ? aboutInputs(rule, marks) : aboutOutputs(rule, marks)));
}

function aboutInputs(rule: Rule, marks: Map<string, Set<string>>): ResourceValidationPolicy {
  return {
    name: rule.name,
    description: rule.description,
    ...(rule === secretsMarked && {
      // Remediates nothing: it is called where secrets are marked. Its violations are mandatory all the same.
      enforcementLevel: "remediate",
      remediateResource: ({ urn, props }) => void marks.set(urn, secretInputs(props)),
    }),
    validateResource: ({ type, name, urn, props, opts }, report) => {
      const seen = marks.get(urn);
      if (seen === undefined) {
        report(`unknown which inputs are secret. Enable the policy ${secretsMarked.name} at the level remediate`);
      }
      const { additionalSecretOutputs } = opts;
      const resource = {
        type,
        name,
        properties: plain(props),
        secretInputs: seen ?? new Set<string>(),
        additionalSecretOutputs,
      };
      rule.violations(resource).forEach((line) => report(line));
    },
  };
}

function aboutOutputs(rule: Rule, marks: Map<string, Set<string>>): StackValidationPolicy {
  return {
    name: rule.name,
    description: rule.description,
    validateStack: ({ resources }, report) => {
      // Outputs of components are those of their children, and nobody tells which of them are secret.
      for (const { type, name, urn, props, opts } of resources.filter(({ type }) => !isComponent(type))) {
        const resource: CheckedResource = {
          type,
          name,
          properties: plain(props),
          secretInputs: marks.get(urn) ?? new Set(),
          additionalSecretOutputs: opts.additionalSecretOutputs,
        };
        rule.violations(resource).forEach((line) => report(line, urn));
      }
    },
  };
}

function isComponent(type: string): boolean {
  return type.startsWith("tailkube:") || type === "pulumi:pulumi:Stack" || type === "pulumi:pulumi:StackReference";
}

/** The properties without the proxies that throw on what is unknown. */
function plain(props: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.keys(props).map((key) => [key, plainValue(props, key)] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

function plainValue(parent: Record<string, unknown>, key: string): unknown {
  let value: unknown;
  try {
    value = parent[key];
  } catch (error) {
    if (error instanceof UnknownValueError) return unknown;
    throw error;
  }
  if (Array.isArray(value)) {
    const list = value as unknown as Record<string, unknown>;
    return Array.from({ length: value.length }, (_, i) => plainValue(list, `${i}`));
  }
  return isObject(value) ? plain(value) : value;
}
