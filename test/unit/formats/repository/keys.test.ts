import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestFromHex } from '../../../../src/core/digest.ts';
import {
  contentsKey,
  evidenceKey,
  forgottenKey,
  indexKey,
  isRepositoryId,
  isRunId,
  isWriterName,
  KEY_PREFIXES,
  markKey,
  packKey,
  parseRepositoryKey,
  parseWriterName,
  type RepositoryKey,
  type RunId,
  repositoryKey,
  rewrapKey,
  rosterKey,
  runIdOf,
  runKeyKey,
  runTime,
  snapshotKey,
  verificationKey,
  type WriterName,
} from '../../../../src/formats/repository/keys.ts';
import { codeOf } from './repository-fixture.ts';

const hex = (digits: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`));
const digest = hex(64).map(digestFromHex);
const name = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,20}$/) as fc.Arbitrary<WriterName>;
const time = fc
  .date({ min: new Date('2000-01-01'), max: new Date('2999-12-31'), noInvalidDate: true })
  .map((date) => new Date(Math.floor(date.getTime() / 1000) * 1000));
const run = fc
  .tuple(time, fc.uint8Array({ minLength: 8, maxLength: 8 }))
  .map(([startedAt, random]) => runIdOf(startedAt, random));
const count = fc.integer({ min: 1, max: 99_999_999 });
const part = fc.integer({ min: 0, max: 999_999 });

const anyKey: fc.Arbitrary<RepositoryKey> = fc.oneof(
  fc.constant({ kind: 'repository' as const }),
  fc.record({ kind: fc.constant('roster' as const), epoch: count }),
  fc.record({ kind: fc.constant('runKey' as const), run, epoch: count }),
  fc.record({ kind: fc.constantFrom('pack' as const, 'evidence' as const), digest }),
  fc.record({ kind: fc.constantFrom('index' as const, 'contents' as const), writer: name, run, part }),
  fc.record({ kind: fc.constantFrom('snapshot' as const, 'forgotten' as const), writer: name, sequence: count }),
  fc.record({ kind: fc.constant('rewrap' as const), epoch: count, digest }),
  fc.record({ kind: fc.constant('mark' as const), time, digest }),
  fc.record({ kind: fc.constant('verification' as const), writer: name, sequence: count, verifier: name, time }),
);

describe('keys of objects', () => {
  test('are what the format says', () => {
    const writer = 'db-1' as WriterName;
    const one = '20260301T020304Z-0011223344556677' as RunId;
    const zeros = digestFromHex('ab'.repeat(32));
    const at = new Date('2026-03-01T02:03:04.567Z');
    expect(rosterKey(12)).toBe('keys/00000012.json');
    expect(runKeyKey(one, 1)).toBe(`runs/${one}/key.00000001.age`);
    expect(packKey(zeros)).toBe(`packs/ab/${'ab'.repeat(32)}`);
    expect(evidenceKey(zeros)).toBe(`evidence/${'ab'.repeat(32)}.json`);
    expect(indexKey(writer, one, 0)).toBe(`index/db-1/${one}.000000.age`);
    expect(contentsKey(writer, one, 17)).toBe(`contents/db-1/${one}.000017.age`);
    expect(snapshotKey(writer, 3)).toBe('snapshots/db-1/00000003.json');
    expect(forgottenKey(writer, 3)).toBe('forgotten/db-1/00000003.json');
    expect(rewrapKey(2, zeros)).toBe(`rewraps/00000002/${'ab'.repeat(32)}.json`);
    expect(markKey(at, zeros)).toBe(`marks/20260301T020304Z-${'ab'.repeat(32)}.json`);
    expect(verificationKey(writer, 3, 'a-b' as WriterName, at)).toBe(
      'verified/db-1/00000003/a-b-20260301T020304Z.json',
    );
  });

  test('are read back as what they were written from', () => {
    fc.assert(
      fc.property(anyKey, (parsed) => {
        const key = repositoryKey(parsed);
        expect(parseRepositoryKey(key)).toEqual(parsed);
        expect(key).toMatch(/^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/);
        expect(key.length).toBeLessThan(512);
        if (parsed.kind !== 'repository') expect(key.startsWith(KEY_PREFIXES[parsed.kind])).toBe(true);
      }),
    );
  });

  test('of which a character is changed are another key or none', () => {
    fc.assert(
      fc.property(anyKey, fc.nat(), fc.constantFrom(...'0aZ/.-_\n'), (parsed, place, character) => {
        const key = repositoryKey(parsed);
        const at = place % key.length;
        const changed = key.slice(0, at) + character + key.slice(at + 1);
        const read = parseRepositoryKey(changed);
        if (read !== undefined) expect(repositoryKey(read)).toBe(changed);
      }),
    );
  });

  test.each([
    '',
    'repo.json/',
    'keys/00000000.json',
    'keys/1.json',
    `evidence/${'AB'.repeat(32)}.json`,
    `evidence/${'ab'.repeat(31)}.json`,
    'keys/00000001.json\n',
    `packs/aa/${'ab'.repeat(32)}`,
    `packs/AB/${'AB'.repeat(32)}`,
    'runs/20260230T020304Z-0011223344556677/key.00000001.age',
    'snapshots/DB/00000001.json',
    'snapshots/../00000001.json',
    'verified/db-1/00000001/20260301T020304Z.json',
    'something/else',
  ])('%j is none', (key) => {
    expect(parseRepositoryKey(key)).toBeUndefined();
  });

  test('have an order that is the order of their numbers', () => {
    fc.assert(
      fc.property(count, count, (a, b) => {
        expect(rosterKey(a) < rosterKey(b)).toBe(a < b);
      }),
    );
  });
});

test('a run tells when it started', () => {
  const startedAt = new Date('2026-03-01T02:03:04.999Z');
  const id = runIdOf(startedAt, new Uint8Array(8));
  expect(runTime(id)).toEqual(new Date('2026-03-01T02:03:04.000Z'));
  expect(isRunId(id)).toBe(true);
  expect(isRunId('20261301T020304Z-0011223344556677')).toBe(false);
});

test('names and ids are taken as they are or not at all', () => {
  expect(isWriterName('a'.repeat(63))).toBe(true);
  expect(['', '-a', 'a'.repeat(64), 'A', 'a.b', 'a\n'].some(isWriterName)).toBe(false);
  expect(isRepositoryId('0'.repeat(32))).toBe(true);
  expect(isRepositoryId('0'.repeat(31))).toBe(false);
  expect(codeOf(() => parseWriterName('No'))).toBe('REPOSITORY_NAME_INVALID');
});
