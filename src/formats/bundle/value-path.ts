/**
 * Where one value of a chart stands, as bundle.yaml writes it under `imageValues`: keys joined by dots, such as
 * `sections.core.image`. A backslash takes the next dot or backslash as part of the key: `images.docker\.io`. Where the values
 * hold a list, a decimal number counts its items from 0.
 */

/** The keys in their order; `undefined` when one is empty, or a backslash stands before anything else. */
export function parseValuePath(path: string): readonly string[] | undefined {
  const keys: string[] = [];
  let key = '';
  for (let index = 0; index < path.length; index++) {
    const char = path[index] as string;
    if (char === '\\') {
      const next = path[++index];
      if (next !== '.' && next !== '\\') return undefined;
      key += next;
    } else if (char === '.') {
      keys.push(key);
      key = '';
    } else key += char;
  }
  keys.push(key);
  return keys.includes('') ? undefined : keys;
}
