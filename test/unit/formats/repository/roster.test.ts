import { generateHybridIdentity, identityToRecipient } from 'age-encryption';
import { beforeAll, describe, expect, test } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import {
  decodeRoster,
  encodeRoster,
  presentRecipients,
  type Roster,
  rosterKeyOf,
  rosterKeys,
  sharedKeys,
} from '../../../../src/formats/repository/roster.ts';
import { type EpochDocument, verifyRosterChain } from '../../../../src/formats/repository/roster-chain.ts';
import {
  codeOf,
  expectOnlyWhole,
  newSigningKey,
  OTHER_REPOSITORY,
  PRUNER,
  READER,
  REPOSITORY,
  sampleRoster,
  spki,
  TIME,
  trusting,
  WRITER,
} from './repository-fixture.ts';

const [ada, bob, eve] = [newSigningKey(), newSigningKey(), newSigningKey()];
let indexRecipient: string;
beforeAll(async () => {
  indexRecipient = await identityToRecipient(await generateHybridIdentity());
});

describe('a roster', () => {
  test('is read as it was written', () => {
    const roster = sampleRoster(ada, {
      recipients: [
        { name: 'reader', recipient: READER, role: 'reader', notAfter: TIME, evidence: { seen: [1, { by: 'Ada' }] } },
      ],
      writers: [{ name: WRITER, publicKey: spki(bob), indexRecipient }],
      pruners: [{ name: PRUNER, publicKey: spki(eve) }],
      closed: [{ writer: WRITER, sequence: 0 }],
      fresh: true,
    });
    const bytes = encodeRoster(roster, [ada]);
    const read = decodeRoster(bytes, { keys: [trusting(ada)], threshold: 1, repository: REPOSITORY });
    expect(read.document).toEqual(roster);
    expect(rosterKeys(roster, 'writers').map(({ keyHint }) => keyHint)).toEqual([bob.keyHint]);
    expect(rosterKeyOf(roster, 'pruners', PRUNER)?.keyHint).toBe(eve.keyHint);
    expect(rosterKeyOf(roster, 'verifiers', PRUNER)).toBeUndefined();
  });

  test('cut or with a flipped bit is refused', () => {
    const bytes = encodeRoster(sampleRoster(ada), [ada]);
    expectOnlyWhole(bytes, (some) => decodeRoster(some, { keys: [trusting(ada)], threshold: 1 }));
  });

  test.each<[string, (roster: Roster) => object]>([
    ['a first epoch with one before it', () => ({ previous: digestOf('x') })],
    ['a later epoch with none before it', () => ({ epoch: 2 })],
    ['more approvers wanted than there are', ({ approvers }) => ({ approvers: { ...approvers, threshold: 2 } })],
    ['a recipient twice', ({ recipients }) => ({ recipients: [...recipients, { ...recipients[0], name: 'again' }] })],
    ['a name twice', ({ recipients }) => ({ recipients: [recipients[0], recipients[0]] })],
    [
      'a recipient in capitals',
      () => ({ recipients: [{ name: 'r', recipient: READER.toUpperCase(), role: 'reader' }] }),
    ],
    ['a recipient that is none', () => ({ recipients: [{ name: 'r', recipient: 'age1x', role: 'reader' }] })],
    [
      'classic and post-quantum recipients',
      ({ recipients }) => ({ recipients: [...recipients, { name: 'pq', recipient: indexRecipient, role: 'reader' }] }),
    ],
    [
      'a key twice in one role',
      () => ({
        pruners: [
          { name: 'a', publicKey: spki(ada) },
          { name: 'b', publicKey: spki(ada) },
        ],
      }),
    ],
    ['a key that is none', () => ({ pruners: [{ name: 'a', publicKey: 'AAAA' }] })],
    [
      'a classic index recipient',
      () => ({ writers: [{ name: WRITER, publicKey: spki(bob), indexRecipient: READER }] }),
    ],
    ['a minimum that is not met', () => ({ minimumRecipients: 2 })],
  ])('is not made with %s', (_, change) => {
    const roster = sampleRoster(ada);
    expect(codeOf(() => encodeRoster({ ...roster, ...change(roster) }, [ada]))).toBe('ROSTER_INVALID');
  });

  test('has no members that nobody knows, but for evidence', () => {
    const known = sampleRoster(ada);
    for (const wrong of [{ more: 1 }, { fresh: false }, { fresh: 1 }]) {
      expect(codeOf(() => encodeRoster({ ...known, ...wrong } as Roster, [ada]))).toBe('SIGNED_DOCUMENT_INVALID');
    }
  });

  test('names keys that hold several roles', () => {
    const roster = sampleRoster(ada, { pruners: [{ name: PRUNER, publicKey: spki(ada) }] });
    expect(sharedKeys(roster)).toEqual([{ publicKey: spki(ada), roles: ['approvers', 'pruners'] }]);
    expect(sharedKeys(sampleRoster(ada))).toEqual([]);
  });

  test('leaves out recipients whose time ran out, down to the minimum', () => {
    const until = (notAfter: string) =>
      sampleRoster(ada, { recipients: [{ name: 'reader', recipient: READER, role: 'reader', notAfter }] });
    const now = new Date(TIME);
    expect(presentRecipients(until('2026-03-01T02:03:04.000Z'), now)).toHaveLength(1);
    expect(codeOf(() => presentRecipients(until('2026-03-01T02:03:03.999Z'), now))).toBe('ROSTER_TOO_FEW_RECIPIENTS');
  });
});

describe('a chain of rosters', () => {
  const trust = (...keys: (typeof ada)[]) => ({ keys: keys.map((key) => trusting(key)) });
  const by = (...keys: (typeof ada)[]) => ({
    threshold: keys.length,
    keys: keys.map((key, index) => ({ name: `approver ${index}`, publicKey: spki(key) })),
  });

  /** Each step: the approvers of the epoch, and who signs it. */
  function chain(
    ...steps: readonly (readonly [approvers: readonly (typeof ada)[], signers: readonly (typeof ada)[]])[]
  ) {
    const documents: EpochDocument[] = [];
    for (const [index, [approvers, signers]] of steps.entries()) {
      const before = documents.at(-1);
      const roster = sampleRoster(ada, {
        epoch: index + 1,
        previous: before === undefined ? null : digestOf(before.bytes),
        approvers: by(...approvers),
      });
      documents.push({ epoch: index + 1, bytes: encodeRoster(roster, signers) });
    }
    return documents;
  }
  const one = chain([[ada], [ada]]);
  const two = chain([[ada], [ada]], [[bob], [ada, bob]]);

  test('leads from the pinned keys to the newest epoch, before and after the approvers changed', () => {
    expect(verifyRosterChain(one, trust(ada))).toMatchObject({
      repository: REPOSITORY,
      current: { document: { epoch: 1 } },
    });
    for (const pinned of [ada, bob]) {
      const verified = verifyRosterChain(two.toReversed(), trust(pinned));
      expect(verified.current.document.epoch).toBe(2);
      expect(verified.rosters).toHaveLength(2);
    }
  });

  test('that no pinned key signed is not believed', () => {
    expect(codeOf(() => verifyRosterChain(two, trust(eve)))).toBe('ROSTER_UNSIGNED');
    expect(codeOf(() => verifyRosterChain(two, { keys: [] }))).toBe('ROSTER_UNSIGNED');
  });

  test('is not continued by who was no approver before, nor by an approver who does not sign himself', () => {
    expect(codeOf(() => verifyRosterChain(chain([[ada], [ada]], [[eve], [eve]]), trust(ada)))).toBe('ROSTER_UNSIGNED');
    expect(codeOf(() => verifyRosterChain(chain([[ada], [ada]], [[bob], [ada]]), trust(ada)))).toBe('ROSTER_UNSIGNED');
  });

  test('is not continued by an approver who was replaced, though the pin is old', () => {
    const taken = chain([[ada], [ada]], [[bob], [ada, bob]], [[ada], [ada]]);
    expect(codeOf(() => verifyRosterChain(taken, trust(ada)))).toBe('ROSTER_UNSIGNED');
  });

  test('needs the threshold that is pinned, whatever an epoch says of itself', () => {
    const alone = chain([[ada], [ada]]);
    const pinned = { ...trust(ada, bob), threshold: 2 };
    expect(codeOf(() => verifyRosterChain(alone, pinned))).toBe('ROSTER_UNSIGNED');
    expect(
      verifyRosterChain(
        chain([
          [ada, bob],
          [ada, bob],
        ]),
        pinned,
      ).current.document.epoch,
    ).toBe(1);
  });

  test('without an epoch, or with a gap, is incomplete', () => {
    expect(codeOf(() => verifyRosterChain([], trust(ada)))).toBe('ROSTER_MISSING');
    expect(codeOf(() => verifyRosterChain(two.slice(1), trust(bob)))).toBe('ROSTER_MISSING');
  });

  test('with an epoch that was exchanged is forked', () => {
    const other = encodeRoster(sampleRoster(ada, { created: '2026-03-02T00:00:00.000Z' }), [ada]);
    const mixed = [{ epoch: 1, bytes: other }, ...two.slice(1)];
    expect(codeOf(() => verifyRosterChain(mixed, trust(ada)))).toBe('ROSTER_FORKED');
    expect(codeOf(() => verifyRosterChain([...one, ...one], trust(ada)))).toBe('ROSTER_FORKED');
  });

  test('under another name is refused', () => {
    const renamed = [...one, { epoch: 2, bytes: (one[0] as EpochDocument).bytes }];
    expect(codeOf(() => verifyRosterChain(renamed, trust(ada)))).toBe('ROSTER_INVALID');
  });

  test('is held against the checkpoint', () => {
    const digests = two.map(({ bytes }) => digestOf(bytes));
    const seen = (epoch: number, digest = digests[epoch - 1]) => ({ epoch, digest: digest ?? digestOf('?') });
    for (const epoch of [1, 2]) expect(verifyRosterChain(two, trust(ada), seen(epoch)).current.document.epoch).toBe(2);
    expect(codeOf(() => verifyRosterChain(two.slice(0, 1), trust(ada), seen(2)))).toBe('ROSTER_ROLLED_BACK');
    expect(codeOf(() => verifyRosterChain(two, trust(ada), seen(2, digestOf('other'))))).toBe('ROSTER_FORKED');
    expect(codeOf(() => verifyRosterChain(two, trust(ada), seen(1, digestOf('other'))))).toBe('ROSTER_FORKED');
  });

  test('is held against what the trust file pins of the repository', () => {
    const pin = (pinned: object) => ({ ...trust(ada), ...pinned });
    const all = pin({ repository: REPOSITORY, minimumEpoch: 2, threshold: 1 });
    expect(verifyRosterChain(two, all).current.document.epoch).toBe(2);
    expect(codeOf(() => verifyRosterChain(two, pin({ repository: OTHER_REPOSITORY })))).toBe('REPOSITORY_MISMATCH');
    expect(codeOf(() => verifyRosterChain(two, pin({ minimumEpoch: 3 })))).toBe('ROSTER_ROLLED_BACK');
  });

  test('of two repositories is refused', () => {
    const bytes = encodeRoster(
      sampleRoster(ada, {
        epoch: 2,
        previous: digestOf((one[0] as EpochDocument).bytes),
        repository: OTHER_REPOSITORY,
      }),
      [ada],
    );
    expect(codeOf(() => verifyRosterChain([...one, { epoch: 2, bytes }], trust(ada)))).toBe('REPOSITORY_MISMATCH');
  });
});
