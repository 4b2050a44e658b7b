/**
 * Patterns for schemas and tables as psql and pg_dump read them (PostgreSQL, "Patterns"), without regular expressions: `*` is
 * any text, `?` one character, letters count as small ones; within double quotes everything is as it is, and `""` is a quote.
 */
import { FormatError } from '../errors.ts';

export interface NamePattern {
  /** As it was written. */
  readonly text: string;
  /** Of a table: whether `schema.name` fits. Of a schema: `name` is the schema. */
  fits(schema: string, name: string): boolean;
}

/** `NAME`. @throws FormatError DATABASE_PATTERN_INVALID */
export function parseSchemaPattern(text: string): NamePattern {
  const parts = parse(text);
  if (parts.length !== 1) throw invalid(text, 'a schema: NAME');
  const [schema] = parts as [RegExp];
  return { text, fits: (name) => schema.test(name) };
}

/** `SCHEMA.NAME`, or `NAME` for every schema. @throws FormatError DATABASE_PATTERN_INVALID */
export function parseTablePattern(text: string): NamePattern {
  const parts = parse(text);
  if (parts.length > 2) throw invalid(text, 'a table: SCHEMA.NAME');
  const name = parts.at(-1) as RegExp;
  const schema = parts.length === 2 ? (parts[0] as RegExp) : undefined;
  return { text, fits: (ofSchema, ofTable) => name.test(ofTable) && (schema === undefined || schema.test(ofSchema)) };
}

function parse(text: string): readonly RegExp[] {
  const parts: string[] = [''];
  let isQuoted = false;
  const characters = [...text];
  for (let at = 0; at < characters.length; at += 1) {
    const character = characters[at] as string;
    const last = parts.length - 1;
    if (character === '"') {
      if (isQuoted && characters[at + 1] === '"') {
        parts[last] += '"';
        at += 1;
      } else isQuoted = !isQuoted;
    } else if (isQuoted) parts[last] += plain(character);
    else if (character === '.') parts.push('');
    else if (character === '*') parts[last] += '.*';
    else if (character === '?') parts[last] += '.';
    else parts[last] += plain(character.toLowerCase());
  }
  if (isQuoted) throw invalid(text, 'a closing quote');
  if (parts.includes('')) throw invalid(text, 'names that are not empty');
  return parts.map((part) => new RegExp(`^(?:${part})$`, 'su'));
}

/** A character, in a regular expression. */
function plain(character: string): string {
  return character.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&');
}

function invalid(text: string, expected: string): FormatError {
  return new FormatError('DATABASE_PATTERN_INVALID', 'A pattern for schemas or tables is not well formed', {
    expected,
    found: text,
    hint: 'Write SCHEMA or SCHEMA.TABLE, with * and ? as in file names; a name with other signs goes into double quotes.',
  });
}
