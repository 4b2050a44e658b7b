/**
 * The sealed lists (docs/format-bundle.md, "Lists"): a ustar archive of contents.json and placement.json, in this order,
 * uid 0, time 0, mode 0644, padded with zeros to a multiple of 64 KiB so that its length says little. Sealed as one age file.
 */
import { buffer } from 'node:stream/consumers';
import { extract, pack } from 'tar-stream';
import type { Digest } from '../../core/digest.ts';
import { FormatError } from '../errors.ts';
import { type Contents, decodeContents, encodeContents, LISTS_MAX_BYTES, rootDigestOf } from './contents.ts';
import { decodePlacement, encodePlacement, type Placement } from './placement.ts';

const NAMES = ['contents.json', 'placement.json'] as const;
const PADDING_BYTES = 64 * 1024;

export interface Lists {
  readonly root: Digest;
  readonly contents: Contents;
  readonly placement: Placement;
}

export async function encodeLists(contents: Contents, placement: Placement): Promise<Uint8Array> {
  const archive = pack();
  for (const [name, bytes] of [
    [NAMES[0], encodeContents(contents)],
    [NAMES[1], encodePlacement(placement)],
  ] as const) {
    archive.entry({ name, size: bytes.length, mode: 0o644, uid: 0, gid: 0, mtime: new Date(0) }, Buffer.from(bytes));
  }
  archive.finalize();
  const parts: Uint8Array[] = [];
  for await (const part of archive) parts.push(part as Uint8Array);
  const tar = Buffer.concat(parts);
  return Buffer.concat([tar], Math.ceil(tar.length / PADDING_BYTES) * PADDING_BYTES);
}

/** @throws FormatError LISTS_INVALID, CONTENTS_INVALID, PLACEMENT_INVALID */
export async function decodeLists(bytes: Uint8Array): Promise<Lists> {
  if (bytes.length > LISTS_MAX_BYTES) {
    throw new FormatError('LISTS_INVALID', 'the sealed lists are larger than any bundle needs', {
      expected: LISTS_MAX_BYTES,
      found: bytes.length,
    });
  }
  const files = new Map<string, Uint8Array>();
  const archive = extract();
  archive.end(Buffer.from(bytes));
  try {
    for await (const entry of archive) {
      const name: string = entry.header.name;
      if (entry.header.type !== 'file' || name !== NAMES[files.size]) {
        throw new FormatError('LISTS_INVALID', 'the sealed lists hold something else than the two lists', {
          found: name,
        });
      }
      files.set(name, await buffer(entry));
    }
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    throw new FormatError('LISTS_INVALID', 'the sealed lists are not a tar archive', { cause });
  }
  const [contentsBytes, placementBytes] = NAMES.map((name) => files.get(name));
  if (contentsBytes === undefined || placementBytes === undefined) {
    throw new FormatError('LISTS_INVALID', 'the sealed lists are not complete', { expected: NAMES.join(', ') });
  }
  const root = rootDigestOf(contentsBytes);
  const placement = decodePlacement(placementBytes);
  if (placement.root !== root) {
    throw new FormatError('LISTS_INVALID', 'placement.json belongs to another contents.json', {
      expected: placement.root,
      found: root,
    });
  }
  return { root, contents: decodeContents(contentsBytes), placement };
}
