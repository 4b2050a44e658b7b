import { afterEach, expect, test } from 'vitest';
import { digestOf } from '../../src/core/digest.ts';
import { createIdentity, type NewIdentity } from '../../src/formats/age/new-identity.ts';
import { answerChallenge } from '../../src/formats/identity/challenge.ts';
import { encodeProposal } from '../../src/formats/identity/roster-proposal.ts';
import type { WriterName } from '../../src/formats/repository/keys.ts';
import { encodeRoster, type Roster, type RosterRecipient } from '../../src/formats/repository/roster.ts';
import type { SigningKey } from '../../src/formats/sigstore/cosign-key.ts';
import {
  enrolledRecipient,
  makeChallenge,
  publishEvidence,
  readEnrolment,
  readerOf,
  requireAnswer,
  requireApprovable,
} from '../../src/usecases/keys/enrolments.ts';
import { openProposal, signProposal } from '../../src/usecases/keys/proposals.ts';
import { verifyKeys } from '../../src/usecases/keys/verify-keys.ts';
import type { OpenedRepository } from '../../src/usecases/repository/open.ts';
import {
  nextRoster,
  publishRoster,
  signedSoFar,
  signNextRoster,
  withApprovals,
} from '../../src/usecases/repository/roster-changes.ts';
import {
  type BackupRepository,
  createBackupRepository,
  createSigningKey,
  memoryIn,
  publicKeyText,
  signal,
  streamSource,
} from '../support/backup-repository.ts';
import { raised } from '../support/raised.ts';
import { approve, NOBODY, revoke } from '../support/roster-changes.ts';
import { createTestIssuer, type EnrolmentWishes } from '../support/test-issuer.ts';

const SOURCE = streamSource('files', { a: Buffer.from('content') });
const issuer = createTestIssuer();
const DAY_MS = 86_400_000;

const opened: BackupRepository[] = [];
afterEach(async () => {
  for (const repository of opened.splice(0)) await repository[Symbol.asyncDispose]();
});

/** A repository of two approvers, of whom `threshold` must sign, with one key in the safe; seen through the root. */
async function createShip(threshold = 2) {
  const ben = createSigningKey();
  const safe = await createIdentity('post-quantum');
  const repository = await createBackupRepository((request) => ({
    ...request,
    threshold,
    coSigners: [ben],
    approvers: [...request.approvers, { name: 'ben', publicKey: publicKeyText(ben) }],
    recipients: [{ name: 'safe', recipient: safe.recipient, role: 'break-glass' }],
  }));
  opened.push(repository);
  const root = { breakGlass: [safe.recipient], issuer: issuer.pinned };
  const open = async (): Promise<OpenedRepository> => {
    const plain = await repository.open();
    return { ...plain, trust: { ...plain.trust, ...root } };
  };
  return { repository, open, anna: repository.signer, ben, id: repository.writerKey.repository };
}

type Ship = Awaited<ReturnType<typeof createShip>>;

interface Enrolled {
  readonly identity: NewIdentity;
  readonly bytes: Uint8Array;
}

async function enrol({ id }: Ship, wishes: Partial<EnrolmentWishes> = {}): Promise<Enrolled> {
  const identity = await createIdentity('post-quantum');
  const about = { repository: id, recipient: identity.recipient, subject: 'carol' };
  return { identity, bytes: await issuer.enrol({ ...about, ...wishes }) };
}

/** What an approver signs, as a file; `change` alters it as only a hostile one would. */
async function propose(
  ship: Ship,
  bytes: Uint8Array | undefined,
  {
    signers = [ship.anna],
    change = (roster) => roster,
  }: { signers?: SigningKey[]; change?: (roster: Roster) => Roster } = {},
): Promise<Uint8Array> {
  const repository = await ship.open();
  const recipients =
    bytes === undefined ? [] : [enrolledRecipient(await readEnrolment(repository, bytes, Date.now()), {})];
  const changed = withApprovals(repository.roster.document, { ...NOBODY, recipients, threshold: 2 });
  const next = change(await nextRoster(repository, changed, Date.now(), { signal }));
  return encodeProposal({ repository: ship.id, roster: encodeRoster(next, signers), enrolment: bytes });
}

async function look(ship: Ship, proposal: Uint8Array, now = Date.now()) {
  return await openProposal(await ship.open(), proposal, now, { signal });
}

async function letIn(ship: Ship, bytes: Uint8Array): Promise<Roster> {
  const repository = await ship.open();
  const next = signProposal(repository, await look(ship, await propose(ship, bytes)), ship.ben);
  return await publishRoster(repository, next, ship.repository.memory, { signal });
}

function alterRecipients(change: (recipients: readonly RosterRecipient[]) => readonly RosterRecipient[]) {
  return (roster: Roster): Roster => ({ ...roster, recipients: change(roster.recipients) });
}

test('a proposal shows all that it changes, and is published with the last signature that it needs', async () => {
  const ship = await createShip();
  const { bytes } = await enrol(ship);
  const proposal = await look(ship, await propose(ship, bytes));
  expect(proposal.changes).toMatchObject([{ change: 'added', role: 'reader', name: 'carol' }]);
  expect(proposal.next).toMatchObject({ epoch: 2, signers: ['approver'], missing: 1 });
  const repository = await ship.open();
  expect(await raised(() => publishRoster(repository, proposal.next, ship.repository.memory))).toMatchObject({
    code: 'ROSTER_NEEDS_APPROVERS',
  });
  const next = signProposal(repository, proposal, ship.ben);
  expect(next).toMatchObject({ signers: ['approver', 'ben'], missing: 0 });
  await publishRoster(repository, next, ship.repository.memory);
  expect((await ship.open()).roster.document.recipients.map(({ name }) => name)).toEqual(['safe', 'carol']);
});

test('one signature twice is one, and a stranger’s is none', async () => {
  const ship = await createShip();
  const repository = await ship.open();
  const proposal = await look(ship, await propose(ship, undefined));
  expect(signProposal(repository, proposal, ship.anna)).toMatchObject({ missing: 1 });
  expect(await raised(() => signProposal(repository, proposal, createSigningKey()))).toMatchObject({
    code: 'ROLE_MISSING',
  });
  const strangers = await propose(ship, undefined, { signers: [createSigningKey()] });
  expect(await raised(() => look(ship, strangers))).toMatchObject({ code: 'PROPOSAL_REFUSED' });
  const both = await propose(ship, undefined, { signers: [ship.anna, createSigningKey()] });
  expect(await raised(() => look(ship, both))).toMatchObject({ code: 'PROPOSAL_REFUSED' });
});

test('a proposal that somebody altered on the way is refused', async () => {
  const ship = await createShip();
  const repository = await ship.open();
  const next = await nextRoster(repository, repository.roster.document, Date.now());
  const envelope = JSON.parse(Buffer.from(encodeRoster(next, [ship.anna])).toString());
  const mallory = await createIdentity('post-quantum');
  const recipients = [...next.recipients, { name: 'x', recipient: mallory.recipient, role: 'reader' }];
  const other = JSON.parse(Buffer.from(encodeRoster({ ...next, recipients } as Roster, [ship.anna])).toString());
  const forged = Buffer.from(JSON.stringify({ ...envelope, payload: other.payload }));
  const proposal = encodeProposal({ repository: ship.id, roster: forged });
  expect(await raised(() => look(ship, proposal))).toMatchObject({ code: 'SIGNED_DOCUMENT_FORGED' });
});

test('a proposal is outdated once another epoch was published, and so is the slower of two', async () => {
  const ship = await createShip();
  const [first, second] = [await propose(ship, undefined), await propose(ship, (await enrol(ship)).bytes)];
  const repository = await ship.open();
  const slow = signProposal(repository, await look(ship, second), ship.ben);
  const fast = signProposal(repository, await look(ship, first), ship.ben);
  await publishRoster(repository, fast, ship.repository.memory);
  expect(await raised(() => look(ship, second))).toMatchObject({
    code: 'PROPOSAL_OUTDATED',
    expected: expect.stringContaining('epoch 3'),
    found: expect.stringContaining('epoch 2'),
  });
  expect(await raised(() => publishRoster(repository, slow, ship.repository.memory))).toMatchObject({
    code: 'OBJECT_CONFLICT',
    message: expect.stringContaining('epoch 2'),
  });
});

test.each([
  [
    'follows another history',
    'PROPOSAL_OUTDATED',
    (roster: Roster): Roster => ({ ...roster, previous: digestOf('another epoch 1') }),
  ],
  [
    'drops the recipient in the safe',
    'ROSTER_BREAK_GLASS_MISSING',
    ({ recipients, ...roster }: Roster): Roster => ({
      ...roster,
      recipients: recipients.filter(({ role }) => role === 'reader'),
    }),
  ],
  [
    'gives it an end',
    'ROSTER_BREAK_GLASS_MISSING',
    alterRecipients((all) =>
      all.map((one) => (one.role === 'break-glass' ? { ...one, notAfter: '2030-01-01T00:00:00.000Z' } : one)),
    ),
  ],
  [
    'is of the future',
    'PROPOSAL_REFUSED',
    (roster: Roster): Roster => ({
      ...roster,
      created: '2099-01-01T00:00:00.000Z',
    }),
  ],
  [
    'ends a chain that goes on',
    'PROPOSAL_OUTDATED',
    (roster: Roster): Roster => ({
      ...roster,
      closed: [{ writer: 'db-1' as WriterName, sequence: 0 }],
    }),
  ],
  [
    'takes a key from a writer and ends no chain',
    'PROPOSAL_OUTDATED',
    (roster: Roster): Roster => ({
      ...roster,
      writers: [],
    }),
  ],
] as const)('a proposal that %s is refused', async (_, code, change) => {
  const ship = await createShip();
  const proposal = await propose(ship, (await enrol(ship)).bytes, { change });
  expect(await raised(() => look(ship, proposal))).toMatchObject({ code });
});

test('a chain that went on since the proposal ends elsewhere: it is made again', async () => {
  const ship = await createShip();
  const change = (roster: Roster): Roster => ({
    ...roster,
    writers: [],
    closed: [{ writer: 'db-1' as WriterName, sequence: 0 }],
  });
  const proposal = await propose(ship, undefined, { change });
  expect((await look(ship, proposal)).changes).toMatchObject([
    { change: 'added', role: 'rule', key: '0' },
    { change: 'removed', role: 'writer', name: 'db-1' },
  ]);
  await ship.repository.run([SOURCE]);
  expect(await raised(() => look(ship, proposal))).toMatchObject({ code: 'PROPOSAL_OUTDATED' });
});

test('a proposal whose reader is not the one who enrolled is refused', async () => {
  const ship = await createShip();
  const { bytes } = await enrol(ship);
  const mallory = await createIdentity('post-quantum');
  const alter = (change: object) =>
    alterRecipients((all) => all.map((one) => (one.name === 'carol' ? { ...one, ...change } : one)));
  const evidence = { kind: 'enrolment', issuer: issuer.pinned.url, subject: 'carol', digest: digestOf(bytes) };
  for (const change of [
    { recipient: mallory.recipient },
    { role: 'break-glass' },
    { evidence: { ...evidence, subject: 'the captain' } },
    { evidence: { ...evidence, issuer: 'https://id.evil.example' } },
  ]) {
    const proposal = await propose(ship, bytes, { change: alter(change) });
    expect(await raised(() => look(ship, proposal))).toMatchObject({ code: 'EVIDENCE_MISMATCH' });
  }
  // Without its enrolment, or with another one, nobody can check it.
  const unproven = await propose(ship, bytes, { change: alter({ evidence: { ...evidence, digest: digestOf('x') } }) });
  expect(await raised(() => look(ship, unproven))).toMatchObject({ code: 'PROPOSAL_REFUSED' });
});

test('readers come in one after the other, so that each is looked at', async () => {
  const ship = await createShip();
  const [carol, dora] = [await enrol(ship), await enrol(ship, { subject: 'dora' })];
  const entry = enrolledRecipient(await readEnrolment(await ship.open(), dora.bytes, Date.now()), {});
  const proposal = await propose(ship, carol.bytes, { change: alterRecipients((all) => [...all, entry]) });
  expect(await raised(() => look(ship, proposal))).toMatchObject({ code: 'PROPOSAL_REFUSED', found: 2 });
});

test('whoever comes in without an enrolment is shown as such', async () => {
  const ship = await createShip();
  const { recipient } = await createIdentity('post-quantum');
  const change = alterRecipients((all) => [...all, { name: 'mallory', recipient, role: 'reader' }]);
  const { changes } = await look(ship, await propose(ship, undefined, { change }));
  expect(changes).toMatchObject([{ change: 'added', name: 'mallory', notes: ['no enrolment'] }]);
});

test('a forged, an old and a replayed token let nobody in, whoever proposes it', async () => {
  const ship = await createShip();
  const repository = await ship.open();
  const stranger = createTestIssuer();
  const identity = await createIdentity('post-quantum');
  const about = { repository: ship.id, recipient: identity.recipient, subject: 'carol' };
  const read = (bytes: Uint8Array, now = Date.now()) => readEnrolment(repository, bytes, now);
  expect(await raised(async () => read(await stranger.enrol(about)))).toMatchObject({ code: 'ID_TOKEN_FORGED' });
  const { bytes } = await enrol(ship);
  expect(await raised(() => read(bytes, Date.now() - 5 * 365 * DAY_MS))).toMatchObject({
    code: 'ID_TOKEN_NOT_YET_VALID',
  });
  const old = await read(bytes, Date.now() + 8 * DAY_MS);
  expect(await raised(() => requireApprovable(repository, old, 'carol', Date.now() + 8 * DAY_MS))).toMatchObject({
    code: 'ENROLMENT_TOO_OLD',
  });
  const proposal = await propose(ship, bytes);
  expect(await raised(() => look(ship, proposal, Date.now() + 8 * DAY_MS))).toMatchObject({
    code: 'ENROLMENT_TOO_OLD',
  });
  const { trust, ...rest } = repository;
  const { issuer: _, ...nobody } = trust;
  expect(await raised(() => readEnrolment({ ...rest, trust: nobody }, bytes, Date.now()))).toMatchObject({
    code: 'ISSUER_NOT_PINNED',
  });
});

test('whoever was taken off does not come back by the old enrolment, and nobody takes another one’s name', async () => {
  const ship = await createShip(1);
  const { bytes } = await enrol(ship);
  await approve(ship.repository, {
    recipients: [enrolledRecipient(await readEnrolment(await ship.open(), bytes, Date.now()), { name: 'carol' })],
  });
  const verified = await readEnrolment(await ship.open(), bytes, Date.now());
  expect(readerOf(await ship.open(), verified.digest)).toMatchObject({ name: 'carol' });
  const dora = await enrol(ship, { subject: 'dora' });
  const other = await readEnrolment(await ship.open(), dora.bytes, Date.now());
  const repository = await ship.open();
  expect(await raised(() => requireApprovable(repository, other, 'carol', Date.now()))).toMatchObject({
    code: 'ROSTER_NAME_TAKEN',
  });
  // The same person with a new key takes the place of the old one.
  const again = await readEnrolment(repository, (await enrol(ship)).bytes, Date.now());
  requireApprovable(repository, again, 'carol', Date.now());
  await revoke(ship.repository, { recipients: ['carol'] });
  const after = await ship.open();
  expect(await raised(() => requireApprovable(after, verified, 'carol', Date.now()))).toMatchObject({
    code: 'ENROLMENT_REVOKED',
  });
});

test('an answer counts for the approver who asked, and for the newest challenge alone', async () => {
  const ship = await createShip();
  const { identity, bytes } = await enrol(ship);
  const repository = await ship.open();
  const verified = await readEnrolment(repository, bytes, Date.now());
  const { memory, root } = ship.repository;
  const bens = memoryIn(`${root}/ben`, Date.now);
  const answerTo = async (challenge: Uint8Array) =>
    (await answerChallenge(challenge, [identity.identity], bytes)).answer;
  const first = await answerTo(await makeChallenge(repository, verified, memory));
  await requireAnswer(repository, verified, first, memory);
  expect(await raised(() => requireAnswer(repository, verified, first, bens))).toMatchObject({
    code: 'CHALLENGE_MISSING',
  });
  await makeChallenge(repository, verified, bens);
  expect(await raised(() => requireAnswer(repository, verified, first, bens))).toMatchObject({
    code: 'CHALLENGE_ANSWER_WRONG',
  });
  const second = await answerTo(await makeChallenge(repository, verified, memory));
  expect(await raised(() => requireAnswer(repository, verified, first, memory))).toMatchObject({
    code: 'CHALLENGE_ANSWER_WRONG',
  });
  await requireAnswer(repository, verified, second, memory);
});

test('evidence is published when its token can be used by nobody, and verified for ever after', async () => {
  const ship = await createShip();
  const { bytes } = await enrol(ship);
  await letIn(ship, bytes);
  const repository = await ship.open();
  const verified = await readEnrolment(repository, bytes, Date.now());
  expect(await raised(() => publishEvidence(repository, verified, bytes, Date.now()))).toMatchObject({
    code: 'EVIDENCE_TOO_EARLY',
    expected: `after ${new Date(verified.token.expiresAt.getTime() + 600_000).toISOString()}`,
  });
  const states = async (now: number) =>
    (await verifyKeys(await ship.open(), now)).recipients.map((one) => one.evidence);
  expect(await states(Date.now())).toEqual(['kept offline', 'not published']);
  expect((await verifyKeys(repository, Date.now() + 8 * DAY_MS)).findings).toMatchObject([{ code: 'KEYS_NOT_RIGHT' }]);
  // Clocks differ: for one that is behind it has not expired yet.
  const expiresAt = verified.token.expiresAt.getTime();
  for (const early of [expiresAt, expiresAt + 599_999]) {
    expect(await raised(() => publishEvidence(repository, verified, bytes, early))).toMatchObject({
      code: 'EVIDENCE_TOO_EARLY',
    });
  }
  expect(await publishEvidence(repository, verified, bytes, expiresAt + 600_000)).toMatchObject({ created: true });
  for (const later of [DAY_MS, 3650 * DAY_MS]) {
    expect(await states(Date.now() + later)).toEqual(['kept offline', 'verified']);
    expect((await verifyKeys(await ship.open(), Date.now() + later)).findings).toEqual([]);
  }
});

test('verification names damaged evidence, readers who never enrolled, and a roster without a safe', async () => {
  const ship = await createShip(1);
  const { bytes } = await enrol(ship);
  const repository = await ship.open();
  const verified = await readEnrolment(repository, bytes, Date.now() + DAY_MS);
  const entry = enrolledRecipient(verified, {});
  // As two hostile approvers would: the evidence is of another person than the entry says.
  await approve(ship.repository, { recipients: [{ ...entry, evidence: { ...entry.evidence, subject: 'captain' } }] });
  const { key } = await publishEvidence(await ship.open(), verified, bytes, Date.now() + DAY_MS);
  const check = async () => await verifyKeys(await ship.open(), Date.now());
  expect((await check()).findings).toMatchObject([{ code: 'EVIDENCE_MISMATCH' }]);
  await ship.repository.store.remove([key]);
  await ship.repository.store.put(key, Buffer.from('something else'), {});
  expect(await check()).toMatchObject({
    recipients: [{}, { evidence: 'refused' }],
    findings: [{ code: 'BACKUP_OBJECT_DAMAGED' }],
  });
  await approve(ship.repository, { recipients: [{ ...entry, evidence: {} }] });
  expect((await check()).findings).toMatchObject([{ message: expect.stringContaining('never enrolled') }]);
  await revoke(ship.repository, { recipients: ['safe'] });
  expect((await check()).findings).toMatchObject([{}, { message: expect.stringContaining('break-glass') }]);
});

test('a reader whose time is over is shown as ended, and missed where too few are left', async () => {
  const ship = await createShip(1);
  const { recipient } = await createIdentity('post-quantum');
  const notAfter = '2020-01-01T00:00:00.000Z';
  await approve(ship.repository, { recipients: [{ name: 'old', recipient, role: 'reader', notAfter }] });
  const report = await verifyKeys(await ship.repository.open(), Date.now());
  expect(report).toMatchObject({ recipients: [{ ended: false }, { name: 'old', ended: true }], findings: [] });
  const repository = await ship.open();
  const changed = { ...repository.roster.document, minimumRecipients: 2 };
  await publishRoster(
    repository,
    await signNextRoster(repository, changed, ship.anna, Date.now()),
    ship.repository.memory,
  );
  expect((await verifyKeys(await ship.repository.open(), Date.now())).findings).toMatchObject([
    { code: 'ROSTER_TOO_FEW_RECIPIENTS' },
  ]);
});

test('a second approver comes in with a higher threshold by signing for it', async () => {
  const ship = await createShip(1);
  const cleo = createSigningKey();
  const repository = await ship.open();
  const changed = withApprovals(repository.roster.document, {
    ...NOBODY,
    approvers: [{ name: 'cleo', publicKey: publicKeyText(cleo) }],
    threshold: 3,
  });
  const first = await signNextRoster(repository, changed, ship.anna, Date.now());
  expect(first).toMatchObject({ signers: ['approver'], missing: 2 });
  const second = encodeProposal({ repository: ship.id, roster: first.bytes });
  const byBen = signProposal(repository, await look(ship, second), ship.ben);
  expect(byBen).toMatchObject({ signers: ['approver', 'ben'], missing: 1 });
  const third = encodeProposal({ repository: ship.id, roster: byBen.bytes });
  const byCleo = signProposal(repository, await look(ship, third), cleo);
  expect(byCleo).toMatchObject({ missing: 0 });
  await publishRoster(repository, byCleo, ship.repository.memory);
  // From now on all three are needed, and the signature of who was new is looked at as the others are.
  const after = await ship.open();
  const alone = await signNextRoster(after, { ...after.roster.document }, ship.anna, Date.now());
  expect(alone.missing).toBe(2);
  expect(signedSoFar(after.roster.document, alone.document, alone.bytes).signers).toEqual(['approver']);
});

test('a threshold is lowered by as many as it asked for', async () => {
  const ship = await createShip();
  const repository = await ship.open();
  const changed = withApprovals(repository.roster.document, { ...NOBODY, threshold: 1 });
  const alone = await signNextRoster(repository, changed, ship.anna, Date.now());
  expect(alone).toMatchObject({ signers: ['approver'], missing: 1 });
  const proposal = await look(ship, encodeProposal({ repository: ship.id, roster: alone.bytes }));
  const next = signProposal(repository, proposal, ship.ben);
  expect(next.missing).toBe(0);
  await publishRoster(repository, next, ship.repository.memory);
  expect((await ship.open()).roster.document.approvers.threshold).toBe(1);
});
