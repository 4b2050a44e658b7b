import { FormatError } from '../errors.ts';

/**
 * .helmignore in helm's way (helm, "The .helmignore File"): shell patterns without `**`, rules in order, the first match
 * decides; a rule that ends in `/` is for folders, one with a `/` inside is matched against the whole path, one without
 * against the last part. A negative rule ignores everything that it does NOT match, which is helm's behaviour, not git's.
 * Hidden files directly in templates/ are always left out.
 */

export interface IgnoreRules {
  /** `path` is relative to the chart, with `/`. A folder that is ignored is ignored with its content. */
  ignores(path: string, isFolder: boolean): boolean;
}

interface Rule {
  readonly negate: boolean;
  readonly folderOnly: boolean;
  readonly matches: (path: string) => boolean;
}

/** @throws FormatError CHART_INVALID for a pattern that helm refuses. */
export function decodeHelmignore(text: string, file: string): IgnoreRules {
  const rules: Rule[] = [];
  for (const [index, line] of text.replace(/^\uFEFF/, '').split('\n').entries()) {
    const rule = decodeRule(line.trim(), { file, line: index + 1 });
    if (rule !== undefined) rules.push(rule);
  }
  const always = decodeRule('templates/.?*', { file, line: 0 });
  if (always !== undefined) rules.push(always);
  return { ignores: (path, isFolder) => ignores(rules, path, isFolder) };
}

function ignores(rules: readonly Rule[], path: string, isFolder: boolean): boolean {
  if (path === '' || path === '.' || path === './') return false;
  for (const rule of rules) {
    const wrongKind = rule.folderOnly && !isFolder;
    if (rule.negate) {
      if (wrongKind || !rule.matches(path)) return true;
    } else if (!wrongKind && rule.matches(path)) return true;
  }
  return false;
}

function decodeRule(written: string, at: { file: string; line: number }): Rule | undefined {
  if (written === '' || written.startsWith('#')) return undefined;
  if (written.includes('**')) throw badPattern('`**` is not supported by helm.', written, at);
  const negate = written.startsWith('!');
  let pattern = negate ? written.slice(1) : written;
  const folderOnly = pattern.endsWith('/');
  if (folderOnly) pattern = pattern.slice(0, -1);
  const rooted = pattern.startsWith('/');
  if (rooted) pattern = pattern.slice(1);
  const expression = shellPattern(pattern);
  if (expression === undefined) throw badPattern('The pattern is not complete.', written, at);
  const wholePath = rooted || pattern.includes('/');
  const matches = (path: string) => expression.test(wholePath ? path : path.slice(path.lastIndexOf('/') + 1));
  return { negate, folderOnly, matches };
}

function badPattern(message: string, found: string, at: { file: string; line: number }): FormatError {
  return new FormatError('CHART_INVALID', message, { found, at, hint: 'Correct the pattern in .helmignore.' });
}

/** The patterns of Go's filepath.Match: `*`, `?`, `[a-z]`, `[^a-z]`, `\` quotes. `undefined` when malformed. */
function shellPattern(pattern: string): RegExp | undefined {
  let source = '';
  for (let index = 0; index < pattern.length; index++) {
    const char = pattern[index] as string;
    if (char === '*') source += '[^/]*';
    else if (char === '?') source += '[^/]';
    else if (char === '\\') {
      index++;
      if (index >= pattern.length) return undefined;
      source += quote(pattern[index] as string);
    } else if (char === '[') {
      const end = classEnd(pattern, index);
      if (end === undefined) return undefined;
      source += end.source;
      index = end.index;
    } else source += quote(char);
  }
  // Adjacent stars are one: `[^/]*[^/]*` repeated would backtrack without end.
  return new RegExp(`^${source.replaceAll(/(?:\[\^\/\]\*)+/g, '[^/]*')}$`, 's');
}

function classEnd(pattern: string, start: number): { source: string; index: number } | undefined {
  let index = start + 1;
  const negated = pattern[index] === '^';
  if (negated) index++;
  let source = '';
  const first = index;
  while (index < pattern.length) {
    if (pattern[index] === ']' && index > first) {
      try {
        const whole = negated ? `(?!/)[^${source}]` : `[${source}]`;
        new RegExp(whole);
        return { source: whole, index };
      } catch {
        return undefined;
      }
    }
    if (pattern[index] === ']' || pattern[index] === '-') return undefined;
    const low = classChar(pattern, index);
    if (low === undefined) return undefined;
    index = low.next;
    source += quote(low.char);
    if (pattern[index] === '-') {
      const high = classChar(pattern, index + 1);
      if (high === undefined || pattern[index + 1] === ']') return undefined;
      source += `-${quote(high.char)}`;
      index = high.next;
    }
  }
  return undefined;
}

function classChar(pattern: string, index: number): { char: string; next: number } | undefined {
  const quoted = pattern[index] === '\\';
  const char = pattern[quoted ? index + 1 : index];
  return char === undefined ? undefined : { char, next: index + (quoted ? 2 : 1) };
}

function quote(char: string): string {
  return /[\\^$.*+?()[\]{}|/-]/.test(char) ? `\\${char}` : char;
}
