/**
 * Whoever took over the machine of a writer, alone: he has its signing key, its key file and its service account, and so keys of the
 * storage for 15 minutes. What he may do with packs is in hostile-writer.test.ts; here it is about who reads.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { wouldGiveKeysFor } from '../../src/adapters/object-store/s3/web-identity.ts';
import { type Digest, digestOf } from '../../src/core/digest.ts';
import { createIdentity } from '../../src/formats/age/new-identity.ts';
import { sealBytes } from '../../src/formats/age/sealed-bytes.ts';
import {
  contentsKey,
  rosterKey,
  runIdOf,
  runKeyKey,
  snapshotKey,
  type WriterName,
} from '../../src/formats/repository/keys.ts';
import { encodeRunKey } from '../../src/formats/repository/run-key.ts';
import { encodeSnapshot, readUnverifiedSnapshot, type Snapshot } from '../../src/formats/repository/snapshot.ts';
import { encodeSnapshotDetails } from '../../src/formats/repository/snapshot-details.ts';
import { decodeWriterKey, type WriterKey } from '../../src/formats/repository/writer-key.ts';
import { openCosignKey, type SigningKey } from '../../src/formats/sigstore/cosign-key.ts';
import type { SessionKeys } from '../../src/formats/storage/web-identity-answer.ts';
import {
  type AttackedShip,
  BUCKET,
  CONTENT,
  createAttackedShip,
  type Fork,
  PASSWORD,
  WRITER,
} from '../support/attacked-ship.ts';
import type { PortolanEnded } from '../support/program.ts';

let ship: AttackedShip;
let fork: Fork;
let signer: SigningKey;
let writerKey: WriterKey;
beforeAll(async () => {
  ship = await createAttackedShip();
  signer = await openCosignKey(await readFile(ship.at('writer.key')), PASSWORD);
  writerKey = decodeWriterKey(await readFile(ship.at('writer.json')));
});
beforeEach(async () => {
  fork = await ship.fork();
});
afterAll(() => ship?.[Symbol.asyncDispose]());

/** What the storage's token service gives the agent. */
const ownKeys = (): Promise<SessionKeys> => ship.keysFor({ sub: ship.account.id });

interface Lie {
  /** Whom the key of its run is sealed to. */
  readonly sealedTo: readonly string[];
  /** Whom the snapshot names; the same unless said. */
  readonly named?: readonly string[];
  readonly dropped?: Snapshot['dropped'];
  readonly epoch?: number;
  /** Of the roster; of that epoch's true one unless said. */
  readonly roster?: Digest;
}

/** The next snapshot of the chain, right in everything but whom it is for, signed and stored with what the agent has. */
async function forge({ sealedTo, named = sealedTo, dropped, epoch = 3, ...lie }: Lie): Promise<void> {
  const store = await fork.open(await ownKeys());
  const before = snapshotKey(WRITER as WriterName, 2);
  const bytes = await store.get(before, { maxBytes: 1 << 20 });
  const { document } = readUnverifiedSnapshot(bytes, before);
  const { repository } = document;
  const run = runIdOf(new Date(), randomBytes(8));
  const { identity, recipient } = await createIdentity('post-quantum');
  const key = await sealBytes(
    encodeRunKey({ version: 1, repository, run, identity, idKey: writerKey.idKey }),
    sealedTo,
  );
  const sealed = Buffer.from(key).toString('base64');
  const details = { version: 1, repository, run, host: 'taken over', program: '0', sources: [] } as const;
  const contents = await sealBytes(Buffer.from('nothing'), [recipient]);
  const place = contentsKey(WRITER as WriterName, run, 0);
  const snapshot: Snapshot = {
    ...{ ...document, sequence: 3, previous: digestOf(bytes), run, epoch, full: true },
    roster: lie.roster ?? digestOf(await store.get(rosterKey(epoch), { maxBytes: 1 << 20 })),
    runs: [{ run, recipient, epoch, recipients: named, sealed }],
    ...{ packs: [], indexes: [], ...(dropped === undefined ? {} : { dropped }) },
    contents: [{ key: place, digest: digestOf(contents), sizeBytes: contents.length }],
    sealed: Buffer.from(await sealBytes(encodeSnapshotDetails(details), [recipient])).toString('base64'),
  };
  await store.put(runKeyKey(run, epoch), key);
  await store.put(place, contents);
  expect(await store.put(snapshotKey(WRITER as WriterName, 3), encodeSnapshot(snapshot, signer))).toBe('created');
  await store.close();
}

/** What a command names, be it one problem or several. */
function problemsOf({ error }: PortolanEnded): readonly string[] {
  const others = (error?.others ?? []) as readonly (typeof error)[];
  return [error, ...others].map((one) => `${one?.code}: ${String(one?.found)}`);
}

test.each<[string, RegExp, (recipients: AttackedShip['recipients']) => Lie]>([
  ['a reader of its own', /is on no roster of epoch 3/, ({ safe, anna, spy }) => ({ sealedTo: [safe, anna, spy] })],
  [
    'a stranger in the place of the break-glass recipient',
    /is on no roster of epoch 3/,
    ({ anna, spy }) => ({ sealedTo: [anna, spy] }),
  ],
  [
    'the break-glass recipient left out',
    /break-glass-1 \(break-glass\) is left out/,
    ({ anna }) => ({ sealedTo: [anna, anna] }),
  ],
  [
    'the break-glass recipient left out for a reason',
    /break-glass-1 \(break-glass\) is left out/,
    ({ anna, safe }) => ({ sealedTo: [anna, anna], dropped: [{ recipient: safe, reason: 'role lost' }] }),
  ],
  ['a reader left out for no reason', /anna \(reader\) is left out/, ({ safe }) => ({ sealedTo: [safe, safe] })],
  ['fewer readers than the root wants', /1 recipients, and the roster wants 2/, ({ safe }) => ({ sealedTo: [safe] })],
  [
    'one reader more than it names',
    /it is sealed 3 times, to 2 recipients/,
    ({ safe, anna, spy }) => ({ sealedTo: [safe, anna, spy], named: [safe, anna] }),
  ],
  [
    'a reader who was revoked, by the roster of before',
    /it goes by the roster of epoch 2, and snapshot 2 went by that of epoch 3/,
    ({ safe, anna, ben }) => ({ sealedTo: [safe, ben, anna], epoch: 2 }),
  ],
])('a snapshot with %s is found by everybody, without a key', async (_, found, lie) => {
  await forge(lie(ship.recipients));
  for (const args of [
    ['backup', 'check'],
    ['keys', 'list'],
  ]) {
    const ended = await fork.read(args);
    expect(ended.status, `${args.join(' ')}: ${ended.stdout}`).toBe(3);
    const problems = problemsOf(ended).filter((problem) => problem.startsWith('SNAPSHOT_READERS_WRONG'));
    expect(problems, args.join(' ')).toEqual([expect.stringMatching(found)]);
  }
  // What was before is as it was.
  expect((await fork.restoreAs('safe', `${WRITER}/2`)).content).toBe(CONTENT);
});

test('a snapshot that is sealed to nobody in the readers’ names is found by each of them, with a check or a drill', async () => {
  const { safe, anna, ben, spy } = ship.recipients;
  await forge({ sealedTo: [spy, ben], named: [safe, anna] });
  // Stanzas are anonymous: without a key it looks right, and it is not.
  expect((await fork.read(['backup', 'check'])).status).toBe(0);
  for (const name of ['safe', 'anna']) {
    const checked = await fork.read(['backup', 'check', '-i', ship.at(`${name}.txt`)]);
    expect(checked.status, checked.stdout).toBe(3);
    expect(problemsOf(checked).join(), name).toContain('SNAPSHOT_NOT_RIGHT');
    expect((await fork.restoreAs(name)).ended.error).toMatchObject({ code: 'RUN_KEY_NOT_FOR_US' });
    expect((await fork.restoreAs(name, `${WRITER}/2`)).content).toBe(CONTENT);
  }
});

test('with its keys of 15 minutes it writes no roster, reads no content, removes nothing, and gets no longer ones', async () => {
  const keys = await ownKeys();
  const thief = ship.minio.client(keys);
  const Bucket = BUCKET;
  const prefix = new URL(fork.address.replace('s3:', 'http:')).pathname.slice(1);
  const refused = async (work: Promise<unknown>, what: string) => {
    const name = await work.then(
      () => 'done',
      (error: Error) => error.name,
    );
    expect(name, what).toBe('AccessDenied');
  };
  const foreign = [
    ...['keys/00000003.json', 'keys/00000004.json', 'repo.json', `evidence/${'0'.repeat(64)}.json`, 'marks/x'],
    ...[`rewraps/00000003/${'0'.repeat(64)}.json`, 'snapshots/db-2/00000001.json', `forgotten/${WRITER}/00000001.json`],
    ...[`verified/${WRITER}/00000002/x.json`, 'probes/x'],
  ];
  for (const key of foreign) {
    await refused(thief.send(new PutObjectCommand({ Bucket, Key: `${prefix}/${key}`, Body: 'own' })), `put ${key}`);
  }
  for (const key of await fork.keys()) {
    const { Versions: [{ VersionId } = {}] = [] } = await ship.minio
      .client()
      .send(new ListObjectVersionsCommand({ Bucket, Prefix: `${prefix}/${key}` }));
    const Key = `${prefix}/${key}`;
    await refused(thief.send(new DeleteObjectCommand({ Bucket, Key })), `delete ${key}`);
    await refused(thief.send(new DeleteObjectCommand({ Bucket, Key, VersionId })), `delete a version of ${key}`);
    const { Body } = await thief.send(new GetObjectCommand({ Bucket, Key }));
    expect(Buffer.from((await Body?.transformToByteArray()) ?? []).includes(CONTENT.trim()), key).toBe(false);
  }
  const suspend = { VersioningConfiguration: { Status: 'Suspended' } } as const;
  await refused(thief.send(new PutBucketVersioningCommand({ Bucket, ...suspend })), 'versions');
  const { provider, account, minio } = ship;
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: provider.issuer, sub: account.id, aud: [provider.projects.storage], iat: now, exp: now + 7200 };
  const token = await provider.keys.sign(claims);
  const sts = {
    sts: minio.endpoint,
    token: async () => token,
    roleArn: minio.roleArn,
    sessionName: 'x',
    now: Date.now,
  };
  expect(keys.expiration.getTime() - Date.now()).toBeLessThanOrEqual(901_000);
  for (const seconds of [901, 3600, 604_800, undefined]) expect(await wouldGiveKeysFor(sts, seconds)).toBe(false);
});

test('a roster of its own counts for nobody: the snapshot that goes by it is no snapshot', async () => {
  const store = await fork.open(await ownKeys());
  await expect(store.put(rosterKey(4), Buffer.from('{}'))).rejects.toMatchObject({ code: 'STORE_DENIED' });
  await store.close();
  const { safe, anna, spy } = ship.recipients;
  await forge({ sealedTo: [safe, anna, spy], roster: digestOf('a roster of its own') });
  expect(problemsOf(await fork.read(['backup', 'check'])).join()).toContain('ROSTER_FORKED');
  expect((await fork.restoreAs('spy')).content).toBeUndefined();
  for (const name of ['safe', 'anna']) {
    expect((await fork.restoreAs(name)).ended.error).toMatchObject({ code: 'ROSTER_FORKED' });
    expect((await fork.restoreAs(name, `${WRITER}/2`, ['--despite-problems'])).content).toBe(CONTENT);
  }
});
