/**
 * Where the statements of a PostgreSQL script begin and end, as its own scanner and psql see it (PostgreSQL, "Lexical
 * Structure"): quoted text, dollar quotes, nested comments, parentheses and the bodies of `begin atomic` functions may hold
 * semicolons. Nothing is parsed beyond that.
 *
 * All of it works on the bytes of UTF-8: every character that matters is ASCII, every other byte may be part of a name. So
 * a script of any size is in memory once.
 */

export interface SqlStatement {
  /** Of its first byte. */
  readonly offset: number;
  /** Its first words, in lower case, without comments: `create`, `index`, `concurrently`. At most 4. */
  readonly words: readonly string[];
}

const WORDS = 4;
const [LF, CR, SPACE, QUOTE, NAME_QUOTE, DOLLAR] = [0x0a, 0x0d, 0x20, 0x27, 0x22, 0x24];
const [OPEN, CLOSE, STAR, HYPHEN, SLASH, SEMICOLON, BACKSLASH, DOT] = [0x28, 0x29, 0x2a, 0x2d, 0x2f, 0x3b, 0x5c, 0x2e];

/** Empty statements are left out. Standard conforming strings are assumed: the session that runs scripts sets them on. */
export function* sqlStatements(script: Uint8Array): Generator<SqlStatement> {
  let offset = -1;
  let words: string[] = [];
  let parentheses = 0;
  let atomic = 0;
  for (let at = 0; at < script.length; ) {
    const byte = script[at] as number;
    const next = script[at + 1];
    if (byte === HYPHEN && next === HYPHEN) {
      at = endOfLine(script, at);
      continue;
    }
    if (byte === SLASH && next === STAR) {
      at = endOfComment(script, at);
      continue;
    }
    // As the scanner has it: blank, tab, line feed, vertical tab, form feed, carriage return.
    if (byte === SPACE || (byte >= 0x09 && byte <= CR)) {
      at += 1;
      continue;
    }
    if (byte === SEMICOLON) {
      at += 1;
      if (parentheses > 0 || atomic > 0) continue;
      if (offset >= 0) yield { offset, words };
      offset = -1;
      words = [];
      continue;
    }
    if (offset < 0) offset = at;
    if (byte === QUOTE || byte === NAME_QUOTE) at = endOfQuoted(script, at, byte, false);
    else if (byte === DOLLAR) at = endOfDollarQuoted(script, at);
    else if (byte === OPEN) {
      parentheses += 1;
      at += 1;
    } else if (byte === CLOSE) {
      if (parentheses > 0) parentheses -= 1;
      at += 1;
    } else if (isDigit(byte)) at = endOfNumber(script, at);
    else if (!isNameStart(byte)) at += 1;
    else {
      const start = at;
      while (at < script.length && isNamePart(script[at] as number)) at += 1;
      if (script[at] === QUOTE && at - start === 1 && (byte | 0x20) === 0x65) {
        at = endOfQuoted(script, at, QUOTE, true);
        continue;
      }
      const inRoutine = createsRoutine(words);
      if (words.length >= WORDS && !inRoutine) continue;
      const word = wordOf(script, start, at);
      if (words.length < WORDS) words.push(word);
      // As psql counts: `begin` opens a body in a function alone, `case` inside one wants an `end` of its own.
      if (parentheses > 0 || !inRoutine) continue;
      if (word === 'begin' || (word === 'case' && atomic > 0)) atomic += 1;
      else if (word === 'end' && atomic > 0) atomic -= 1;
    }
  }
  if (offset >= 0) yield { offset, words };
}

function createsRoutine([first, second, third, fourth]: readonly string[]): boolean {
  if (first !== 'create') return false;
  const what = second === 'or' && third === 'replace' ? fourth : second;
  return what === 'function' || what === 'procedure';
}

/** Longer than any key word: a name, of which the start says that. */
const WORD_BYTES = 64;

function wordOf(script: Uint8Array, start: number, end: number): string {
  let word = '';
  for (let at = start; at < Math.min(end, start + WORD_BYTES); at += 1) {
    word += String.fromCharCode(script[at] as number);
  }
  return word.toLowerCase();
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isNameStart(byte: number): boolean {
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a) || byte === 0x5f || byte >= 0x80;
}

function isNamePart(byte: number): boolean {
  return isNameStart(byte) || isDigit(byte) || byte === DOLLAR;
}

/** `1.5e3`, `0x1F`; and what is glued to it. */
function endOfNumber(script: Uint8Array, at: number): number {
  let end = at;
  for (; end < script.length; end += 1) {
    const byte = script[end] as number;
    if (byte !== DOT && (byte === DOLLAR || !isNamePart(byte))) break;
  }
  return end;
}

function endOfLine(script: Uint8Array, at: number): number {
  let end = at;
  while (end < script.length && script[end] !== LF && script[end] !== CR) end += 1;
  return end;
}

/** Comments nest. */
function endOfComment(script: Uint8Array, at: number): number {
  let depth = 1;
  let place = at + 2;
  while (place < script.length && depth > 0) {
    const [byte, next] = [script[place], script[place + 1]];
    if (byte === SLASH && next === STAR) {
      depth += 1;
      place += 2;
    } else if (byte === STAR && next === SLASH) {
      depth -= 1;
      place += 2;
    } else place += 1;
  }
  return Math.min(place, script.length);
}

/** A doubled quote ends and opens again, which comes to the same; unless backslashes count. */
function endOfQuoted(script: Uint8Array, at: number, quote: number, escapes: boolean): number {
  for (let place = at + 1; place < script.length; place += 1) {
    if (escapes && script[place] === BACKSLASH) place += 1;
    else if (script[place] === quote) {
      if (!escapes || script[place + 1] !== quote) return place + 1;
      place += 1;
    }
  }
  return script.length;
}

/** `$$ … $$`, `$tag$ … $tag$`; a dollar that opens nothing is passed. */
function endOfDollarQuoted(script: Uint8Array, at: number): number {
  let end = at + 1;
  if (end < script.length && isNameStart(script[end] as number)) {
    while (end < script.length && script[end] !== DOLLAR && isNamePart(script[end] as number)) end += 1;
  }
  if (script[end] !== DOLLAR) return at + 1;
  const tag = script.subarray(at, end + 1);
  const close = Buffer.from(script.buffer, script.byteOffset, script.length).indexOf(tag, end + 1);
  return close < 0 ? script.length : close + tag.length;
}

/** Line and column (in characters), both from 1, of a byte. */
export function lineAndColumn(script: Uint8Array, offset: number): { readonly line: number; readonly column: number } {
  let line = 1;
  let lineStart = 0;
  for (let at = 0; at < offset; at += 1) {
    if (script[at] !== LF) continue;
    line += 1;
    lineStart = at + 1;
  }
  let column = 1;
  for (let at = lineStart; at < offset; at += 1) if (startsCharacter(script[at])) column += 1;
  return { line, column };
}

/** The byte at which a character starts, counted from 1, as PostgreSQL counts. */
export function offsetOfCharacter(script: Uint8Array, position: number): number {
  let left = position;
  for (let at = 0; at < script.length; at += 1) {
    if (!startsCharacter(script[at])) continue;
    left -= 1;
    if (left === 0) return at;
  }
  return script.length;
}

/** Bytes that go on with a character are 10xxxxxx. */
function startsCharacter(byte = 0): boolean {
  return (byte & 0xc0) !== 0x80;
}
