/** Building blocks of the config's schemas. Each one's error text says what is allowed. */
import { z } from "zod";
import { isNetwork, networkOf } from "../../model/cidr";

export function text(pattern: RegExp, allowed: string) {
  return z.string({ error: allowed }).regex(pattern, { error: allowed });
}

/** A whole number; Pulumi hands scalars over as text, structured values as numbers. */
export function wholeNumber(min: number, max: number, what = "a whole number") {
  const allowed = `${what} from ${min} to ${max}`;
  return z.preprocess(
    (v) => (typeof v === "string" && /^\d+$/.test(v) ? Number(v) : v),
    z.number({ error: allowed }).int({ error: allowed }).min(min, { error: allowed }).max(max, { error: allowed }),
  );
}

export function choice<const T extends readonly [string, ...string[]]>(values: T) {
  return z.enum(values, { error: values.join(" or ") });
}

export function yesOrNo() {
  return z.preprocess((v) => (v === "true" ? true : v === "false" ? false : v), z.boolean({ error: "true or false" }));
}

/** An IPv4 network with no host bits and a prefix length within bounds. */
export function network(minPrefix: number, maxPrefix: number, example: string) {
  const allowed = `an IPv4 network of prefix length /${minPrefix} to /${maxPrefix} such as ${example}`;
  return z.string({ error: allowed }).superRefine((value, ctx) => {
    const prefix = Number(value.split("/")[1]);
    if (!isNetwork(value) || prefix < minPrefix || prefix > maxPrefix) {
      const meant = networkOf(value);
      ctx.addIssue(meant && meant !== value ? `${allowed}; for this one write ${meant}` : allowed);
    }
  });
}
