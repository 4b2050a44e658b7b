import { type Document, LineCounter, parseAllDocuments, type ScalarTag, type Tags } from 'yaml';
import { FormatError, type FormatErrorCode } from '../errors.ts';
import { isValuesMap, mergeAllValues, type ValuesMap } from './values.ts';

/**
 * YAML as helm and Kubernetes read it: sigs.k8s.io/yaml, which is YAML 1.1 in its scalars (`yes`, `on`, `0755`, `0b1`,
 * `1_000`), leaves timestamps strings, follows `<<`, and lets the last of two equal keys win.
 */

export const VALUES_LIMIT_BYTES = 8 * 1024 * 1024;
const ALIAS_LIMIT = 1000;

const boolTag: ScalarTag = {
  default: true,
  tag: 'tag:yaml.org,2002:bool',
  test: /^(?:y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON|n|N|no|No|NO|false|False|FALSE|off|Off|OFF)$/,
  resolve: (text) => /^(?:y|yes|true|on)$/i.test(text),
};

const intTag: ScalarTag = {
  default: true,
  tag: 'tag:yaml.org,2002:int',
  test: /^(?:[-+]_*)?(?:0[bB][01_]+|0[oO]?[0-7_]*|0[xX][0-9a-fA-F_]+|[1-9][0-9_]*)$/,
  resolve: (text) => {
    const [sign, digits] = /^[-+]/.test(text) ? [text[0], text.slice(1)] : ['', text];
    const plain = digits.replaceAll('_', '');
    const octal = /^0[oO]?([0-7]+)$/.exec(plain);
    const value = octal === null ? Number(plain) : Number.parseInt(octal[1] as string, 8);
    return sign === '-' ? -value : value;
  },
};

const floatTag: ScalarTag = {
  default: true,
  tag: 'tag:yaml.org,2002:float',
  test: /^[-+]?(?:\.[0-9_]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?$/,
  resolve: (text) => Number(text.replaceAll('_', '')),
};

function helmTags(tags: Tags): Tags {
  const own = new Set(['tag:yaml.org,2002:bool', 'tag:yaml.org,2002:int', 'tag:yaml.org,2002:float']);
  // The core schema's infinities stay: they are found, and refused, as numbers that JSON cannot hold.
  const kept = tags.filter(
    (tag) => typeof tag === 'string' || !own.has(tag.tag) || /nan|inf/i.test(String((tag as ScalarTag).test)),
  );
  return [...kept, boolTag, intTag, floatTag];
}

interface ParsedDocument {
  readonly value: unknown;
  readonly line: number;
}

/** Every document of a stream. @throws FormatError with `code`, naming file, line and column. */
export function parseHelmYaml(text: string, file: string, code: FormatErrorCode, firstLine = 1): ParsedDocument[] {
  const lines = new LineCounter();
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line) + firstLine - 1, column: Math.max(1, col) };
  };
  const parsed = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
    schema: 'core',
    merge: true,
    customTags: helmTags,
    logLevel: 'silent',
  });
  const documents = (Array.isArray(parsed) ? parsed : []) as Document[];
  return documents.map((document) => {
    const [error] = document.errors;
    if (error !== undefined) {
      throw new FormatError(code, `Not valid YAML: ${error.message}`, {
        at: place(error.pos[0]),
        hint: 'Correct the YAML at this place.',
      });
    }
    try {
      return {
        value: document.toJS({ maxAliasCount: ALIAS_LIMIT }) as unknown,
        line: place(document.range?.[0] ?? 0).line,
      };
    } catch (cause) {
      throw new FormatError(code, 'The YAML cannot be resolved: it repeats itself too often.', {
        cause,
        at: { file },
        hint: 'Write the repeated part out.',
      });
    }
  });
}

/** A values file: maps, later documents over earlier ones. @throws FormatError VALUES_INVALID. */
export function decodeValues(text: string, file: string): ValuesMap {
  const maps = parseHelmYaml(text, file, 'VALUES_INVALID').flatMap(({ value, line }) => {
    if (value === null || value === undefined) return [];
    if (isValuesMap(value)) return [value];
    throw new FormatError('VALUES_INVALID', 'Values must be a map.', {
      expected: 'a map',
      found: Array.isArray(value) ? 'a list' : typeof value,
      at: { file, line },
      hint: 'Put the values under keys.',
    });
  });
  const merged = mergeAllValues(maps);
  checkNumbers(merged, file, '');
  return merged;
}

/** Values go on as JSON, which has no infinities and keeps integers only up to 2^53. */
function checkNumbers(value: unknown, file: string, key: string): void {
  if (
    typeof value === 'number' &&
    (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)))
  ) {
    throw new FormatError('VALUES_INVALID', 'A number cannot be carried without change.', {
      found: String(value),
      at: { file, key },
      hint: 'Quote it.',
    });
  }
  if (value === null || typeof value !== 'object') return;
  for (const [name, inner] of Object.entries(value)) {
    checkNumbers(inner, file, Array.isArray(value) ? `${key}[${name}]` : key === '' ? name : `${key}.${name}`);
  }
}
