/**
 * Keys that come of the repository's id key (docs/format-repository.md, "Keys of chunks"): HKDF-SHA-256 (RFC 5869) of its 32
 * bytes, salted with the 32 characters of the repository's id.
 *
 *     info `portolan chunk id v1`    32 bytes      key of the HMAC-SHA-256 that names chunks
 *     info `portolan chunker v1`     2048 bytes    the gear table: 256 numbers of 64 bits, little endian
 *
 * Without the id key nobody can tell whether a chunk that he knows is in the repository, nor where a known file would be cut.
 */
import { hkdfSync } from 'node:crypto';

export const ID_KEY_BYTES = 32;
export const GEAR_TABLE_BYTES = 256 * 8;

export function deriveChunkIdKey(idKey: Uint8Array, repository: string): Uint8Array {
  return derive(idKey, repository, 'portolan chunk id v1', 32);
}

export function deriveGearTable(idKey: Uint8Array, repository: string): Uint8Array {
  return derive(idKey, repository, 'portolan chunker v1', GEAR_TABLE_BYTES);
}

function derive(idKey: Uint8Array, repository: string, info: string, lengthBytes: number): Uint8Array {
  if (idKey.length !== ID_KEY_BYTES) throw new RangeError(`an id key has ${ID_KEY_BYTES} bytes`);
  return new Uint8Array(hkdfSync('sha256', idKey, repository, info, lengthBytes));
}
