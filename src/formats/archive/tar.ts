/**
 * A deterministic tar writer: POSIX.1-1988 ustar, one header of 512 bytes an entry, the content padded with zeros to 512,
 * two blocks of zeros at the end.
 *
 *     0   100 name      124 12 size       257 6 "ustar\0"   345 155 prefix
 *     100   8 mode      136 12 mtime      263 2 "00"
 *     108   8 uid       148  8 checksum   265 32 user name
 *     116   8 gid       156  1 type       297 32 group name
 *
 * Times are 0, owners are 0 without names, modes are 0644 or 0755. A name that does not fit (100 bytes, or 155 + 100 split
 * at a `/`) or is not ASCII, and a size of 8 GiB or more, are carried by a pax header (POSIX.1-2001, `path` and `size`)
 * before the entry. Same entries, same bytes.
 */

export interface TarFile {
  /** Relative, with `/`. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly executable: boolean;
  /** Exactly `sizeBytes` bytes. Called once. */
  readonly open: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

const BLOCK = 512;
/** What an archive ends with. */
export const TAR_END: Uint8Array = Buffer.alloc(2 * BLOCK);
const SIZE_LIMIT = 8 ** 11;

/** Entries in the order given: sort them first. @throws RangeError when a content has another length than it said. */
export async function* encodeTar(files: Iterable<TarFile> | AsyncIterable<TarFile>): AsyncGenerator<Uint8Array> {
  for await (const file of files) {
    yield tarHeader(file);
    let written = 0;
    for await (const chunk of file.open()) {
      written += chunk.length;
      if (written > file.sizeBytes) break;
      yield chunk;
    }
    if (written !== file.sizeBytes) throw new RangeError(`${file.path} changed its length while it was read`);
    yield tarPadding(file.sizeBytes);
  }
  yield TAR_END;
}

/** What stands before the content of a file. */
export function tarHeader(file: Omit<TarFile, 'open'>): Uint8Array {
  const mode = file.executable ? 0o755 : 0o644;
  const split = splitName(file.path);
  const isLarge = file.sizeBytes >= SIZE_LIMIT;
  if (split !== undefined && !isLarge) return block(split, file.sizeBytes, mode, '0');
  const records = Buffer.concat([
    ...(split === undefined ? [paxRecord('path', file.path)] : []),
    ...(isLarge ? [paxRecord('size', String(file.sizeBytes))] : []),
  ]);
  return Buffer.concat([
    block({ name: 'pax_header', prefix: '' }, records.length, 0o644, 'x'),
    records,
    tarPadding(records.length),
    block(split ?? { name: 'long_name', prefix: '' }, isLarge ? 0 : file.sizeBytes, mode, '0'),
  ]);
}

function splitName(path: string): { name: string; prefix: string } | undefined {
  if (!/^[\u0020-\u007e]+$/.test(path)) return undefined;
  if (path.length <= 100) return { name: path, prefix: '' };
  const slash = path.indexOf('/', Math.max(0, path.length - 101));
  if (slash <= 0 || slash > 155 || slash === path.length - 1) return undefined;
  return { name: path.slice(slash + 1), prefix: path.slice(0, slash) };
}

function block(place: { name: string; prefix: string }, sizeBytes: number, mode: number, type: string): Buffer {
  const bytes = Buffer.alloc(BLOCK);
  bytes.write(place.name, 0, 100, 'latin1');
  bytes.write(octal(mode, 7), 100, 'latin1');
  bytes.write(octal(0, 7), 108, 'latin1');
  bytes.write(octal(0, 7), 116, 'latin1');
  bytes.write(octal(sizeBytes, 11), 124, 'latin1');
  bytes.write(octal(0, 11), 136, 'latin1');
  bytes.write('        ', 148, 'latin1');
  bytes.write(type, 156, 'latin1');
  bytes.write('ustar\u000000', 257, 'latin1');
  bytes.write(place.prefix, 345, 155, 'latin1');
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${octal(sum, 6)}\u0000 `, 148, 'latin1');
  return bytes;
}

/** `LENGTH KEY=VALUE\n`, where LENGTH counts itself. */
function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (String(length).length !== String(rest).length) length = rest + String(length).length;
  return Buffer.from(`${length} ${key}=${value}\n`);
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0');
}

/** What stands behind the content of a file. */
export function tarPadding(sizeBytes: number): Uint8Array {
  return Buffer.alloc((BLOCK - (sizeBytes % BLOCK)) % BLOCK);
}
