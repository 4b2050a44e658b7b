import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { deriveChunkIdKey, deriveGearTable, GEAR_TABLE_BYTES } from '../../../../src/formats/repository/chunk-keys.ts';
import { OTHER_REPOSITORY, REPOSITORY } from './repository-fixture.ts';

const idKey = Uint8Array.from({ length: 32 }, (_, index) => index);

/** RFC 5869 by hand. */
function hkdf(key: Uint8Array, salt: string, info: string, length: number): string {
  const extracted = createHmac('sha256', salt).update(key).digest();
  let block = Buffer.alloc(0);
  let out = Buffer.alloc(0);
  for (let counter = 1; out.length < length; counter += 1) {
    block = createHmac('sha256', extracted).update(block).update(info).update(Uint8Array.of(counter)).digest();
    out = Buffer.concat([out, block]);
  }
  return out.subarray(0, length).toString('hex');
}

describe('keys of chunks', () => {
  test('are derived as the format says', () => {
    const chunkIdKey = Buffer.from(deriveChunkIdKey(idKey, REPOSITORY)).toString('hex');
    expect(chunkIdKey).toBe(hkdf(idKey, REPOSITORY, 'portolan chunk id v1', 32));
    const gear = Buffer.from(deriveGearTable(idKey, REPOSITORY)).toString('hex');
    expect(gear).toBe(hkdf(idKey, REPOSITORY, 'portolan chunker v1', GEAR_TABLE_BYTES));
  });

  test('never change: these are what repositories were written with', () => {
    expect(Buffer.from(deriveChunkIdKey(idKey, REPOSITORY)).toString('hex')).toBe(
      '2b6eb2b8edd7780b2882a59ee07343f1877191bfa79e12638366b09275d086a7',
    );
    expect(Buffer.from(deriveGearTable(idKey, REPOSITORY)).toString('hex').slice(0, 32)).toBe(
      'e14c2614c914e9772ed8bb9b6a1e1c6d',
    );
  });

  test('differ by id key and by repository', () => {
    const keys = [
      deriveChunkIdKey(idKey, REPOSITORY),
      deriveChunkIdKey(idKey, OTHER_REPOSITORY),
      deriveChunkIdKey(idKey.toReversed(), REPOSITORY),
      deriveGearTable(idKey, REPOSITORY).subarray(0, 32),
    ];
    expect(new Set(keys.map((key) => Buffer.from(key).toString('hex'))).size).toBe(keys.length);
  });

  test('are not made of something shorter', () => {
    expect(() => deriveChunkIdKey(idKey.subarray(1), REPOSITORY)).toThrow(RangeError);
  });
});
