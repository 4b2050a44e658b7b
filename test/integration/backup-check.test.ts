import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { createChunkReader } from '../../src/adapters/chunk-reader/chunk-reader.ts';
import { type Digest, digestOf } from '../../src/core/digest.ts';
import type { PortolanError } from '../../src/core/errors.ts';
import { createIdentity } from '../../src/formats/age/new-identity.ts';
import {
  evidenceKey,
  KEY_PREFIXES,
  parseRepositoryKey,
  type RepositoryKey,
  snapshotKey,
  verificationKey,
  type WriterName,
} from '../../src/formats/repository/keys.ts';
import { encodeVerification, type Verification } from '../../src/formats/repository/verification.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import { type CheckRequest, checkRepository } from '../../src/usecases/repository/check.ts';
import { forgetSnapshots } from '../../src/usecases/repository/forget.ts';
import { listSnapshots } from '../../src/usecases/repository/list.ts';
import { pruneRepository } from '../../src/usecases/repository/prune.ts';
import {
  type BackupRepository,
  createBackupRepository,
  createSigningKey,
  memoryIn,
  publicKeyText,
  readStreams,
  signal,
  streamSource,
} from '../support/backup-repository.ts';
import { pseudoRandom } from '../support/image-content.ts';
import { raised } from '../support/raised.ts';
import { approve, rewrap } from '../support/roster-changes.ts';

const DB_1 = 'db-1' as WriterName;

async function check(repository: BackupRepository, request: Partial<CheckRequest> = {}, memory = repository.memory) {
  return await checkRepository(
    await repository.open(repository.store, memory),
    { readPercent: 100, identities: [], ...request },
    { memory, createChunkReader, progress: silentProgress },
    { signal },
  );
}

function codes(problems: readonly PortolanError[]): string[] {
  return problems.map(({ code, at }) => `${code} ${at?.file}`);
}

/** A repository that has an object of every kind. */
async function fullRepository(): Promise<BackupRepository> {
  const repository = await createBackupRepository((request) => ({
    ...request,
    verifiers: [{ name: 'verifier' as WriterName, publicKey: publicKeyText(request.signer) }],
  }));
  const { store, signer, now } = repository;
  await repository.run([streamSource('files', { a: pseudoRandom('a', 300_000) })]);
  await repository.run([streamSource('files', { a: pseudoRandom('b', 300_000) })]);
  const { recipient } = await createIdentity('post-quantum');
  const proof = pseudoRandom('evidence', 1000);
  const evidence = { digest: digestOf(proof) };
  await approve(repository, { recipients: [{ name: 'second', recipient, role: 'reader', evidence }] });
  await store.put(evidenceKey(digestOf(proof)), proof);
  await rewrap(repository, [repository.identity]);
  await repository.run([streamSource('files', { a: pseudoRandom('c', 300_000) })]);
  const request = {
    signer,
    policy: undefined,
    named: ['db-1/1'],
    evenHeld: false,
    writers: [],
    accept: [],
    copied: false,
    plan: false,
  };
  await forgetSnapshots(await repository.open(), request, { progress: silentProgress, now }, { signal });
  const prune = { signer, plan: false, acceptMissing: false };
  await pruneRepository(await repository.open(), prune, { progress: silentProgress }, { signal, longestRunMs: 0 });
  const { writers, repository: id } = await listSnapshots(await repository.open(), {});
  const snapshot = writers[0]?.snapshots.at(-1);
  const time = new Date();
  const verification: Verification = {
    ...{ version: 1, repository: id, verifier: 'verifier' as WriterName, writer: DB_1, sequence: 3 },
    ...{ snapshot: snapshot?.digest as Digest, kind: 'check', time: time.toISOString(), result: 'good' },
    ...{ readPercent: 100, indexes: false, program: '0', findings: [] },
  };
  await store.put(verificationKey(DB_1, 3, 'verifier' as WriterName, time), encodeVerification(verification, signer));
  return repository;
}

async function keysUnder(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

const KINDS: readonly RepositoryKey['kind'][] = [
  ...(['repository', 'roster', 'runKey', 'pack', 'index', 'contents', 'snapshot'] as const),
  ...(['evidence', 'forgotten', 'rewrap', 'mark', 'verification'] as const),
];

describe('a repository with an object of every kind', () => {
  let repository: BackupRepository;
  let keys: readonly string[];
  beforeAll(async () => {
    repository = await fullRepository();
    keys = await keysUnder(repository.store, '');
    return () => repository[Symbol.asyncDispose]();
  });
  const pathOf = (key: string) => join(repository.root, 'store', key);
  /** Objects that something live names, one of each kind at least. */
  const named = (kind: RepositoryKey['kind']) => keys.filter((key) => parseRepositoryKey(key)?.kind === kind);

  test('is well', async () => {
    const report = await check(repository, { identities: [repository.identity] });
    expect(codes(report.problems)).toEqual([]);
    expect(report).toMatchObject({ snapshots: 2, epoch: 2, opened: ['db-1/3'], strangers: [] });
    expect(report.checkedChunks).toBeGreaterThan(0);
    for (const kind of KINDS) expect(named(kind), kind).not.toHaveLength(0);
  });

  const damages: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
    flipped: (bytes) => {
      const copy = Buffer.from(bytes);
      const at = Math.floor(copy.length / 2);
      copy[at] = (copy[at] as number) ^ 1;
      return copy;
    },
    cut: (bytes) => bytes.subarray(0, bytes.length - 1),
    emptied: () => Buffer.alloc(0),
  };

  test.each(KINDS.flatMap((kind) => Object.keys(damages).map((damage) => [kind, damage] as const)))(
    '%s, %s: the object is named',
    async (kind, damage) => {
      for (const key of named(kind)) {
        const bytes = await readFile(pathOf(key));
        await writeFile(pathOf(key), damages[damage]?.(bytes) as Buffer);
        const found = await codesOfCheck(repository);
        await writeFile(pathOf(key), bytes);
        // What nothing names any more is garbage, whatever is in it.
        if (await isGarbage(repository, key)) continue;
        expect(found.join('\n'), key).toContain(key);
      }
      expect(await codesOfCheck(repository)).toEqual([]);
    },
  );

  test.each(['repository', 'roster', 'runKey', 'pack', 'index', 'contents', 'snapshot'] as const)(
    '%s, deleted: the object is named',
    async (kind) => {
      for (const key of named(kind)) {
        if (await isGarbage(repository, key)) continue;
        await rename(pathOf(key), join(repository.root, 'kept'));
        const found = await codesOfCheck(repository);
        await rename(join(repository.root, 'kept'), pathOf(key));
        // A roster that is gone shows by the epoch that is left.
        expect(found.join('\n'), key).toContain(kind === 'roster' ? 'ROSTER_' : key);
      }
    },
  );

  test.each(['pack', 'contents', 'index', 'runKey'] as const)(
    '%s, exchanged for another of its kind: named, with the snapshots that it touches',
    async (kind) => {
      // Of a run's keys the first alone stands in a snapshot; the others were sealed again.
      const own = named(kind).filter((key, _, all) => all.find((one) => one.startsWith(key.slice(0, 38))) === key);
      const [first, second] = (await liveOf(repository, kind === 'runKey' ? own : named(kind))).slice(-2);
      await exchange(pathOf(first as string), pathOf(second as string));
      const { problems } = await check(repository);
      await exchange(pathOf(first as string), pathOf(second as string));
      const damaged = problems.filter(({ code }) => code === 'BACKUP_OBJECT_DAMAGED');
      expect(damaged.map(({ at }) => at?.file).sort()).toEqual([first, second].sort());
      for (const { found } of damaged) expect(String(found)).toMatch(/db-1\/[23]/);
    },
  );

  test('two snapshots exchanged: both are named', async () => {
    const [first, second] = [snapshotKey(DB_1, 2), snapshotKey(DB_1, 3)];
    await exchange(pathOf(first), pathOf(second));
    const { problems } = await check(repository);
    await exchange(pathOf(first), pathOf(second));
    const swapped = problems.filter(({ code }) => code === 'SNAPSHOT_SWAPPED');
    expect(swapped.map(({ at }) => at?.file).sort()).toEqual([first, second]);
  });

  test('the newest snapshot dropped: the checkpoint tells, a new machine does not', async () => {
    const key = snapshotKey(DB_1, 3);
    await rename(pathOf(key), join(repository.root, 'kept'));
    const report = await check(repository);
    const stranger = await check(repository, {}, memoryIn(join(repository.root, 'stranger'), repository.now));
    await rename(join(repository.root, 'kept'), pathOf(key));
    expect(codes(report.problems)).toContain(`SNAPSHOTS_ROLLED_BACK ${key}`);
    expect(stranger).toMatchObject({ checkpoint: false, problems: [] });
  });

  test('an older roster in the place of the newest is not taken', async () => {
    const [, newest] = named('roster');
    await rename(pathOf(newest as string), join(repository.root, 'kept'));
    const found = await codesOfCheck(repository);
    await rename(join(repository.root, 'kept'), pathOf(newest as string));
    expect(found.join()).toContain('ROSTER_ROLLED_BACK');
  });

  test('a damaged pack of one snapshot leaves the others readable', async () => {
    const key = (await liveOf(repository, named('pack')))[0] as string;
    const bytes = await readFile(pathOf(key));
    await writeFile(pathOf(key), damages.flipped?.(bytes) as Buffer);
    const results = await Promise.all(
      ['db-1/2', 'db-1/3'].map(async (name) => {
        try {
          return (await readStreams(await repository.open(), name, repository.identity)).size;
        } catch (error) {
          return (error as PortolanError).code;
        }
      }),
    );
    await writeFile(pathOf(key), bytes);
    expect(results.map((result) => typeof result).sort()).toEqual(['number', 'string']);
  });

  test('what does not belong there is told, and is no damage', async () => {
    await writeFile(pathOf('packs/notes.txt'), 'x');
    const report = await check(repository);
    await rm(pathOf('packs/notes.txt'));
    expect(report).toMatchObject({ strangers: ['packs/notes.txt'], problems: [] });
  });
});

test('a part of the data is read when a part is asked for', async () => {
  await using repository = await createBackupRepository();
  for (let index = 0; index < 4; index += 1) {
    await repository.run([streamSource('files', { a: pseudoRandom(`part ${index}`, 300_000) })], { full: true });
  }
  expect(await check(repository, { readPercent: 50 })).toMatchObject({ readPacks: 2, objects: { pack: 4 } });
  expect(await check(repository, { readPercent: 0 })).toMatchObject({ readPacks: 0 });
});

test('two repositories mixed: an object of the other one is named', async () => {
  await using repository = await createBackupRepository();
  await using other = await createBackupRepository();
  const source = streamSource('files', { a: pseudoRandom('a', 1000) });
  await repository.run([source]);
  await other.run([source]);
  const key = snapshotKey(DB_1, 1);
  await rm(join(repository.root, 'store', key));
  await writeFile(join(repository.root, 'store', key), await readFile(join(other.root, 'store', key)));
  expect((await codesOfCheck(repository)).join()).toContain(key);
});

/** Codes and places of all problems, or of what stopped the check. */
async function codesOfCheck(repository: BackupRepository): Promise<string[]> {
  try {
    return codes((await check(repository)).problems);
  } catch (error) {
    return codes([error as PortolanError]);
  }
}

/** What no live snapshot names. */
async function isGarbage(repository: BackupRepository, key: string): Promise<boolean> {
  return (await liveOf(repository, [key])).length === 0;
}

async function liveOf(repository: BackupRepository, keys: readonly string[]): Promise<string[]> {
  const marked = new Set<string>();
  for (const name of await readdir(join(repository.root, 'store', KEY_PREFIXES.mark))) {
    const text = await readFile(join(repository.root, 'store', KEY_PREFIXES.mark, name), 'utf8');
    const payload = JSON.parse(Buffer.from(JSON.parse(text).payload, 'base64').toString());
    for (const object of payload.objects) marked.add(object);
  }
  return keys.filter((key) => !marked.has(key));
}

async function exchange(first: string, second: string): Promise<void> {
  await rename(first, `${first}.kept`);
  await rename(second, first);
  await rename(`${first}.kept`, second);
}

test('what nobody signed, or a word that was copied to a later name, hides no word of a verifier', async () => {
  await using repository = await createBackupRepository((request) => ({
    ...request,
    verifiers: [{ name: 'verifier' as WriterName, publicKey: publicKeyText(request.signer) }],
  }));
  const { store, signer } = repository;
  await repository.run([streamSource('files', { a: pseudoRandom('a', 1000) })]);
  await check(repository, { identities: [repository.identity], sign: { signer, program: '0' } });
  const [word] = await keysUnder(store, KEY_PREFIXES.verification);
  const bytes = await store.get(word as string, { maxBytes: 100_000 });
  const verified = async () => {
    const { writers, problems } = await listSnapshots(await repository.open(), {});
    return { verified: writers[0]?.snapshots[0]?.verified, problems: problems.length };
  };
  expect(await verified()).toEqual({ verified: true, problems: 0 });
  const at = (year: number) => verificationKey(DB_1, 1, 'verifier' as WriterName, new Date(Date.UTC(year, 0, 1)));
  await store.put(at(2090), bytes);
  await store.put(at(2091), Buffer.from('nobody signed this'));
  expect(await verified()).toEqual({ verified: true, problems: 2 });
});

test('a verifier signs what it found: good only when nothing is wrong', async () => {
  const verifier = createSigningKey();
  await using repository = await createBackupRepository((request) => ({
    ...request,
    verifiers: [{ name: 'verifier' as WriterName, publicKey: publicKeyText(verifier) }],
  }));
  await repository.run([streamSource('files', { a: pseudoRandom('a', 300_000) })]);
  const sign = { signer: verifier, program: '0' };
  const identities = [repository.identity];
  const verifiedOf = async () =>
    (await listSnapshots(await repository.open(), {})).writers[0]?.snapshots.map(({ verified }) => verified);
  expect(await verifiedOf()).toEqual([undefined]);
  expect(await check(repository, { identities, sign })).toMatchObject({ signed: ['db-1/1'], problems: [] });
  expect(await verifiedOf()).toEqual([true]);
  const wrong = { ...sign, signer: repository.signer };
  expect(await raised(() => check(repository, { identities, sign: wrong }))).toMatchObject({ code: 'ROLE_MISSING' });
  const [pack] = await keysUnder(repository.store, KEY_PREFIXES.pack);
  const path = join(repository.root, 'store', pack as string);
  const bytes = await readFile(path);
  bytes[1000] = (bytes[1000] as number) ^ 1;
  await writeFile(path, bytes);
  // Another second: a result has its time in its name.
  await sleep(1000);
  expect(await check(repository, { identities, sign })).toMatchObject({ signed: ['db-1/1'], opened: [] });
  expect(await verifiedOf()).toEqual([false]);
});
