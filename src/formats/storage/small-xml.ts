/**
 * Small documents of XML as services answer them: elements, their text, and the five entities of XML. A document type, comments,
 * CDATA and processing instructions are refused, and so is whatever is larger than such an answer is: the sender is not trusted.
 */
import { FormatError } from '../errors.ts';

export interface XmlElement {
  readonly name: string;
  /** Of the element itself; white space at the ends is not part of it. */
  readonly text: string;
  readonly children: readonly XmlElement[];
}

interface Limits {
  readonly maxBytes: number;
  readonly maxElements: number;
}

const MAX_DEPTH = 16;
const LIMITS: Limits = { maxBytes: 64 * 1024, maxElements: 200 };
const DECLARATION = /^\s*<\?xml [^<>?]*\?>/;
/** An opening tag, with `/` when it ends itself; or a closing one. Attributes say nothing that is needed. */
const TAG = /<(?:([A-Za-z_][\w.-]*)((?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)|\/([A-Za-z_][\w.-]*)\s*)>/y;

interface Open {
  readonly name: string;
  text: string;
  readonly children: XmlElement[];
}

/** @throws FormatError STS_ANSWER_INVALID */
export function parseSmallXml(bytes: Uint8Array): XmlElement {
  if (bytes.length > LIMITS.maxBytes) throw invalid('it is too large');
  const text = decodeUtf8(bytes);
  const open: Open[] = [];
  let elements = 0;
  let root: XmlElement | undefined;
  for (let at = DECLARATION.exec(text)?.[0].length ?? 0; ; ) {
    const next = text.indexOf('<', at);
    const between = text.slice(at, next === -1 ? text.length : next);
    const inside = open.at(-1);
    if (inside !== undefined) inside.text += unescaped(between);
    else if (between.trim() !== '') throw invalid('it has text outside of its element');
    if (next === -1) break;
    TAG.lastIndex = next;
    const [tag, opened, , ended, closed] = TAG.exec(text) ?? [];
    if (tag === undefined) throw invalid('it has something other than elements and text');
    at = next + tag.length;
    if (opened !== undefined) {
      elements += 1;
      if (root !== undefined || elements > LIMITS.maxElements || open.length >= MAX_DEPTH) {
        throw invalid('it has too many elements');
      }
      open.push({ name: opened, text: '', children: [] });
      if (ended !== '/') continue;
    }
    const last = open.pop();
    if (last === undefined || (closed !== undefined && closed !== last.name)) throw invalid('its tags do not match');
    const element = { ...last, text: last.text.trim() };
    const parent = open.at(-1);
    if (parent === undefined) root = element;
    else parent.children.push(element);
  }
  if (root === undefined || open.length > 0) throw invalid('it is cut off');
  return root;
}

/**
 * The one element at a path of names below `element`.
 *
 * @throws FormatError STS_ANSWER_INVALID when it is missing or stands twice
 */
export function elementAt(element: XmlElement, ...names: readonly string[]): XmlElement {
  return names.reduce((parent, name) => {
    const [found, ...others] = parent.children.filter((child) => child.name === name);
    if (found === undefined || others.length > 0) throw invalid(`it has ${found === undefined ? 'no' : 'two'} ${name}`);
    return found;
  }, element);
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw invalid('it is not UTF-8');
  }
}

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

function unescaped(text: string): string {
  return text.replace(/&([^;&\s]{0,10};)?/g, (_, entity: string | undefined) => {
    const name = entity?.slice(0, -1) ?? '';
    const [, hex, decimal] = /^#(?:x([0-9A-Fa-f]{1,6})|([0-9]{1,7}))$/.exec(name) ?? [];
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
    const named = ENTITIES[name] ?? (code >= 1 && code <= 0x10ffff ? String.fromCodePoint(code) : undefined);
    if (named === undefined) throw invalid('it has an entity that XML does not know');
    return named;
  });
}

/** Without a part of the answer: it may hold keys. */
export function invalid(problem: string): FormatError {
  return new FormatError('STS_ANSWER_INVALID', `the answer of the token service cannot be read: ${problem}`, {
    hint: 'Check that --sts is the address of a token service of the storage (STS).',
  });
}
