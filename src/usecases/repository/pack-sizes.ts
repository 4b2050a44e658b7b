import { type Digest, digestFromHex } from '../../core/digest.ts';
import { packKey } from '../../formats/repository/keys.ts';

/**
 * The sizes of packs by their digests, in 36 bytes for each and what is free. As strings in a Map they take five times that, and every
 * snapshot that names them makes as much again for the garbage collector.
 */
export interface PackSizes {
  readonly count: number;
  /** Returns the size that it has: the one that was given first. */
  add(digest: Digest, sizeBytes: number): number;
  /** `key` may be of any object. */
  sizeOf(key: string): number | undefined;
  /** From 0, in the order in which they came. */
  placeOf(key: string): number | undefined;
  at(place: number): { readonly digest: Digest; readonly key: string; readonly sizeBytes: number };
}

const DIGEST_BYTES = 32;
const DIGEST_HEAD = 'sha256:'.length;
const FIRST_ROOM = 1024;
/** Places are taken up to this share. */
const FULL = 0.5;

export function createPackSizes(): PackSizes {
  let digests = new Uint8Array(FIRST_ROOM * DIGEST_BYTES);
  let sizes = new Uint32Array(FIRST_ROOM);
  /** By hash: a place and 1, or 0. */
  let table = new Uint32Array(FIRST_ROOM / FULL);
  let count = 0;
  const wanted = new Uint8Array(DIGEST_BYTES);

  /** The first bytes are as good as a hash. */
  const hashOf = (bytes: Uint8Array, at: number): number =>
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0;

  /** Where `wanted` stands in the table, or would. */
  function find(): number {
    for (let slot = hashOf(wanted, 0) & (table.length - 1); ; slot = (slot + 1) & (table.length - 1)) {
      const entry = table[slot] as number;
      if (entry === 0 || isAt(entry - 1)) return slot;
    }
  }

  function isAt(place: number): boolean {
    const start = place * DIGEST_BYTES;
    for (let index = 0; index < DIGEST_BYTES; index += 1) {
      if (digests[start + index] !== wanted[index]) return false;
    }
    return true;
  }

  function grow(): void {
    const [oldDigests, oldSizes] = [digests, sizes];
    digests = new Uint8Array(oldDigests.length * 2);
    digests.set(oldDigests);
    sizes = new Uint32Array(oldSizes.length * 2);
    sizes.set(oldSizes);
    table = new Uint32Array(table.length * 2);
    for (let place = 0; place < count; place += 1) {
      let slot = hashOf(digests, place * DIGEST_BYTES) & (table.length - 1);
      while (table[slot] !== 0) slot = (slot + 1) & (table.length - 1);
      table[slot] = place + 1;
    }
  }

  function placeOf(key: string): number | undefined {
    const start = key.length - 2 * DIGEST_BYTES;
    if (!readHex(key, start, wanted) || packKey(digestFromHex(key.slice(start))) !== key) return undefined;
    const entry = table[find()] as number;
    return entry === 0 ? undefined : entry - 1;
  }

  return {
    get count() {
      return count;
    },
    add(digest, sizeBytes) {
      readHex(digest, DIGEST_HEAD, wanted);
      const slot = find();
      const entry = table[slot] as number;
      if (entry > 0) return sizes[entry - 1] as number;
      digests.set(wanted, count * DIGEST_BYTES);
      sizes[count] = sizeBytes;
      count += 1;
      table[slot] = count;
      if (count === sizes.length) grow();
      return sizeBytes;
    },
    sizeOf(key) {
      const place = placeOf(key);
      return place === undefined ? undefined : sizes[place];
    },
    placeOf,
    at(place) {
      const bytes = digests.subarray(place * DIGEST_BYTES, (place + 1) * DIGEST_BYTES);
      const digest = digestFromHex(Buffer.from(bytes).toString('hex'));
      return { digest, key: packKey(digest), sizeBytes: sizes[place] as number };
    },
  };
}

/** 64 lower-case hexadecimal digits of a text; false where there are none. */
function readHex(text: string, start: number, into: Uint8Array): boolean {
  if (start < 0) return false;
  for (let index = 0; index < DIGEST_BYTES; index += 1) {
    const high = digitOf(text.charCodeAt(start + 2 * index));
    const low = digitOf(text.charCodeAt(start + 2 * index + 1));
    if (high < 0 || low < 0) return false;
    into[index] = high * 16 + low;
  }
  return true;
}

function digitOf(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  return code >= 0x61 && code <= 0x66 ? code - 0x61 + 10 : -1;
}
