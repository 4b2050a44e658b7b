/** Whoever owns the storage, alone: it shows, swaps, drops and adds what it likes, and adds no reader and no wrong byte. */
import { randomBytes } from 'node:crypto';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { digestOf } from '../../src/core/digest.ts';
import { sealBytes } from '../../src/formats/age/sealed-bytes.ts';
import { type RunId, rosterKey, runKeyKey, snapshotKey, type WriterName } from '../../src/formats/repository/keys.ts';
import { encodeRewrap } from '../../src/formats/repository/rewrap.ts';
import { encodeRoster, type Roster, readUnverifiedRoster } from '../../src/formats/repository/roster.ts';
import { encodeSnapshot, readUnverifiedSnapshot } from '../../src/formats/repository/snapshot.ts';
import { openCosignKey, type SigningKey } from '../../src/formats/sigstore/cosign-key.ts';
import {
  type AttackedShip,
  CONTENT,
  createAttackedShip,
  type Fork,
  PASSWORD,
  WRITER,
} from '../support/attacked-ship.ts';
import type { PortolanEnded } from '../support/program.ts';

let ship: AttackedShip;
/** The storage's own key, which nobody trusts. */
let stranger: SigningKey;
beforeAll(async () => {
  ship = await createAttackedShip();
  stranger = await openCosignKey(await readFile(ship.at('stranger.key')), PASSWORD);
});
afterAll(() => ship?.[Symbol.asyncDispose]());

const codeOf = ({ status, error, stdout, stderr }: PortolanEnded) =>
  status === 0 ? 'done' : String(error?.code ?? `${stdout}${stderr}`);

async function newestRoster(fork: Fork): Promise<{ readonly document: Roster; readonly bytes: Buffer }> {
  const bytes = await fork.get(rosterKey(3));
  return { document: readUnverifiedRoster(bytes).document, bytes };
}

const withSpy = (roster: Roster): Roster => ({
  ...roster,
  recipients: [...roster.recipients, { name: 'spy', recipient: ship.recipients.spy, role: 'reader' }],
});

test('nothing is wrong before: both readers restore, who was revoked and who never was on the roster do not', async () => {
  const fork = await ship.fork();
  expect(codeOf(await fork.read(['backup', 'check']))).toBe('done');
  const run = await fork.run({ remembers: true });
  expect(run.result?.recipients, run.stdout).toEqual([ship.recipients.safe, ship.recipients.anna]);
  for (const name of ['anna', 'safe']) expect((await fork.restoreAs(name)).content).toBe(CONTENT);
  for (const name of ['ben', 'spy']) {
    expect((await fork.restoreAs(name)).ended.error).toMatchObject({ code: 'RUN_KEY_NOT_FOR_US' });
  }
});

test.each<[string, string, (fork: Fork) => Promise<void>]>([
  [
    'a roster of its own after the newest',
    'ROSTER_UNSIGNED',
    async (fork) => {
      const { document, bytes } = await newestRoster(fork);
      const next = { ...withSpy(document), epoch: 4, previous: digestOf(bytes) };
      await fork.put(rosterKey(4), encodeRoster(next, [stranger]));
    },
  ],
  [
    'a roster of its own in place of the newest',
    'ROSTER_UNSIGNED',
    async (fork) => fork.put(rosterKey(3), encodeRoster(withSpy((await newestRoster(fork)).document), [stranger])),
  ],
  [
    'its own recipient in the signed roster',
    'SIGNED_DOCUMENT_FORGED',
    async (fork) => {
      const { document, bytes } = await newestRoster(fork);
      const own = JSON.parse(Buffer.from(encodeRoster(withSpy(document), [stranger])).toString());
      const signed = JSON.parse(bytes.toString());
      await fork.put(rosterKey(3), JSON.stringify({ ...own, signatures: signed.signatures }));
    },
  ],
  [
    'a chain of rosters of its own, from the first',
    'ROSTER_UNSIGNED',
    async (fork) => {
      const { document } = readUnverifiedRoster(await fork.get(rosterKey(1)));
      const key = stranger.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
      const first = { ...withSpy(document), approvers: { threshold: 1, keys: [{ name: 'approver', publicKey: key }] } };
      await fork.remove(rosterKey(2));
      await fork.remove(rosterKey(3));
      await fork.put(rosterKey(1), encodeRoster(first as Roster, [stranger]));
    },
  ],
])('%s: no run and no reader takes it', async (_, code, attack) => {
  const fork = await ship.fork();
  await attack(fork);
  const before = (await fork.keys()).length;
  for (const remembers of [true, false]) expect(codeOf(await fork.run({ remembers }))).toBe(code);
  expect(codeOf(await fork.read(['keys', 'verify']))).toBe(code);
  expect(codeOf((await fork.restoreAs('anna')).ended)).toBe(code);
  expect((await fork.keys()).length).toBe(before);
});

test('evidence of its own makes nobody a reader, and evidence that is gone takes nobody away', async () => {
  const fork = await ship.fork();
  const [evidence = ''] = (await fork.keys()).filter((key) => key.startsWith('evidence/'));
  const bytes = await fork.get(evidence);
  const forged = JSON.stringify({ ...JSON.parse(bytes.toString()), recipient: ship.recipients.spy });
  await fork.put(`evidence/${digestOf(forged).slice('sha256:'.length)}.json`, forged);
  const added = await fork.read(['keys', 'verify']);
  expect(JSON.stringify(added.result)).not.toContain(ship.recipients.spy);
  expect(added.result, added.stdout).toMatchObject({
    recipients: [{ name: 'break-glass-1' }, { name: 'anna', evidence: 'verified' }],
  });
  await fork.put(evidence, forged);
  expect(await fork.read(['keys', 'verify'])).toMatchObject({ status: 3, error: { code: 'KEYS_NOT_RIGHT' } });
  await fork.remove(evidence);
  expect((await fork.read(['keys', 'verify'])).result).toMatchObject({
    recipients: [{}, { evidence: 'not published' }],
  });
  const run = await fork.run({ remembers: false });
  expect(run.result?.recipients, run.stdout).toEqual([ship.recipients.safe, ship.recipients.anna]);
});

test('a writer of its own, and snapshots in the name of the true one, are nobody’s snapshots', async () => {
  const fork = await ship.fork();
  const { document } = readUnverifiedSnapshot(await fork.get(snapshotKey(WRITER as WriterName, 2)), 'two');
  const previous = digestOf(await fork.get(snapshotKey(WRITER as WriterName, 2)));
  const own = (name: string, sequence: number, before: typeof document.previous) => {
    const writer = name as WriterName;
    const moved = <T extends { readonly key: string }>(one: T): T => ({ ...one, key: one.key.replace(WRITER, name) });
    const places = { indexes: document.indexes.map(moved), contents: document.contents.map(moved) };
    const whole = { ...document, ...places, writer, sequence, previous: before, tags: ['own'] };
    return fork.put(snapshotKey(writer, sequence), encodeSnapshot(whole, stranger));
  };
  await own(WRITER, 3, previous);
  await own('evil', 1, null);
  const { error } = await fork.read(['backup', 'check']);
  expect(error).toMatchObject({ code: 'REPOSITORY_NOT_RIGHT' });
  const found = error?.others as readonly { readonly code: string; readonly at?: { readonly file?: string } }[];
  for (const key of [snapshotKey(WRITER as WriterName, 3), snapshotKey('evil' as WriterName, 1)]) {
    expect(found.map(({ at }) => at?.file)).toContain(key);
  }
  const restored = await fork.restoreAs('anna', `${WRITER}/2`);
  expect(restored.content ?? codeOf(restored.ended)).toMatch(
    new RegExp(`^(${CONTENT.trim()}|SIGNED_DOCUMENT_UNSIGNED)`),
  );
  expect(codeOf((await fork.restoreAs('anna', 'evil/1')).ended)).not.toBe('done');
});

test('keys of runs that it seals to itself open nothing, and nobody takes them for the true ones', async () => {
  const fork = await ship.fork();
  const { document } = readUnverifiedSnapshot(await fork.get(snapshotKey(WRITER as WriterName, 2)), 'two');
  const sealed = await sealBytes(randomBytes(200), [ship.recipients.spy, ship.recipients.anna]);
  const run = document.run as RunId;
  await fork.put(runKeyKey(run, 3), sealed);
  await fork.put(runKeyKey(run, 2), sealed);
  const list = {
    version: 1,
    repository: document.repository,
    epoch: 3,
    signer: 'approver',
    time: new Date().toISOString(),
  };
  const rewrap = encodeRewrap(
    { ...list, recipients: [ship.recipients.spy], runs: [{ run, digest: digestOf(sealed) }] } as Parameters<
      typeof encodeRewrap
    >[0],
    stranger,
  );
  await fork.put(`rewraps/00000003/${digestOf(rewrap).slice('sha256:'.length)}.json`, rewrap);
  for (const name of ['anna', 'safe']) expect((await fork.restoreAs(name)).content).toBe(CONTENT);
  expect((await fork.restoreAs('spy')).content).toBeUndefined();
  expect(codeOf(await fork.read(['backup', 'check']))).toBe('REPOSITORY_NOT_RIGHT');
  const listed = await fork.read(['keys', 'list']);
  expect(JSON.stringify(listed.result ?? {})).not.toContain(ship.recipients.spy);
  const next = await fork.run({ remembers: true });
  expect(next.result?.recipients ?? codeOf(next)).toEqual([ship.recipients.safe, ship.recipients.anna]);
});

test('an old roster brings nobody back: told by who remembers, by the lowest epoch, and warned of where neither is', async () => {
  const fork = await ship.fork();
  // All of what was after ben was revoked, and before the second run.
  for (const key of await fork.keys()) {
    if (key.endsWith('/00000003.json') || key.endsWith(snapshotKey(WRITER as WriterName, 2))) await fork.remove(key);
  }
  expect(codeOf(await fork.run({ remembers: true }))).toBe('ROSTER_ROLLED_BACK');
  expect(codeOf(await fork.run({ remembers: false, more: ['--minimum-epoch', '3'] }))).toBe('ROSTER_ROLLED_BACK');
  const jwks = ['--jwks', ship.at('jwks.json')];
  await writeFile(ship.at('jwks.json'), JSON.stringify(ship.provider.keys.jwks()));
  await cp(ship.at('trust.json'), ship.at('raised.json'));
  const raisedRoot = await ship.command([
    'keys',
    'init',
    '--out',
    ship.at('raised.json'),
    '--minimum-epoch',
    '3',
    ...jwks,
  ]);
  expect(raisedRoot.result, raisedRoot.stdout).toMatchObject({ changed: true, root: { minimumEpoch: 3 } });
  const list = ['keys', 'list', '--repo', fork.address, '--trust', ship.at('raised.json'), '--state', ship.at('none')];
  expect(codeOf(await ship.command(list, ship.ownerEnv))).toBe('ROSTER_ROLLED_BACK');
  // A machine that keeps nothing and pins nothing cannot tell: it says so, loudly, whom it sealed to, and by which epoch.
  const deceived = await fork.run({ remembers: false });
  expect(deceived.result?.recipients, deceived.stdout).toContain(ship.recipients.ben);
  expect(deceived.events).toContainEqual(
    expect.objectContaining({
      event: 'warning',
      message: expect.stringMatching(/never saw this repository.*roster of epoch 2.*--minimum-epoch 2/),
    }),
  );
});

test('a roster alone that is held back stops every run: the last snapshot went by it', async () => {
  const fork = await ship.fork();
  await fork.remove(rosterKey(3));
  expect(codeOf(await fork.run({ remembers: true }))).toBe('ROSTER_ROLLED_BACK');
  expect(codeOf(await fork.run({ remembers: false }))).toBe('ROSTER_MISSING');
});

/** Of each kind one, and the first roster; by what is done to it. */
test('whatever object is dropped, swapped or replaced: no run has another reader, and no restore a wrong byte', async () => {
  const fork = await ship.fork();
  const keys = await fork.keys();
  const kinds = new Map(keys.map((key) => [key.replace(/[0-9a-f]{2}\/[0-9a-f]{64}$|[^/]+$/, ''), key]));
  const expectSound = async (what: string, runs: boolean) => {
    if (runs) {
      const run = await fork.run({ remembers: false });
      if (run.status === 0) expect(run.result?.recipients, what).toEqual([ship.recipients.safe, ship.recipients.anna]);
      else expect([1, 3], `${what}: ${run.stdout}`).toContain(run.status);
      return;
    }
    const { ended, content } = await fork.restoreAs('anna');
    if (ended.status === 0) expect(content, what).toBe(CONTENT);
    else expect([1, 3], `${what}: ${ended.stdout}`).toContain(ended.status);
  };
  for (const [kind, key] of [...kinds, ['keys/ first', rosterKey(1)] as const]) {
    const other = keys.find((one) => one !== key && one.split('/')[0] === key.split('/')[0]) ?? 'repo.json';
    await fork.remove(key);
    await Promise.all([expectSound(`${kind} dropped`, false), expectSound(`${kind} dropped`, true)]);
    await fork.restore();
    await fork.put(key, await fork.get(other));
    await expectSound(`${kind} swapped`, true);
    await fork.restore();
    await fork.put(key, randomBytes(2000));
    await expectSound(`${kind} replaced`, false);
    await fork.restore();
  }
}, 900_000);
