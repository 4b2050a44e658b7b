/**
 * Paths inside a bundle. Media are FAT, and bundles are unpacked on machines that are not ours, so a path must be a clean
 * relative one that every file system can hold.
 */

const RESERVED = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/i;

/** No `..`, `.`, empty or absolute parts, no backslash, no control characters, nothing that FAT cannot name. */
export function isBundlePath(path: string): boolean {
  if (path === '' || path.length > 240) return false;
  return path.split('/').every(isCleanPart);
}

function isCleanPart(part: string): boolean {
  if (part === '' || part === '.' || part === '..') return false;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0000-\u001f\u007f\\:*?"<>|]/.test(part)) return false;
  if (!part.isWellFormed() || Buffer.byteLength(part) > 240) return false;
  return !/[. ]$/.test(part) && !RESERVED.test(part);
}

/** Two paths with the same fold are one file on FAT. */
export function foldBundlePath(path: string): string {
  return path.normalize('NFC').toLowerCase();
}

/**
 * The paths that cannot stand beside one another: equal without regard to case, or one the folder of the other.
 * Answers pairs of indexes, the later first.
 */
export function clashingPaths(paths: readonly string[]): readonly (readonly [number, number])[] {
  const files = new Map<string, number>();
  const folders = new Map<string, number>();
  const clashes: [number, number][] = [];
  for (const [index, path] of paths.entries()) {
    const parts = foldBundlePath(path).split('/');
    const whole = parts.join('/');
    const parents = parts.slice(0, -1).map((_, depth) => parts.slice(0, depth + 1).join('/'));
    const earlier = [files.get(whole), folders.get(whole), ...parents.map((parent) => files.get(parent))];
    const first = earlier.find((value) => value !== undefined);
    if (first !== undefined) clashes.push([index, first]);
    if (!files.has(whole)) files.set(whole, index);
    for (const parent of parents) if (!folders.has(parent)) folders.set(parent, index);
  }
  return clashes;
}
