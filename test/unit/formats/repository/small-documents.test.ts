import { describe, expect, test } from 'vitest';
import { canonicalJson } from '../../../../src/core/canonical-json.ts';
import { digestOf } from '../../../../src/core/digest.ts';
import type { FormatErrorCode } from '../../../../src/formats/errors.ts';
import {
  advanceCheckpoint,
  type Checkpoint,
  decodeCheckpoint,
  encodeCheckpoint,
} from '../../../../src/formats/repository/checkpoint.ts';
import { decodeForgotten, encodeForgotten, type Forgotten } from '../../../../src/formats/repository/forgotten.ts';
import {
  evidenceKey,
  forgottenKey,
  markKey,
  packKey,
  rewrapKey,
  runKeyKey,
  snapshotKey,
  verificationKey,
} from '../../../../src/formats/repository/keys.ts';
import { decodeMark, encodeMark, type Mark } from '../../../../src/formats/repository/mark.ts';
import {
  decodeRepositoryDescription,
  encodeRepositoryDescription,
  newRepositoryDescription,
} from '../../../../src/formats/repository/repository-description.ts';
import { decodeRewrap, encodeRewrap, type Rewrap } from '../../../../src/formats/repository/rewrap.ts';
import { decodeRunKey, encodeRunKey } from '../../../../src/formats/repository/run-key.ts';
import { decodeSnapshotDetails, encodeSnapshotDetails } from '../../../../src/formats/repository/snapshot-details.ts';
import {
  decodeVerification,
  encodeVerification,
  type Verification,
} from '../../../../src/formats/repository/verification.ts';
import { decodeWriterKey, encodeWriterKey, pinnedKeys } from '../../../../src/formats/repository/writer-key.ts';
import {
  codeOf,
  expectOnlyWhole,
  newSigningKey,
  OTHER_REPOSITORY,
  OTHER_RUN,
  PRUNER,
  READER,
  REPOSITORY,
  RUN,
  spki,
  TIME,
  trusting,
  VERIFIER,
  WRITER,
} from './repository-fixture.ts';

const key = newSigningKey();
const keys = [trusting(key, VERIFIER), trusting(newSigningKey(), 'other')];
const idKey = Uint8Array.from({ length: 32 }, (_, index) => index);
/** Has the form of an identity and is none. */
const IDENTITY = `AGE-SECRET-KEY-PQ-1${'Q'.repeat(58)}`;
const base = { version: 1, repository: REPOSITORY } as const;

const runKey = { ...base, run: RUN, identity: IDENTITY, idKey };
const writerKey = {
  ...base,
  writer: WRITER,
  idKey,
  indexIdentity: IDENTITY,
  approvers: { threshold: 1, keys: [{ name: 'Ada', publicKey: spki(key) }] },
};
const checkpoint: Checkpoint = {
  ...base,
  roster: { epoch: 2, digest: digestOf('2') },
  writers: {
    [WRITER]: { sequence: 7, digest: digestOf('7') },
    '10': { sequence: 1, digest: digestOf('1') },
    '9': { sequence: 1, digest: digestOf('1') },
  },
};
const mark: Mark = { ...base, pruner: PRUNER, time: TIME, objects: [packKey(digestOf('a')), runKeyKey(RUN, 1)].sort() };
const markAt = markKey(new Date(TIME), digestOf('mark'));
const forgotten: Forgotten = {
  ...base,
  pruner: PRUNER,
  writer: WRITER,
  time: TIME,
  snapshots: [
    { sequence: 1, digest: digestOf('1'), previous: null, run: RUN, storageTime: TIME },
    { sequence: 4, digest: digestOf('4'), previous: digestOf('3'), run: OTHER_RUN, storageTime: TIME },
  ],
};
const verification: Verification = {
  ...base,
  verifier: VERIFIER,
  writer: WRITER,
  sequence: 4,
  snapshot: digestOf('4'),
  kind: 'drill',
  time: TIME,
  result: 'good',
  readPercent: 12.5,
  indexes: true,
  program: '1.2.3',
  findings: [],
};
const verificationAt = verificationKey(WRITER, 4, VERIFIER, new Date(TIME));
const rewrap: Rewrap = {
  ...base,
  epoch: 2,
  signer: 'Ada',
  time: TIME,
  recipients: [READER],
  runs: [{ run: RUN, digest: digestOf('key') }],
};
const rewrapBytes = encodeRewrap(rewrap, key);
const rewrapAt = rewrapKey(2, digestOf(rewrapBytes));
const details = {
  ...base,
  run: RUN,
  host: 'db.example',
  program: '1.2.3',
  sources: [
    { kind: 'postgres' as const, name: 'app', place: 'db:5432', sizeBytes: 5, items: 2, rows: 7, notes: ['none'] },
  ],
};
const description = newRepositoryDescription(REPOSITORY, new Date(TIME));

interface Case {
  readonly document: object;
  readonly bytes: Uint8Array;
  readonly decode: (bytes: Uint8Array, repository?: typeof REPOSITORY) => unknown;
  readonly code: FormatErrorCode;
  readonly isSigned?: boolean;
}
const cases: Readonly<Record<string, Case>> = {
  'repo.json': {
    document: description,
    bytes: encodeRepositoryDescription(description),
    decode: decodeRepositoryDescription,
    code: 'REPOSITORY_INVALID',
  },
  'a run key': {
    document: runKey,
    bytes: encodeRunKey(runKey),
    decode: (bytes, repository = REPOSITORY) => decodeRunKey(bytes, { repository, run: RUN }),
    code: 'RUN_KEY_INVALID',
  },
  'a writer key': {
    document: writerKey,
    bytes: encodeWriterKey(writerKey),
    decode: (bytes) => decodeWriterKey(bytes, 'writer.key'),
    code: 'WRITER_KEY_INVALID',
  },
  'a checkpoint': {
    document: checkpoint,
    bytes: encodeCheckpoint(checkpoint),
    decode: (bytes, repository = REPOSITORY) => decodeCheckpoint(bytes, { repository }),
    code: 'CHECKPOINT_INVALID',
  },
  'the details of a snapshot': {
    document: details,
    bytes: encodeSnapshotDetails(details),
    decode: (bytes, repository = REPOSITORY) => decodeSnapshotDetails(bytes, { repository, run: RUN }),
    code: 'SNAPSHOT_INVALID',
  },
  'a mark': {
    document: mark,
    bytes: encodeMark(mark, key),
    decode: (bytes, repository = REPOSITORY) => decodeMark(bytes, { keys, repository, at: markAt }).document,
    code: 'SIGNED_DOCUMENT_INVALID',
    isSigned: true,
  },
  'a stub': {
    document: forgotten,
    bytes: encodeForgotten(forgotten, key),
    decode: (bytes, repository = REPOSITORY) =>
      decodeForgotten(bytes, { keys, repository, writer: WRITER, sequence: 4 }).document,
    code: 'SIGNED_DOCUMENT_INVALID',
    isSigned: true,
  },
  'a verification': {
    document: verification,
    bytes: encodeVerification(verification, key),
    decode: (bytes, repository = REPOSITORY) =>
      decodeVerification(bytes, { keys, repository, at: verificationAt }).document,
    code: 'SIGNED_DOCUMENT_INVALID',
    isSigned: true,
  },
  'a rewrap': {
    document: rewrap,
    bytes: rewrapBytes,
    decode: (bytes, repository = REPOSITORY) => decodeRewrap(bytes, { keys, repository, at: rewrapAt }).document,
    code: 'SIGNED_DOCUMENT_INVALID',
    isSigned: true,
  },
};
const unsigned = Object.entries(cases).filter(([, { isSigned }]) => isSigned !== true);

describe.each(Object.entries(cases))('%s', (_, { document, bytes, decode, code }) => {
  test('is read as it was written', () => {
    expect(decode(bytes)).toEqual(document);
  });

  test('cut is refused', () => {
    for (let length = 0; length < bytes.length; length += 1)
      expect(codeOf(() => decode(bytes.slice(0, length)))).toBe(code);
  });

  test('with a byte too many is refused', () => {
    expect(codeOf(() => decode(Buffer.concat([bytes, Buffer.from('\n')])))).toBe(code);
  });
});

describe.each(Object.entries(cases).filter(([, { isSigned }]) => isSigned === true))(
  '%s',
  (name, { bytes, decode }) => {
    test('with a flipped bit is refused', () => {
      expectOnlyWhole(bytes, decode);
    });

    test('by somebody who may not is refused', () => {
      const stranger = newSigningKey();
      const forged: Record<string, () => Uint8Array> = {
        'a mark': () => encodeMark(mark, stranger),
        'a stub': () => encodeForgotten(forgotten, stranger),
        'a verification': () => encodeVerification(verification, stranger),
        'a rewrap': () => encodeRewrap(rewrap, stranger),
      };
      expect(codeOf(() => decode(forged[name]?.() ?? bytes))).toBe('SIGNED_DOCUMENT_UNSIGNED');
    });
  },
);

test.each(Object.entries(cases).filter(([name]) => name !== 'repo.json' && name !== 'a writer key'))(
  '%s of another repository is refused',
  (_, { bytes, decode }) => {
    expect(codeOf(() => decode(bytes, OTHER_REPOSITORY))).toBe('REPOSITORY_MISMATCH');
  },
);

describe.each(unsigned)('%s', (_, { bytes, decode, code }) => {
  const json = JSON.parse(Buffer.from(bytes).toString());
  const written = (value: object) => Buffer.from(canonicalJson(value));

  test('of a later version is said to be one', () => {
    expect(codeOf(() => decode(written({ ...json, version: 2 })))).toBe('REPOSITORY_VERSION_UNSUPPORTED');
    expect(codeOf(() => decode(written({ ...json, version: '1' })))).toBe(code);
  });

  test('has all its members and no others', () => {
    expect(codeOf(() => decode(written({ ...json, more: 1 })))).toBe(code);
    for (const member of Object.keys(json)) {
      const { [member]: _, ...rest } = json;
      expect(
        codeOf(() => decode(written(rest))),
        member,
      ).toBe(code);
      expect(
        codeOf(() => decode(written({ ...json, [member]: null }))),
        member,
      ).toBe(code);
    }
  });
});

test('nothing of a secret stands in the error about it', () => {
  const secret = 'AGE-SECRET-KEY-PQ-1SECRET';
  const json = { ...base, run: RUN, identity: secret, idKey: 'c2VjcmV0' };
  for (const text of [canonicalJson(json), canonicalJson(json).slice(0, -1), canonicalJson({ ...json, run: secret })]) {
    let caught: unknown;
    try {
      decodeRunKey(Buffer.from(text), { repository: REPOSITORY, run: RUN });
    } catch (error) {
      caught = error;
    }
    const shown = JSON.stringify(caught, Object.getOwnPropertyNames(caught)) + String((caught as Error).stack);
    expect(shown).not.toMatch(/SECRET-KEY|c2VjcmV0/);
  }
});

test('a run key is of the run that it lies under', () => {
  expect(codeOf(() => decodeRunKey(encodeRunKey(runKey), { repository: REPOSITORY, run: OTHER_RUN }))).toBe(
    'RUN_KEY_INVALID',
  );
  const short = encodeRunKey({ ...runKey, idKey: idKey.subarray(1) });
  expect(codeOf(() => decodeRunKey(short, { repository: REPOSITORY, run: RUN }))).toBe('RUN_KEY_INVALID');
  const classic = encodeRunKey({ ...runKey, identity: IDENTITY.replace('-PQ', '') });
  expect(codeOf(() => decodeRunKey(classic, { repository: REPOSITORY, run: RUN }))).toBe('RUN_KEY_INVALID');
});

test('a writer key pins approvers', () => {
  expect(pinnedKeys(writerKey.approvers).map(({ keyHint }) => keyHint)).toEqual([key.keyHint]);
  const approvers = { ...writerKey.approvers, threshold: 2 };
  expect(codeOf(() => decodeWriterKey(encodeWriterKey({ ...writerKey, approvers })))).toBe('WRITER_KEY_INVALID');
});

describe('signed documents that are not what they say', () => {
  test('a mark of what is no object of a run, or out of order', () => {
    const code = (objects: readonly string[]) =>
      codeOf(() => decodeMark(encodeMark({ ...mark, objects }, key), { keys, repository: REPOSITORY, at: markAt }));
    expect(code(mark.objects.toReversed())).toBeUndefined();
    const evidence = evidenceKey(digestOf('evidence'));
    const others = [snapshotKey(WRITER, 1), forgottenKey(WRITER, 1), 'repo.json', 'keys/00000001.json', evidence];
    for (const wrong of [...others, '../x']) {
      expect(code([wrong]), wrong).toBe('MARK_INVALID');
    }
    const twice = packKey(digestOf('a'));
    expect(code([twice, twice])).toBe('MARK_INVALID');
  });

  test('a stub under another name, or of snapshots in disorder', () => {
    const code = (changes: Partial<Forgotten>, writer = WRITER, sequence = 4) =>
      codeOf(() =>
        decodeForgotten(encodeForgotten({ ...forgotten, ...changes }, key), {
          keys,
          repository: REPOSITORY,
          writer,
          sequence,
        }),
      );
    const [first, fourth] = forgotten.snapshots as [(typeof forgotten.snapshots)[0], (typeof forgotten.snapshots)[0]];
    expect(code({ snapshots: [fourth, first] })).toBeUndefined();
    expect(code({}, VERIFIER)).toBe('FORGOTTEN_INVALID');
    expect(code({}, WRITER, 5)).toBe('FORGOTTEN_INVALID');
    expect(code({ snapshots: [first, fourth, fourth] })).toBe('FORGOTTEN_INVALID');
    expect(code({ snapshots: [{ ...first, previous: digestOf('0') }, fourth] })).toBe('FORGOTTEN_INVALID');
    expect(code({ snapshots: [first, { ...fourth, previous: null }] })).toBe('FORGOTTEN_INVALID');
  });

  test('a verification under another name or time, or signed by another verifier than it says', () => {
    const read = (changes: Partial<Verification>, at = verificationAt) =>
      codeOf(() =>
        decodeVerification(encodeVerification({ ...verification, ...changes }, key), {
          keys,
          repository: REPOSITORY,
          at,
        }),
      );
    expect(read({})).toBeUndefined();
    expect(read({ sequence: 5 })).toBe('VERIFICATION_INVALID');
    expect(read({ writer: PRUNER })).toBe('VERIFICATION_INVALID');
    const later = verificationKey(WRITER, 4, VERIFIER, new Date(Date.parse(TIME) + 1000));
    expect(read({}, later)).toBe('VERIFICATION_INVALID');
    expect(read({ verifier: PRUNER }, verificationKey(WRITER, 4, PRUNER, new Date(TIME)))).toBe('VERIFICATION_INVALID');
  });

  test('a rewrap under another name, or with a run twice', () => {
    const read = (bytes: Uint8Array, at: string) =>
      codeOf(() => decodeRewrap(bytes, { keys, repository: REPOSITORY, at }));
    expect(read(rewrapBytes, rewrapAt)).toBeUndefined();
    expect(read(rewrapBytes, rewrapKey(3, digestOf(rewrapBytes)))).toBe('REWRAP_INVALID');
    expect(read(rewrapBytes, rewrapKey(2, digestOf('x')))).toBe('REWRAP_INVALID');
    const twice = encodeRewrap({ ...rewrap, runs: [...rewrap.runs, ...rewrap.runs] }, key);
    expect(read(twice, rewrapKey(2, digestOf(twice)))).toBe('REWRAP_INVALID');
  });
});

describe('a checkpoint that goes on', () => {
  const seen = (changes: Partial<Checkpoint>): Checkpoint => ({ ...checkpoint, ...changes });
  const head = (sequence: number, text = String(sequence)) => ({ [WRITER]: { sequence, digest: digestOf(text) } });

  test('takes what is newer and keeps what it alone knows', () => {
    const next = advanceCheckpoint(checkpoint, seen({ writers: head(8), roster: { epoch: 3, digest: digestOf('3') } }));
    expect(next.writers).toEqual({ ...checkpoint.writers, ...head(8) });
    expect(next.roster.epoch).toBe(3);
    expect(advanceCheckpoint(undefined, checkpoint)).toEqual(checkpoint);
    expect(advanceCheckpoint(checkpoint, checkpoint)).toEqual(checkpoint);
  });

  test('never goes back or aside', () => {
    for (const wrong of [
      { writers: head(6) },
      { writers: head(7, 'other') },
      { roster: { epoch: 1, digest: digestOf('1') } },
      { roster: { epoch: 2, digest: digestOf('other') } },
    ]) {
      expect(codeOf(() => advanceCheckpoint(checkpoint, seen(wrong)))).toBe('CHECKPOINT_INVALID');
    }
    expect(codeOf(() => advanceCheckpoint(checkpoint, seen({ repository: OTHER_REPOSITORY })))).toBe(
      'REPOSITORY_MISMATCH',
    );
  });
});
