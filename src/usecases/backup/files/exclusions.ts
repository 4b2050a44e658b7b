/**
 * Patterns of `--exclude-files`. `*` and `?` stand for characters of one name, `**` for whole names, also for none. A pattern
 * without a slash fits a name in any folder; one with a slash is of the whole path below the source's folder. What is below a
 * folder that is left out is left out too.
 */
export interface Exclusions {
  /** `path` below the source's folder, as the contents show it. */
  excludes(path: string): boolean;
  /** Patterns that fitted nothing so far. */
  unused(): readonly string[];
}

interface Rule {
  readonly pattern: string;
  readonly fits: RegExp;
  readonly isOfPath: boolean;
}

export function createExclusions(patterns: readonly string[]): Exclusions {
  const rules = patterns.map(ruleOf);
  const used = new Set<string>();
  return {
    excludes(path) {
      const name = path.slice(path.lastIndexOf('/') + 1);
      const rule = rules.find(({ fits, isOfPath }) => fits.test(isOfPath ? path : name));
      if (rule !== undefined) used.add(rule.pattern);
      return rule !== undefined;
    },
    unused: () => patterns.filter((pattern) => !used.has(pattern)),
  };
}

function ruleOf(pattern: string): Rule {
  const path = pattern.replace(/^\.?\/+/, '').replace(/\/+$/, '');
  // `/tmp` and `./tmp` say where; `tmp/` does not.
  const isOfPath = path.includes('/') || /^\.?\//.test(pattern);
  const parts = path.split('/').map((part) => (part === '**' ? undefined : namePattern(part)));
  let source = '';
  for (const [index, part] of parts.entries()) {
    const isLast = index === parts.length - 1;
    if (part === undefined) source += isLast ? '.+' : '(?:[^/]+/)*';
    else source += isLast ? part : `${part}/`;
  }
  return { pattern, fits: new RegExp(`^${source}$`, 'su'), isOfPath };
}

function namePattern(part: string): string {
  return part
    .replace(/[\\^$.|+()[\]{}]/g, '\\$&')
    .replaceAll('*', '[^/]*')
    .replaceAll('?', '[^/]');
}
