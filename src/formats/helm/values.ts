/**
 * Values the way helm merges them (helm, "Values Files"): maps merge key by key, everything else replaces. A `null` stays:
 * it is what makes helm delete the chart's own default.
 */

export type ValuesMap = Readonly<Record<string, unknown>>;

/** `upper` over `lower`. Neither is changed. The result has no prototype, so that no key is special. */
export function mergeValues(lower: ValuesMap, upper: ValuesMap): ValuesMap {
  const merged: Record<string, unknown> = Object.create(null);
  for (const [key, value] of Object.entries(lower)) merged[key] = value;
  for (const [key, value] of Object.entries(upper)) {
    const below = merged[key];
    merged[key] = isValuesMap(below) && isValuesMap(value) ? mergeValues(below, value) : value;
  }
  return merged;
}

/** Later layers over earlier ones. */
export function mergeAllValues(layers: readonly ValuesMap[]): ValuesMap {
  return layers.reduce(mergeValues, Object.create(null) as ValuesMap);
}

export function isValuesMap(value: unknown): value is ValuesMap {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
