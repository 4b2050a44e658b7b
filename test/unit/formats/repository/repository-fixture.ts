import { expect } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import { FormatError, type FormatErrorCode } from '../../../../src/formats/errors.ts';
import {
  contentsKey,
  parseWriterName,
  type RepositoryId,
  type RunId,
} from '../../../../src/formats/repository/keys.ts';
import type { Roster } from '../../../../src/formats/repository/roster.ts';
import type { Snapshot } from '../../../../src/formats/repository/snapshot.ts';
import type { SigningKey } from '../../../../src/formats/sigstore/cosign-key.ts';
import { newSigningKey, trusting } from '../sigstore/key-material.ts';

export { newSigningKey, trusting };

export const REPOSITORY = '0123456789abcdef0123456789abcdef' as RepositoryId;
export const OTHER_REPOSITORY = 'f'.repeat(32) as RepositoryId;
export const RUN = '20260301T020304Z-0011223344556677' as RunId;
export const OTHER_RUN = '20260302T020304Z-8899aabbccddeeff' as RunId;
export const WRITER = parseWriterName('db-1');
export const VERIFIER = parseWriterName('drill');
export const PRUNER = parseWriterName('janitor');
export const TIME = '2026-03-01T02:03:04.000Z';
/** A recipient whose identity no test needs. */
export const READER = 'age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj';

export const spki = (key: SigningKey): string =>
  key.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');

export function sampleSnapshot(changes: Partial<Snapshot> = {}): Snapshot {
  const { writer = WRITER, run = RUN } = changes;
  return {
    version: 1,
    repository: REPOSITORY,
    writer,
    sequence: 1,
    previous: null,
    run,
    epoch: 1,
    roster: digestOf('roster'),
    started: TIME,
    finished: TIME,
    storageTime: TIME,
    tags: ['nightly'],
    full: true,
    runs: [{ run, recipient: 'age1pq1x', epoch: 1, recipients: [READER], sealed: 'c2VhbGVk' }],
    packs: [
      { number: 0, digest: digestOf('pack 0'), sizeBytes: 1000, runIndex: 0 },
      { number: 7, digest: digestOf('pack 7'), sizeBytes: 2000, runIndex: 0 },
    ],
    indexes: [],
    contents: [{ key: contentsKey(writer, run, 0), digest: digestOf('contents'), sizeBytes: 10 }],
    heads: {},
    sealed: 'c2VhbGVk',
    ...changes,
  };
}

export function sampleRoster(approver: SigningKey, changes: Partial<Roster> = {}): Roster {
  return {
    version: 1,
    repository: REPOSITORY,
    epoch: 1,
    previous: null,
    created: TIME,
    approvers: { threshold: 1, keys: [{ name: 'Ada', publicKey: spki(approver) }] },
    recipients: [{ name: 'reader', recipient: READER, role: 'reader' }],
    minimumRecipients: 1,
    writers: [],
    pruners: [],
    verifiers: [],
    ...changes,
  };
}

export function codeOf(work: () => unknown): FormatErrorCode | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof FormatError) return error.code;
    throw error;
  }
}

/** Cut at every offset, and with bits flipped everywhere, nothing is ever read: not as something else, not with another error class. */
export function expectOnlyWhole(bytes: Uint8Array, decode: (bytes: Uint8Array) => unknown, stepBytes = 1): void {
  decode(bytes);
  for (let length = 0; length < bytes.length; length += stepBytes) {
    expect(
      codeOf(() => decode(bytes.slice(0, length))),
      `cut at ${length}`,
    ).toBeDefined();
  }
  for (let at = 0; at < bytes.length; at += stepBytes) {
    // Not `slice`, which of a Buffer is a view.
    const flipped = new Uint8Array(bytes);
    flipped[at] = (flipped[at] as number) ^ (1 << (at % 8));
    expect(
      codeOf(() => decode(flipped)),
      `flipped at ${at}`,
    ).toBeDefined();
  }
}
