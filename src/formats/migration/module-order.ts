/** An order in which everything comes after what it requires, as near to the given order as that allows. */

export interface Requiring {
  readonly name: string;
  readonly requires: readonly string[];
}

export type Ordered<T> =
  | { readonly kind: 'ordered'; readonly items: readonly T[] }
  /** Names of the loop; the first stands at the end again. */
  | { readonly kind: 'cycle'; readonly loop: readonly string[] }
  | { readonly kind: 'missing'; readonly item: T; readonly name: string };

export function orderByRequirements<T extends Requiring>(items: readonly T[]): Ordered<T> {
  const byName = new Map(items.map((item) => [item.name, item]));
  for (const item of items) {
    const name = item.requires.find((required) => !byName.has(required));
    if (name !== undefined) return { kind: 'missing', item, name };
  }
  const done = new Set<string>();
  const ordered: T[] = [];
  const visit = (item: T, trail: readonly string[]): readonly string[] | undefined => {
    if (done.has(item.name)) return undefined;
    const start = trail.indexOf(item.name);
    if (start >= 0) return [...trail.slice(start), item.name];
    for (const name of item.requires) {
      const loop = visit(byName.get(name) as T, [...trail, item.name]);
      if (loop !== undefined) return loop;
    }
    done.add(item.name);
    ordered.push(item);
    return undefined;
  };
  for (const item of items) {
    const loop = visit(item, []);
    if (loop !== undefined) return { kind: 'cycle', loop };
  }
  return { kind: 'ordered', items: ordered };
}
