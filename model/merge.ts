/** Plain objects of configuration values. */
export type Values = Record<string, unknown>;

/** Whether a value is an object of further values, not a list or a scalar. */
export function isValues(value: unknown): value is Values {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Merges `over` into a copy of `base` like Helm: objects key by key; everything else is replaced. */
export function merge(base: Values, over: Values): Values {
  const result: Values = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = result[key];
    result[key] = isValues(below) && isValues(value) ? merge(below, value) : value;
  }
  return result;
}
