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
  for (const [index, line] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
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
  const tokens = shellPattern(pattern);
  if (tokens === undefined) throw badPattern('The pattern is not complete.', written, at);
  const wholePath = rooted || pattern.includes('/');
  const matches = (path: string) => matchTokens(tokens, wholePath ? path : path.slice(path.lastIndexOf('/') + 1));
  return { negate, folderOnly, matches };
}

function badPattern(message: string, found: string, at: { file: string; line: number }): FormatError {
  return new FormatError('CHART_INVALID', message, { found, at, hint: 'Correct the pattern in .helmignore.' });
}

/** One character, `*` (any run without `/`), or a set. */
type Token = 'star' | ((char: string) => boolean);

/** The patterns of Go's filepath.Match: `*`, `?`, `[a-z]`, `[^a-z]`, `\` quotes. `undefined` when malformed. */
function shellPattern(pattern: string): readonly Token[] | undefined {
  const chars = [...pattern];
  const tokens: Token[] = [];
  for (let index = 0; index < chars.length; index++) {
    const char = chars[index] as string;
    if (char === '*') {
      if (tokens.at(-1) !== 'star') tokens.push('star');
    } else if (char === '?') tokens.push((one) => one !== '/');
    else if (char === '[') {
      const set = readSet(chars, index);
      if (set === undefined) return undefined;
      tokens.push(set.token);
      index = set.end;
    } else {
      if (char === '\\') index++;
      const literal = chars[index];
      if (literal === undefined) return undefined;
      tokens.push((one) => one === literal);
    }
  }
  return tokens;
}

function readSet(chars: readonly string[], start: number): { token: Token; end: number } | undefined {
  let index = start + 1;
  const negated = chars[index] === '^';
  if (negated) index++;
  const ranges: (readonly [number, number])[] = [];
  while (chars[index] !== ']' || ranges.length === 0) {
    const low = readSetChar(chars, index);
    if (low === undefined) return undefined;
    index = low.next;
    let high = low.code;
    if (chars[index] === '-') {
      const end = readSetChar(chars, index + 1);
      if (end === undefined) return undefined;
      high = end.code;
      index = end.next;
    }
    ranges.push([low.code, high]);
  }
  const token = (char: string) => {
    const code = char.codePointAt(0) as number;
    return char !== '/' && ranges.some(([low, high]) => low <= code && code <= high) !== negated;
  };
  return { token, end: index };
}

function readSetChar(chars: readonly string[], index: number): { code: number; next: number } | undefined {
  const char = chars[index];
  if (char === undefined || char === '-' || char === ']') return undefined;
  const quoted = char === '\\';
  const code = (quoted ? chars[index + 1] : char)?.codePointAt(0);
  return code === undefined ? undefined : { code, next: index + (quoted ? 2 : 1) };
}

/** In time of pattern times path at most: only the last star is ever tried again (a regular expression would backtrack). */
function matchTokens(tokens: readonly Token[], path: string): boolean {
  const chars = [...path];
  let token = 0;
  let index = 0;
  let star: { readonly token: number; index: number } | undefined;
  while (index < chars.length || token < tokens.length) {
    const wanted = tokens[token];
    if (wanted === 'star') {
      star = { token, index };
      token++;
    } else if (wanted !== undefined && index < chars.length && wanted(chars[index] as string)) {
      token++;
      index++;
    } else {
      // The last star takes one character more, if it may.
      if (star === undefined || star.index >= chars.length || chars[star.index] === '/') return false;
      star.index++;
      token = star.token + 1;
      index = star.index;
    }
  }
  return true;
}
