import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createFolderStore } from '../../src/adapters/object-store/folder/folder-store.ts';
import { recipientOf } from '../../src/formats/age/identity-file.ts';
import { createIdentity } from '../../src/formats/age/new-identity.ts';
import { KEY_PREFIXES, type WriterName } from '../../src/formats/repository/keys.ts';
import type { WriterKey } from '../../src/formats/repository/writer-key.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import { listSnapshots } from '../../src/usecases/repository/list.ts';
import { rewrapKeys } from '../../src/usecases/repository/rewrap.ts';
import { publishRoster, signNextRoster, withApprovals } from '../../src/usecases/repository/roster-changes.ts';
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
import { dyingStore, Killed } from '../support/dying-store.ts';
import { pseudoRandom } from '../support/image-content.ts';
import { raised } from '../support/raised.ts';
import { approve, NOBODY, revoke, rewrap } from '../support/roster-changes.ts';

const SOURCE = streamSource('files', { a: pseudoRandom('a', 300_000) });

async function addReader(repository: BackupRepository, name: string): Promise<string> {
  const { identity, recipient } = await createIdentity('post-quantum');
  await approve(repository, { recipients: [{ name, recipient, role: 'reader' }] });
  return identity;
}

test('a new reader reads what is backed up from then on, and the rest after a rewrap', async () => {
  await using repository = await createBackupRepository();
  await repository.run([SOURCE]);
  const anna = await addReader(repository, 'anna');
  expect(await raised(async () => readStreams(await repository.open(), 'latest', anna))).toMatchObject({
    code: 'RUN_KEY_NOT_FOR_US',
  });
  // Packs whose key the new reader has not are not built upon.
  expect(await repository.run([SOURCE])).toMatchObject({ sequence: 2, full: false, reusedBytes: 0 });
  expect((await readStreams(await repository.open(), 'db-1/2', anna)).size).toBe(1);
  expect(await rewrap(repository, [repository.identity])).toMatchObject({ runs: 2, rewrapped: [expect.anything()] });
  expect((await readStreams(await repository.open(), 'db-1/1', anna)).size).toBe(1);
  expect(await rewrap(repository, [repository.identity])).toMatchObject({ rewrapped: [] });
});

test('after a rewrap older packs are built upon again, and the snapshot opens for all', async () => {
  await using repository = await createBackupRepository();
  await repository.run([SOURCE]);
  const anna = await addReader(repository, 'anna');
  await rewrap(repository, [repository.identity]);
  expect(await repository.run([SOURCE])).toMatchObject({ sequence: 2, reusedBytes: 300_000, newBytes: 0 });
  for (const identity of [anna, repository.identity]) {
    expect((await readStreams(await repository.open(), 'latest', identity)).size).toBe(1);
  }
});

test.each(['before', 'after'] as const)('a rewrap, killed %s any change, goes on', async (when) => {
  await using repository = await createBackupRepository();
  await repository.run([SOURCE]);
  await repository.run([SOURCE], { full: true });
  const anna = await addReader(repository, 'anna');
  for (let at = 1; ; at += 1) {
    const failure = await rewrap(repository, [repository.identity], dyingStore(repository.store, at, when)).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (failure === undefined) break;
    expect(failure).toBeInstanceOf(Killed);
  }
  expect((await readStreams(await repository.open(), 'db-1/1', anna)).size).toBe(1);
  expect(await repository.run([SOURCE])).toMatchObject({ reusedBytes: 300_000 });
});

test('a rewrap that nobody with a right to it signed makes no pack reusable', async () => {
  await using repository = await createBackupRepository();
  await repository.run([SOURCE]);
  await addReader(repository, 'anna');
  const stranger = createSigningKey();
  const opened = await repository.open();
  const request = { identities: [repository.identity], signer: stranger };
  const work = () => rewrapKeys(opened, request, { progress: silentProgress, now: repository.now }, { signal });
  expect(await raised(work)).toMatchObject({ code: 'ROLE_MISSING' });
  expect(await repository.run([SOURCE])).toMatchObject({ reusedBytes: 0 });
});

test('who was revoked opens nothing that is backed up afterwards', async () => {
  await using repository = await createBackupRepository();
  const anna = await addReader(repository, 'anna');
  await repository.run([SOURCE]);
  await revoke(repository, { recipients: ['anna'] });
  await repository.run([SOURCE], { full: true });
  expect((await readStreams(await repository.open(), 'db-1/1', anna)).size).toBe(1);
  expect(await raised(async () => readStreams(await repository.open(), 'db-1/2', anna))).toMatchObject({
    code: 'RUN_KEY_NOT_FOR_US',
  });
});

test('once an epoch wants everything afresh, no run builds on what is older, and each of the next ones on what came since', async () => {
  await using repository = await createBackupRepository();
  const anna = await addReader(repository, 'anna');
  await repository.run([SOURCE]);
  // Without it packs that anna opens are built upon: their keys are sealed to everybody who is left, too.
  await revoke(repository, { recipients: ['anna'] });
  expect(await repository.run([SOURCE])).toMatchObject({ reusedBytes: 300_000 });
  const ben = await addReader(repository, 'ben');
  expect(await revoke(repository, { recipients: ['ben'] }, undefined, { fresh: true })).toMatchObject({ fresh: true });
  // Keys that are sealed again make nothing reusable any more.
  await addReader(repository, 'cleo');
  await rewrap(repository, [repository.identity]);
  expect(await repository.run([SOURCE])).toMatchObject({ full: true, fullReason: 'roster', reusedBytes: 0 });
  expect(await repository.run([SOURCE])).toMatchObject({ full: false, reusedBytes: 300_000 });
  const opened = await repository.open();
  expect(opened.roster.document.fresh).toBeUndefined();
  for (const identity of [anna, ben]) {
    expect(await raised(() => readStreams(opened, 'latest', identity))).toMatchObject({ code: 'RUN_KEY_NOT_FOR_US' });
  }
});

test('a second writer has a chain, a key and an index of its own', async () => {
  await using repository = await createBackupRepository();
  await repository.run([SOURCE]);
  const signer = createSigningKey();
  const index = await createIdentity('post-quantum');
  const name = 'db-2' as WriterName;
  await approve(repository, {
    writers: [{ name, publicKey: publicKeyText(signer), indexRecipient: index.recipient }],
  });
  const writerKey: WriterKey = { ...repository.writerKey, writer: name, indexIdentity: index.identity };
  const memory = memoryIn(join(repository.root, 'db-2'), repository.now);
  expect(await repository.run([SOURCE], { writerKey, signer, memory })).toMatchObject({ sequence: 1, reusedBytes: 0 });
  expect(await repository.run([SOURCE], { writerKey, signer, memory })).toMatchObject({ sequence: 2, newBytes: 0 });
  expect(await repository.run([SOURCE])).toMatchObject({ sequence: 2, newBytes: 0 });
  const { writers, problems } = await listSnapshots(await repository.open(), repository);
  expect(problems).toEqual([]);
  expect(writers.map(({ writer, snapshots }) => [writer, snapshots.length])).toEqual([
    ['db-1', 2],
    ['db-2', 2],
  ]);
  expect(writers[0]?.snapshots.at(-1)?.heads).toMatchObject({ 'db-2': { sequence: 2 } });
  // One writer's key does not sign for another.
  expect(await raised(() => repository.run([SOURCE], { writerKey, memory }))).toMatchObject({ code: 'ROLE_MISSING' });
  await revoke(repository, { writers: ['db-2'] });
  expect(await raised(() => repository.run([SOURCE], { writerKey, signer, memory }))).toMatchObject({
    code: 'ROLE_MISSING',
  });
  expect((await listSnapshots(await repository.open(), repository)).problems).toEqual([]);
});

test('a key that was taken from a writer signs nothing that counts, whatever epoch it names', async () => {
  await using repository = await createBackupRepository();
  await repository.run([SOURCE]);
  const [shown, before] = [join(repository.root, 'store'), join(repository.root, 'before')];
  await cp(shown, before, { recursive: true });
  const successor = createSigningKey();
  const { indexIdentity, writer } = repository.writerKey;
  const entry = { name: writer, publicKey: publicKeyText(successor), indexRecipient: await recipientOf(indexIdentity) };
  await approve(repository, { writers: [entry] });
  // Whoever has the old key goes by the first epoch, and puts what comes of it into the repository.
  const memory = memoryIn(join(repository.root, 'thief'), repository.now);
  const stolen = { store: createFolderStore(before), memory };
  expect(await repository.run([SOURCE], stolen)).toMatchObject({ sequence: 2 });
  await cp(before, shown, { recursive: true, force: false });
  const { writers, problems } = await listSnapshots(await repository.open(), repository);
  expect(problems).toMatchObject([
    { code: 'SIGNED_DOCUMENT_UNSIGNED', message: expect.stringContaining('no longer counts') },
  ]);
  expect(writers.map(({ snapshots }) => snapshots.map(({ sequence }) => sequence))).toEqual([[1]]);
  // What the right writer adds counts, once the object is out of its way.
  await repository.store.remove(['snapshots/db-1/00000002.json']);
  expect(await repository.run([SOURCE], { signer: successor })).toMatchObject({ sequence: 2 });
  expect((await listSnapshots(await repository.open(), repository)).problems).toEqual([]);
});

test('one writer’s newest snapshot tells that another’s was rolled back', async () => {
  await using repository = await createBackupRepository();
  await repository.run([SOURCE]);
  await repository.run([SOURCE]);
  const signer = createSigningKey();
  const index = await createIdentity('post-quantum');
  const name = 'db-2' as WriterName;
  await approve(repository, {
    writers: [{ name, publicKey: publicKeyText(signer), indexRecipient: index.recipient }],
  });
  const memory = memoryIn(join(repository.root, 'db-2'), repository.now);
  const writerKey: WriterKey = { ...repository.writerKey, writer: name, indexIdentity: index.identity };
  await repository.run([SOURCE], { writerKey, signer, memory });
  await repository.store.remove(['snapshots/db-1/00000002.json']);
  const stranger = memoryIn(join(repository.root, 'stranger'), repository.now);
  const { problems } = await listSnapshots(await repository.open(repository.store, stranger), {});
  expect(problems.map(({ code }) => code)).toEqual(['SNAPSHOTS_ROLLED_BACK']);
});

test('only an approver changes the roster, who stays one, and names must be right', async () => {
  await using repository = await createBackupRepository();
  const stranger = createSigningKey();
  const key = { name: 'second', publicKey: publicKeyText(stranger) };
  expect(await raised(() => approve(repository, { approvers: [key] }, stranger))).toMatchObject({
    code: 'ROLE_MISSING',
  });
  expect(await raised(() => revoke(repository, { recipients: ['nobody'] }))).toMatchObject({
    code: 'ROSTER_NAME_UNKNOWN',
  });
  expect(await raised(() => approve(repository, {}))).toMatchObject({ code: 'ROSTER_UNCHANGED' });
  expect(await raised(() => revoke(repository, { approvers: ['approver'] }))).toMatchObject({ code: 'ROLE_MISSING' });
  // Handed over: the second one comes in, then takes the first off.
  await approve(repository, { approvers: [key] });
  const roster = await revoke(repository, { approvers: ['approver'] }, stranger);
  expect(roster).toMatchObject({ epoch: 3, approvers: { keys: [{ name: 'second' }] } });
  expect(await repository.run([SOURCE])).toMatchObject({ sequence: 1 });
});

test('two approvers at once: the slower one is told, and nothing is lost', async () => {
  await using repository = await createBackupRepository();
  const [anna, berta] = await Promise.all([createIdentity('post-quantum'), createIdentity('post-quantum')]);
  const opened = await repository.open();
  await approve(repository, { recipients: [{ name: 'anna', recipient: anna.recipient, role: 'reader' }] });
  const late = withApprovals(opened.roster.document, {
    ...NOBODY,
    recipients: [{ name: 'berta', recipient: berta.recipient, role: 'reader' }],
  });
  const next = await signNextRoster(opened, late, repository.signer, repository.now());
  expect(await raised(() => publishRoster(opened, next, repository.memory))).toMatchObject({
    code: 'OBJECT_CONFLICT',
  });
  const { roster } = await repository.open();
  expect(roster.document.recipients.map(({ name }) => name)).toEqual(['reader', 'anna']);
});

test('recipients of another kind are refused', async () => {
  await using repository = await createBackupRepository();
  const { recipient } = await createIdentity('classic');
  const classic = { name: 'old', recipient, role: 'reader' } as const;
  expect(await raised(() => approve(repository, { recipients: [classic] }))).toMatchObject({ code: 'ROSTER_REFUSED' });
  expect(await repository.store.stat(`${KEY_PREFIXES.roster}00000002.json`)).toBeUndefined();
});

test('a recipient whose time is over is not sealed to, and the snapshot says so', async () => {
  await using repository = await createBackupRepository();
  const guest = await createIdentity('post-quantum');
  const entry = {
    name: 'guest',
    recipient: guest.recipient,
    role: 'reader',
    notAfter: '2020-01-01T00:00:00.000Z',
  } as const;
  await approve(repository, { recipients: [entry] });
  const report = await repository.run([SOURCE]);
  expect(report.recipients).toEqual([repository.recipient]);
  const { writers } = await listSnapshots(await repository.open(), {});
  expect(writers[0]?.snapshots[0]?.dropped).toEqual([
    { recipient: guest.recipient, reason: 'not after 2020-01-01T00:00:00.000Z' },
  ]);
});
