/** Which inputs of a resource are secret, as far as an engine tells a policy pack. */
import { Secret } from "@pulumi/policy";
import { isObject } from "./rule";

/**
 * A validation gets its resource's secrets in plain, without a mark. A remediation gets them through proxies that keep the
 * marks for what it writes; what is behind them has this name there (`getSpecialProxyTarget` of @pulumi/policy 1.21.0, which
 * is pinned for it).
 */
const behindProxy = "__getSpecialProxyTarget";

/**
 * The top-level inputs that are secret or hold a secret.
 *
 * @param props of a remediation's arguments. Throws if the marks cannot be seen: nothing passes for want of them.
 */
export function secretInputs(props: Record<string, unknown>): Set<string> {
  let inputs: unknown = props;
  for (let layers = 0; ; layers++) {
    const inner: unknown = (inputs as Record<string, unknown>)[behindProxy];
    if (inner === undefined) {
      if (layers === 0) throw new Error("this release of @pulumi/policy does not show which inputs are secret");
      break;
    }
    inputs = inner;
  }
  return new Set(
    Object.entries(inputs as Record<string, unknown>).flatMap(([key, value]) => (hasMark(value) ? [key] : [])),
  );
}

function hasMark(value: unknown): boolean {
  if (value instanceof Secret) return true;
  if (Array.isArray(value)) return value.some(hasMark);
  return isObject(value) && Object.values(value).some(hasMark);
}
