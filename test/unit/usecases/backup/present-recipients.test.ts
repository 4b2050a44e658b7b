import { beforeAll, describe, expect, test } from 'vitest';
import { AdapterError, type AdapterErrorCode } from '../../../../src/adapters/errors.ts';
import { digestOf } from '../../../../src/core/digest.ts';
import { createIdentity } from '../../../../src/formats/age/new-identity.ts';
import type { PinnedIssuer } from '../../../../src/formats/identity/pinned-issuer.ts';
import type { RepositoryId, WriterName } from '../../../../src/formats/repository/keys.ts';
import type { Roster, RosterRecipient } from '../../../../src/formats/repository/roster.ts';
import type { RoleStanding } from '../../../../src/ports/identity-provider.ts';
import { type RunRecipientsRequest, recipientsOfRun } from '../../../../src/usecases/backup/present-recipients.ts';
import type { RolesDependencies } from '../../../../src/usecases/backup/reader-roles.ts';
import { signal } from '../../../support/backup-repository.ts';
import { createMachineMemory } from '../../../support/memory-state.ts';
import { raised } from '../../../support/raised.ts';
import { createTestIssuer } from '../../../support/test-issuer.ts';

const DAY_MS = 86_400_000;
const NOW = new Date('2026-11-29T02:00:00.000Z');
const ID = '0'.repeat(32) as RepositoryId;

let issuer: PinnedIssuer;
let keys: readonly string[];
beforeAll(async () => {
  issuer = createTestIssuer().pinned;
  const names = ['safe', 'anna', 'ben', 'carol'];
  keys = await Promise.all(names.map(async () => (await createIdentity('classic')).recipient));
});

function enrolled(subject: string, url = issuer.url): Pick<RosterRecipient, 'evidence'> {
  return { evidence: { kind: 'enrolment', issuer: url, subject, digest: digestOf(subject) } };
}

/** `safe` (break-glass), `anna` and `ben`, who enrolled, and `carol`, who did not. */
function recipients(): RosterRecipient[] {
  const [safe = '', anna = '', ben = '', carol = ''] = keys;
  return [
    { name: 'safe', recipient: safe, role: 'break-glass' },
    { name: 'anna', recipient: anna, role: 'reader', ...enrolled('a') },
    { name: 'ben', recipient: ben, role: 'reader', ...enrolled('b') },
    { name: 'carol', recipient: carol, role: 'reader' },
  ];
}

function rosterOf(entries: readonly RosterRecipient[], minimumRecipients: number): Roster {
  return {
    ...{ version: 1, repository: ID, epoch: 1, previous: null, created: NOW.toISOString() },
    ...{ approvers: { threshold: 1, keys: [] }, recipients: entries, minimumRecipients },
    ...{ writers: [], pruners: [], verifiers: [] },
  };
}

interface Wishes extends Partial<RunRecipientsRequest>, Pick<RolesDependencies, 'rolesLimitMs'> {
  readonly recipients?: readonly RosterRecipient[];
  readonly minimum?: number;
  readonly signal?: AbortSignal;
}

/** A writer's machine, whose identity provider answers what `ask` gives; each run says what it warned of. */
function createMachine() {
  const state = createMachineMemory().ofWriter(ID, 'db-1' as WriterName);
  return async (askRoles: RolesDependencies['askRoles'], wishes: Wishes = {}) => {
    const {
      recipients: entries = recipients(),
      minimum = 1,
      rolesLimitMs,
      signal: given = signal,
      ...request
    } = wishes;
    const said = { warnings: [] as string[], notes: [] as string[] };
    const progress = {
      task: () => ({ advance: () => {}, done: () => {} }),
      note: (message: string) => void said.notes.push(message),
      warn: (message: string) => void said.warnings.push(message),
    };
    const all = { roster: rosterOf(entries, minimum), issuer, storageTime: NOW, now: NOW, ...request };
    const {
      recipients: sealed,
      dropped,
      ...rest
    } = await recipientsOfRun(all, { state, progress, askRoles, rolesLimitMs }, { signal: given });
    const nameOf = (recipient: string) => entries.find((entry) => entry.recipient === recipient)?.name;
    return { ...rest, ...said, names: sealed.map(nameOf), dropped: dropped.map(({ name, reason }) => [name, reason]) };
  };
}

const says = (standings: Readonly<Record<string, RoleStanding>>) => async (subjects: readonly string[]) =>
  new Map(
    subjects.flatMap((subject) => (standings[subject] === undefined ? [] : [[subject, standings[subject]] as const])),
  );
const fails = (code: AdapterErrorCode) => async () => {
  throw new AdapterError(code, 'it does not work');
};

const ALL = ['safe', 'anna', 'ben', 'carol'];

describe('the identity provider', () => {
  test('is asked for the enrolled readers alone, and takes away who lost the role or is gone', async () => {
    const asked: (readonly string[])[] = [];
    const run = createMachine();
    const holds = await run(async (subjects, options) => {
      asked.push(subjects);
      expect(options.signal.aborted).toBe(false);
      return await says({ a: 'holds', b: 'holds' })(subjects);
    });
    expect(asked).toEqual([['a', 'b']]);
    const at = NOW.toISOString();
    expect(holds).toEqual({
      ...{ names: ALL, dropped: [], identityProvider: { state: 'answered', at }, rolesAnswered: at, rolesStale: false },
      ...{ warnings: [], notes: [] },
    });
    const lost = await run(says({ a: 'lost', b: 'gone' }));
    expect(lost).toMatchObject({
      names: ['safe', 'carol'],
      dropped: [
        ['anna', 'role lost'],
        ['ben', 'user gone'],
      ],
      identityProvider: { state: 'answered' },
    });
    expect(lost.warnings).toEqual([
      expect.stringContaining('keys revoke --recipient anna'),
      expect.stringContaining('keys revoke --recipient ben'),
    ]);
  });

  test('takes away every key of one person', async () => {
    const entries = recipients().map((entry) => (entry.name === 'ben' ? { ...entry, ...enrolled('a') } : entry));
    const { names } = await createMachine()(says({ a: 'lost' }), { recipients: entries });
    expect(names).toEqual(['safe', 'carol']);
  });

  test('takes away no break-glass recipient, nobody of another issuer, and nobody of whom it says nothing', async () => {
    const entries = recipients().map((entry) => {
      if (entry.name === 'safe') return { ...entry, ...enrolled('a') };
      return entry.name === 'ben' ? { ...entry, ...enrolled('b', 'https://id.other.example') } : entry;
    });
    const lost = await createMachine()(says({ a: 'lost', b: 'gone' }), { recipients: entries });
    expect(lost).toMatchObject({ names: ['safe', 'ben', 'carol'], dropped: [['anna', 'role lost']] });
    expect((await createMachine()(says({}))).names).toEqual(ALL);
  });

  test('is not asked where nobody enrolled there, or the root names none', async () => {
    const never = async () => expect.fail('it was asked');
    const entries = recipients().filter(({ name }) => name === 'safe' || name === 'carol');
    const run = createMachine();
    for (const wishes of [{ recipients: entries }, { issuer: undefined }]) {
      const { identityProvider, rolesAnswered, rolesStale, warnings, notes } = await run(never, wishes);
      expect({ identityProvider, rolesAnswered, rolesStale, warnings, notes }).toEqual({
        ...{ identityProvider: undefined, rolesAnswered: undefined, rolesStale: false, warnings: [], notes: [] },
      });
    }
    const { names, notes, identityProvider } = await run(undefined);
    expect({ names, identityProvider }).toEqual({ names: ALL, identityProvider: undefined });
    expect(notes).toEqual([expect.stringContaining('--service-key')]);
  });

  test.each([
    [2, ['safe', 'carol'], 'answered', 2],
    [3, ALL, 'overruled', 0],
    [4, ALL, 'overruled', 0],
  ])('leaves the minimum of %i, or everybody', async (minimum, names, state, dropped) => {
    const ended = await createMachine()(says({ a: 'lost', b: 'gone' }), { minimum });
    expect(ended).toMatchObject({ names, identityProvider: { state } });
    expect(ended.dropped).toHaveLength(dropped);
    if (state === 'overruled') expect(ended.warnings).toEqual([expect.stringContaining('NOBODY is left out')]);
  });

  test('never leaves nobody', async () => {
    const entries = recipients().filter(({ name }) => name === 'anna' || name === 'ben');
    const { names } = await createMachine()(says({ a: 'lost', b: 'lost' }), { recipients: entries });
    expect(names).toEqual(['anna', 'ben']);
  });

  test('counts those whose time is over as gone already', async () => {
    const entries = recipients().map((entry) =>
      entry.name === 'carol' ? { ...entry, notAfter: '2026-11-28T00:00:00.000Z' } : entry,
    );
    const wishes = { recipients: entries, minimum: 2 };
    expect(await createMachine()(says({ a: 'lost' }), wishes)).toMatchObject({
      names: ['safe', 'ben'],
      dropped: [
        ['carol', 'not after 2026-11-28T00:00:00.000Z'],
        ['anna', 'role lost'],
      ],
    });
    expect(await createMachine()(says({ a: 'lost', b: 'lost' }), wishes)).toMatchObject({
      names: ['safe', 'anna', 'ben'],
      dropped: [['carol', 'not after 2026-11-28T00:00:00.000Z']],
      identityProvider: { state: 'overruled' },
    });
    expect(await raised(() => createMachine()(says({}), { recipients: entries, minimum: 4 }))).toMatchObject({
      code: 'ROSTER_TOO_FEW_RECIPIENTS',
    });
  });
});

describe('an identity provider that does not answer', () => {
  test.each<[AdapterErrorCode, string]>([
    ['IDENTITY_PROVIDER_UNREACHABLE', 'unreachable'],
    ['IDENTITY_PROVIDER_UNTRUSTED', 'unreachable'],
    ['IDENTITY_PROVIDER_REFUSED', 'refused'],
    ['IDENTITY_PROVIDER_PROTOCOL', 'refused'],
    ['IDENTITY_ROLES_HIDDEN', 'refused'],
  ])('with %s has nobody left out, and that is said', async (code, state) => {
    const ended = await createMachine()(fails(code));
    expect(ended).toMatchObject({ names: ALL, dropped: [], identityProvider: { state }, rolesStale: false });
    expect(ended.warnings).toEqual([expect.stringContaining(code)]);
  });

  test('in time is not waited for', async () => {
    const silent: RolesDependencies['askRoles'] = (_, options) =>
      new Promise((_resolve, reject) => {
        options.signal.addEventListener('abort', () => reject(options.signal.reason));
      });
    const { names, identityProvider, warnings } = await createMachine()(silent, { rolesLimitMs: 1 });
    expect({ names, state: identityProvider?.state }).toEqual({ names: ALL, state: 'unreachable' });
    expect(warnings).toEqual([expect.stringContaining('no word about roles')]);
    const stop = new AbortController();
    const reason = new Error('Ctrl-C');
    const stopped = createMachine()(
      async () => {
        stop.abort(reason);
        return await fails('IDENTITY_PROVIDER_UNREACHABLE')();
      },
      { signal: stop.signal },
    );
    await expect(stopped).rejects.toBe(reason);
  });

  test('is not made out of a fault of this machine', async () => {
    expect(await raised(() => createMachine()(fails('SERVICE_KEY_INVALID')))).toMatchObject({
      code: 'SERVICE_KEY_INVALID',
    });
    await expect(createMachine()(() => Promise.reject(new TypeError('a mistake')))).rejects.toThrow(TypeError);
  });

  test('for longer than a week is warned of, by when it last did', async () => {
    const run = createMachine();
    const on = (days: number) => ({ now: new Date(NOW.getTime() + days * DAY_MS) });
    await run(says({ a: 'holds', b: 'holds' }));
    expect(await run(fails('IDENTITY_PROVIDER_UNREACHABLE'), on(7))).toMatchObject({
      ...{ rolesAnswered: NOW.toISOString(), rolesStale: false, warnings: [expect.anything()] },
    });
    const stale = await run(fails('IDENTITY_PROVIDER_REFUSED'), on(8));
    expect(stale).toMatchObject({ rolesAnswered: NOW.toISOString(), rolesStale: true, names: ALL });
    expect(stale.warnings).toContainEqual(expect.stringContaining(`since ${NOW.toISOString()}`));
    expect(await run(fails('IDENTITY_PROVIDER_REFUSED'), { ...on(8), rolesMaxAgeMs: 9 * DAY_MS })).toMatchObject({
      rolesStale: false,
    });
    // Whoever takes the account away does not silence it.
    expect(await run(undefined, on(9))).toMatchObject({ rolesStale: true, warnings: [expect.anything()] });
    expect(await run(says({ a: 'holds', b: 'holds' }), on(10))).toMatchObject({ rolesStale: false, warnings: [] });
  });

  test('from the first day is warned of after a week, and another issuer begins anew', async () => {
    const run = createMachine();
    const on = (days: number) => ({ now: new Date(NOW.getTime() + days * DAY_MS) });
    expect(await run(fails('IDENTITY_PROVIDER_UNREACHABLE'), on(0))).toMatchObject({ rolesStale: false });
    const stale = await run(fails('IDENTITY_PROVIDER_UNREACHABLE'), on(8));
    expect(stale).toMatchObject({ rolesStale: true });
    expect(stale.rolesAnswered).toBeUndefined();
    const other = { ...issuer, url: 'https://id.new.example' };
    const entries = recipients().map((entry) =>
      entry.name === 'anna' ? { ...entry, ...enrolled('a', other.url) } : entry,
    );
    const moved = await run(fails('IDENTITY_PROVIDER_UNREACHABLE'), { ...on(9), issuer: other, recipients: entries });
    expect(moved).toMatchObject({ rolesStale: false });
  });
});
