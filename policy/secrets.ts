/** Rules about what the state holds in plain. */
import { type CheckedResource, isObject, type Rule, texts, unknown } from "./rule";
import { holdsSecret } from "./secret-text";

/** Inputs that are secret whatever they hold, by type. */
const alwaysSecret: Readonly<Record<string, readonly string[]>> = {
  "pulumi:providers:kubernetes": ["kubeconfig"],
  "pulumi:providers:tailscale": ["apiKey", "oauthClientSecret"],
  "aws:ec2/instance:Instance": ["userData", "userDataBase64"],
};

/** What the provider of commands logs in by. */
const loginKeys = ["privateKey", "privateKeyPassword", "password"];

function mustBeSecret({ type, properties }: CheckedResource, key: string): boolean {
  const value = properties[key];
  if (value === undefined || value === null || value === unknown) return false;
  const isLogin = key === "connection" && isObject(value) && loginKeys.some((login) => value[login] !== undefined);
  return isLogin || (alwaysSecret[type] ?? []).includes(key) || texts(value).some(holdsSecret);
}

export const secretsMarked: Rule = {
  name: "secrets-marked",
  description: "Keys, kubeconfigs and tokens are marked as secrets, so that the state holds them encrypted.",
  about: "inputs",
  violations(resource) {
    return Object.keys(resource.properties)
      .filter((key) => mustBeSecret(resource, key) && !resource.secretInputs.has(key))
      .map((key) => `${key} contains a secret and is not marked as one. Use pulumi.secret.`);
  },
};

export const secretOutputs: Rule = {
  name: "secret-outputs",
  description: "Outputs of resources with keys, a kubeconfig or a token are secret.",
  about: "outputs",
  violations(resource) {
    const { properties, secretInputs, additionalSecretOutputs } = resource;
    return Object.keys(properties)
      .filter((key) => mustBeSecret(resource, key))
      .filter((key) => !secretInputs.has(key) && !additionalSecretOutputs.includes(key))
      .map(
        (key) =>
          `its output ${key} contains a secret that is not encrypted in the state. Add it to additionalSecretOutputs.`,
      );
  },
};
