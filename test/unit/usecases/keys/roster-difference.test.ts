import { beforeAll, expect, test } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import { createIdentity } from '../../../../src/formats/age/new-identity.ts';
import { recipientFingerprint } from '../../../../src/formats/identity/fingerprint.ts';
import type { RepositoryId, WriterName } from '../../../../src/formats/repository/keys.ts';
import type { Roster } from '../../../../src/formats/repository/roster.ts';
import { rosterDifference } from '../../../../src/usecases/keys/roster-difference.ts';
import { createSigningKey, publicKeyText } from '../../../support/backup-repository.ts';

const keys = Array.from({ length: 5 }, () => publicKeyText(createSigningKey()));
const key = (index: number) => keys[index] as string;
let recipients: string[];
let roster: Roster;

beforeAll(async () => {
  recipients = await Promise.all([1, 2, 3].map(async () => (await createIdentity('post-quantum')).recipient));
  const [safe, reader, index] = recipients as [string, string, string];
  roster = {
    version: 1,
    repository: '00112233445566778899aabbccddeeff' as RepositoryId,
    epoch: 3,
    previous: digestOf('2'),
    created: '2026-11-29T00:00:00.000Z',
    approvers: { threshold: 1, keys: [{ name: 'anna', publicKey: key(0) }] },
    recipients: [
      { name: 'safe', recipient: safe, role: 'break-glass' },
      { name: 'carol', recipient: reader, role: 'reader' },
    ],
    minimumRecipients: 1,
    writers: [{ name: 'db-1' as WriterName, publicKey: key(1), indexRecipient: index }],
    pruners: [{ name: 'p' as WriterName, publicKey: key(2) }],
    verifiers: [{ name: 'v' as WriterName, publicKey: key(3) }],
  };
});

const differ = (change: Partial<Roster>) => rosterDifference(roster, { ...roster, ...change });

test('the next epoch of the same roster differs in nothing', () => {
  expect(differ({ epoch: 4, previous: digestOf('3'), created: '2027-01-01T00:00:00.000Z' })).toEqual([]);
});

test('whatever is changed stands there', () => {
  const [safe, carol] = roster.recipients;
  const [writer] = roster.writers;
  const evidence = { kind: 'letter' };
  const cases: readonly (readonly [Partial<Roster>, string])[] = [
    [{ approvers: { ...roster.approvers, threshold: 2 } }, 'changed rule approvers who must sign'],
    [{ approvers: { threshold: 1, keys: [{ name: 'anna', publicKey: key(4) }] } }, 'changed approver anna'],
    [{ minimumRecipients: 2 }, 'changed rule recipients at the least'],
    [{ recipients: [safe as never] }, 'removed reader carol'],
    [{ recipients: [safe, { ...carol, recipient: recipients[2] }] as never }, 'changed reader carol'],
    [{ recipients: [safe, { ...carol, notAfter: roster.created }] as never }, 'changed reader carol'],
    [{ recipients: [safe, { ...carol, evidence }] as never }, 'changed reader carol'],
    [{ writers: [{ ...writer, indexRecipient: recipients[0] }] as never }, 'changed writer db-1'],
    [{ writers: [] }, 'removed writer db-1'],
    [{ pruners: [{ name: 'p' as WriterName, publicKey: key(4) }] }, 'changed pruner p'],
    [{ pruners: [{ name: 'p' as WriterName, publicKey: key(2), evidence }] }, 'changed pruner p'],
    [{ verifiers: [] }, 'removed verifier v'],
    [{ closed: [{ writer: 'db-1' as WriterName, sequence: 4 }] }, 'added rule last snapshot of db-1 by its old key'],
    [{ fresh: true }, 'added rule packs of earlier epochs'],
  ];
  for (const [change, expected] of cases)
    expect(differ(change).map(({ change: what, role, name }) => `${what} ${role} ${name}`)).toEqual([expected]);
});

test('another role is no small change', () => {
  const [safe, carol] = roster.recipients;
  const changes = differ({ recipients: [safe, { ...carol, role: 'break-glass' }] as never });
  expect(changes.map(({ change, role }) => [change, role])).toEqual([
    ['added', 'break-glass'],
    ['removed', 'reader'],
  ]);
});

test('a key that was replaced is shown with the one before, in a form to compare', () => {
  const [safe, carol] = roster.recipients;
  const [, before, after] = recipients as [string, string, string];
  expect(differ({ recipients: [safe, { ...carol, recipient: after }] as never })).toMatchObject([
    {
      key: recipientFingerprint(after),
      notes: ['no enrolment', `before: ${recipientFingerprint(before)}, no enrolment`],
    },
  ]);
});

test('what the epoch before did once is not missed in the next one', () => {
  const before = { ...roster, closed: [{ writer: 'x' as WriterName, sequence: 0 }], fresh: true } as Roster;
  expect(rosterDifference(before, roster)).toEqual([]);
});
