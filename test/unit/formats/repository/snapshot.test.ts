import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { digestOf } from '../../../../src/core/digest.ts';
import { contentsKey, indexKey, type WriterName } from '../../../../src/formats/repository/keys.ts';
import { encodeSigned } from '../../../../src/formats/repository/signed-document.ts';
import {
  decodeSnapshot,
  encodeSnapshot,
  readUnverifiedSnapshot,
  type Snapshot,
} from '../../../../src/formats/repository/snapshot.ts';
import {
  codeOf,
  expectOnlyWhole,
  newSigningKey,
  OTHER_REPOSITORY,
  OTHER_RUN,
  READER,
  REPOSITORY,
  RUN,
  sampleSnapshot,
  trusting,
  WRITER,
} from './repository-fixture.ts';

const key = newSigningKey();
const reading = { keys: [trusting(key)], repository: REPOSITORY, writer: WRITER, sequence: 1 };
const otherRun = { run: OTHER_RUN, recipient: 'age1pq1y', epoch: 1, recipients: [READER], sealed: '' };

describe('a snapshot', () => {
  const rich = sampleSnapshot({
    hold: true,
    collapsed: true,
    runs: [...sampleSnapshot().runs, otherRun],
    packs: [...sampleSnapshot().packs, { number: 0xffff_ffff, digest: digestOf('last'), sizeBytes: 1, runIndex: 1 }],
    indexes: [
      { run: OTHER_RUN, key: indexKey('other' as WriterName, OTHER_RUN, 0), digest: digestOf('index'), sizeBytes: 5 },
    ],
    contents: [0, 1].map((part) => ({
      key: contentsKey(WRITER, RUN, part),
      digest: digestOf(String(part)),
      sizeBytes: 10,
    })),
    heads: { other: { sequence: 4, digest: digestOf('head') } },
    dropped: [{ recipient: READER, reason: 'role lost' }],
    identityProvider: { state: 'answered', at: '2026-03-01T02:03:04.000Z' },
  });

  test('is read as it was written', () => {
    const bytes = encodeSnapshot(rich, key);
    expect(decodeSnapshot(bytes, reading)).toMatchObject({ document: rich, digest: digestOf(bytes) });
    expect(readUnverifiedSnapshot(bytes)).toMatchObject({ document: rich, keyHints: [key.keyHint] });
    const second = sampleSnapshot({ sequence: 2, previous: digestOf(bytes) });
    expect(decodeSnapshot(encodeSnapshot(second, key), { ...reading, sequence: 2 }).document).toEqual(second);
  });

  test.each([
    { state: 'asked', at: '2026-03-01T02:03:04.000Z' },
    { state: 'answered', at: '2026-03-01' },
    { state: 'answered' },
  ])('says in no other words what became of the identity provider: %j', (identityProvider) => {
    const wrong = sampleSnapshot({ identityProvider: identityProvider as never });
    expect(codeOf(() => encodeSnapshot(wrong, key))).toBe('SIGNED_DOCUMENT_INVALID');
  });

  test('cut or with a flipped bit is refused', () => {
    expectOnlyWhole(encodeSnapshot(sampleSnapshot(), key), (bytes) => decodeSnapshot(bytes, reading));
  });

  test('under another name, of another repository, or by another writer is refused', () => {
    const bytes = encodeSnapshot(rich, key);
    expect(codeOf(() => decodeSnapshot(bytes, { ...reading, sequence: 2 }))).toBe('SNAPSHOT_SWAPPED');
    expect(codeOf(() => decodeSnapshot(bytes, { ...reading, writer: 'other' as WriterName }))).toBe('SNAPSHOT_SWAPPED');
    expect(codeOf(() => decodeSnapshot(bytes, { ...reading, repository: OTHER_REPOSITORY }))).toBe(
      'REPOSITORY_MISMATCH',
    );
    expect(codeOf(() => decodeSnapshot(bytes, { ...reading, keys: [trusting(newSigningKey())] }))).toBe(
      'SIGNED_DOCUMENT_UNSIGNED',
    );
  });

  test.each<[string, Partial<Snapshot>]>([
    ['that is the first and has one before it', { previous: digestOf('x') }],
    ['that is not the first and has none before it', { sequence: 2 }],
    ['without its own run', { runs: [otherRun] }],
    ['with a run twice', { runs: [...rich.runs, otherRun] }],
    ['with packs in disorder', { packs: rich.packs.toReversed() }],
    [
      'with a pack twice',
      { packs: [...rich.packs.slice(0, 1), { number: 1, digest: digestOf('pack 0'), sizeBytes: 1, runIndex: 0 }] },
    ],
    ['with a pack of no run', { packs: [{ number: 0, digest: digestOf('p'), sizeBytes: 1, runIndex: 2 }] }],
    ['with an empty pack', { packs: [{ number: 0, digest: digestOf('p'), sizeBytes: 0, runIndex: 0 }] }],
    ['with too large a pack', { packs: [{ number: 0, digest: digestOf('p'), sizeBytes: 20_000_000, runIndex: 0 }] }],
    [
      'with contents of another run',
      { contents: [{ key: contentsKey(WRITER, OTHER_RUN, 0), digest: digestOf('c'), sizeBytes: 1 }] },
    ],
    [
      'with contents of another writer',
      { contents: [{ key: contentsKey('x' as WriterName, RUN, 0), digest: digestOf('c'), sizeBytes: 1 }] },
    ],
    [
      'with a part of the contents missing',
      { contents: [{ key: contentsKey(WRITER, RUN, 1), digest: digestOf('c'), sizeBytes: 1 }] },
    ],
    [
      'with an index that is none',
      { indexes: [{ run: RUN, key: contentsKey(WRITER, RUN, 0), digest: digestOf('c'), sizeBytes: 1 }] },
    ],
    [
      'with an index of another run than it says',
      { indexes: [{ run: RUN, key: indexKey(WRITER, OTHER_RUN, 0), digest: digestOf('c'), sizeBytes: 1 }] },
    ],
    ['that saw itself', { heads: { [WRITER]: { sequence: 1, digest: digestOf('h') } } }],
  ])('%s is neither written nor read', (_, change) => {
    const wrong = { ...rich, ...change };
    expect(codeOf(() => encodeSnapshot(wrong, key))).toBe('SNAPSHOT_INVALID');
    // What a hostile writer would sign.
    const packs = wrong.packs.map((pack) => [pack.number, pack.digest.slice(7), pack.sizeBytes, pack.runIndex]);
    const bytes = encodeSigned({ ...wrong, packs }, [key], { kind: 'snapshot', schema: z.any(), what: 'it' });
    expect(codeOf(() => decodeSnapshot(bytes, { ...reading, sequence: wrong.sequence }))).toBe('SNAPSHOT_INVALID');
  });

  const hex = 'a'.repeat(64);
  test.each<[string, unknown]>([
    ['no list', { 0: [0, hex, 1, 0] }],
    ['three', [[0, hex, 1]]],
    ['five', [[0, hex, 1, 0, 0]]],
    ['another digest', [[0, `sha256:${hex}`, 1, 0]]],
    ['capitals', [[0, hex.toUpperCase(), 1, 0]]],
    ['a fraction', [[0.5, hex, 1, 0]]],
    ['33 bits', [[2 ** 32, hex, 1, 0]]],
    ['text', [['0', hex, 1, 0]]],
    ['null', [null]],
  ])('with packs as %s is refused', (_, packs) => {
    const bytes = encodeSigned({ ...sampleSnapshot(), packs }, [key], {
      kind: 'snapshot',
      schema: z.any(),
      what: 'it',
    });
    expect(codeOf(() => decodeSnapshot(bytes, reading))).toMatch(/^(SNAPSHOT|SIGNED_DOCUMENT)_INVALID$/);
  });

  test.each<[string, (payload: string) => string]>([
    ['a zero in front', (payload) => payload.replace('"packs":[[', '"packs":[[0')],
    ['no number', (payload) => payload.replace(/"packs":\[\[\d+/, '"packs":[[')],
    ['a fraction of nothing', (payload) => payload.replace(/"packs":\[\[(\d+)/, '"packs":[[$1.0')],
    ['a sign', (payload) => payload.replace('"packs":[[', '"packs":[[-')],
    ['33 bits', (payload) => payload.replace(/"packs":\[\[\d+/, '"packs":[[4294967296')],
    ['a space', (payload) => payload.replace('"packs":[[', '"packs":[[ ')],
    ['capitals', (payload) => payload.replace(/(?<="packs":\[\[\d+,")./, 'A')],
    ['a fifth member', (payload) => payload.replace(/("packs":\[\[[^\]]*)/, '$1,0')],
    ['no comma between two', (payload) => payload.replace(/("packs":\[\[[^\]]*\]),?/, '$1')],
    ['one that is missing', (payload) => payload.replace('"packs":[[', '"packs":[,[')],
    ['a second list', (payload) => payload.replace('"packs":[[', '"packs":[],"packs":[[')],
    ['a second list, the other way round', (payload) => payload.replace(/("packs":\[\[.*?\]\])/, '$1,"packs":[]')],
    ['the list of a writer', (payload) => payload.replace('"heads":{', `"heads":{"packs":[[1,"${hex}",1,0]]`)],
  ])('with packs that nobody writes so is refused: %s', (_, change) => {
    const two = [1, 2].map((number) => ({ number, digest: digestOf(String(number)), sizeBytes: 1, runIndex: 0 }));
    const envelope = JSON.parse(Buffer.from(encodeSnapshot(sampleSnapshot({ packs: two, heads: {} }), key)).toString());
    const payload = Buffer.from(envelope.payload, 'base64').toString();
    expect(change(payload)).not.toBe(payload);
    const changed = { ...envelope, payload: Buffer.from(change(payload)).toString('base64') };
    const read = () => readUnverifiedSnapshot(Buffer.from(JSON.stringify(changed)));
    expect(codeOf(read)).toMatch(/^(SNAPSHOT|SIGNED_DOCUMENT)_INVALID$/);
  });

  test('of a hundred thousand packs is written and read whole', () => {
    const packs = Array.from({ length: 100_000 }, (_, number) => ({
      number,
      digest: digestOf(String(number)),
      sizeBytes: 16_777_216,
      runIndex: 0,
    }));
    const bytes = encodeSnapshot(sampleSnapshot({ packs }), key);
    expect(decodeSnapshot(bytes, reading).document.packs).toEqual(packs);
  });
});
