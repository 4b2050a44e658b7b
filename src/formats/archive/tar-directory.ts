/**
 * Finds the entries of a ustar archive without reading their content (layout: tar.ts): the headers stand at the start and
 * behind each content, rounded up to 512 bytes. Knows what tar.ts writes: plain files, and the pax records `path` and `size`.
 */

export interface TarEntry {
  readonly path: string;
  /** Where the content starts, in bytes from the start of the archive. */
  readonly offset: number;
  readonly sizeBytes: number;
}

const BLOCK = 512;
const PAX_LIMIT_BYTES = 64 * 1024;
const MAX_ENTRIES = 1_000_000;

/**
 * `read(offset, length)` gives as many bytes as there are, at most `length`.
 *
 * @returns `undefined` when it is not a whole archive of that kind: it is cut, or other entries are in it.
 */
export async function readTarDirectory(
  read: (offset: number, length: number) => Promise<Uint8Array>,
): Promise<TarEntry[] | undefined> {
  const entries: TarEntry[] = [];
  let pax: { path?: string; size?: number } = {};
  for (let offset = 0; entries.length < MAX_ENTRIES; ) {
    const bytes = Buffer.from(await read(offset, BLOCK));
    if (bytes.length < BLOCK) return undefined;
    if (bytes.every((byte) => byte === 0)) return entries;
    const header = decodeHeader(bytes);
    if (header === undefined) return undefined;
    offset += BLOCK;
    if (header.type === 'x') {
      if (header.sizeBytes > PAX_LIMIT_BYTES) return undefined;
      const records = decodePax(await read(offset, header.sizeBytes));
      if (records === undefined) return undefined;
      pax = records;
    } else {
      const sizeBytes = pax.size ?? header.sizeBytes;
      entries.push({ path: pax.path ?? header.path, offset, sizeBytes });
      pax = {};
      header.sizeBytes = sizeBytes;
    }
    offset += Math.ceil(header.sizeBytes / BLOCK) * BLOCK;
  }
  return undefined;
}

function decodeHeader(bytes: Buffer): { path: string; sizeBytes: number; type: string } | undefined {
  const field = (from: number, length: number) => {
    const text = bytes.toString('latin1', from, from + length);
    const end = text.indexOf('\0');
    return end < 0 ? text : text.slice(0, end);
  };
  const number = (from: number, length: number) => {
    const digits = field(from, length).trim();
    return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : undefined;
  };
  const sum = bytes.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
  const sizeBytes = number(124, 12);
  const type = field(156, 1);
  if (field(257, 5) !== 'ustar' || number(148, 8) !== sum || sizeBytes === undefined) return undefined;
  if (type !== '0' && type !== 'x') return undefined;
  const prefix = field(345, 155);
  return { path: prefix === '' ? field(0, 100) : `${prefix}/${field(0, 100)}`, sizeBytes, type };
}

/** `LENGTH KEY=VALUE\n`, one after the other. */
function decodePax(bytes: Uint8Array): { path?: string; size?: number } | undefined {
  const found: { path?: string; size?: number } = {};
  let rest = Buffer.from(bytes);
  while (rest.length > 0) {
    const length = Number(/^([1-9][0-9]{0,4}) /.exec(rest.toString('latin1', 0, 8))?.[1]);
    if (!(length <= rest.length)) return undefined;
    const [, key, value] = /^[0-9]+ ([^=]+)=([\s\S]*)\n$/.exec(rest.toString('utf8', 0, length)) ?? [];
    if (key === 'path') found.path = value ?? '';
    else if (key === 'size' && /^[0-9]{1,15}$/.test(value ?? '')) found.size = Number(value);
    else return undefined;
    rest = rest.subarray(length);
  }
  return found;
}
