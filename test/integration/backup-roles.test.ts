/** Who is left out of a backup by the identity provider's word, and what it cannot do: with a provider in ZITADEL's shape. */
import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createIdentityProvider } from '../../src/adapters/identity-provider/identity-provider.ts';
import { digestOf } from '../../src/core/digest.ts';
import { createIdentity, type NewIdentity } from '../../src/formats/age/new-identity.ts';
import type { PinnedIssuer } from '../../src/formats/identity/pinned-issuer.ts';
import { rosterKey } from '../../src/formats/repository/keys.ts';
import { encodeRoster, type Roster, type RosterRecipient } from '../../src/formats/repository/roster.ts';
import type { ServiceAccount } from '../../src/ports/identity-provider.ts';
import type { AskRoles } from '../../src/usecases/backup/reader-roles.ts';
import { listSnapshots } from '../../src/usecases/repository/list.ts';
import {
  type BackupRepository,
  createBackupRepository,
  createSigningKey,
  type RunOptions,
  readStreams,
  signal,
  streamSource,
} from '../support/backup-repository.ts';
import { pseudoRandom } from '../support/image-content.ts';
import { serveOnLoopback } from '../support/loopback-server.ts';
import {
  type OpenIdProvider,
  type Person,
  type ServiceAccountEntry,
  startOpenIdProvider,
} from '../support/openid-provider.ts';
import { raised } from '../support/raised.ts';
import { changeRoster } from '../support/roster-changes.ts';
import { pinnedKey } from '../support/test-issuer.ts';

const SOURCE = streamSource('files', { a: pseudoRandom('a', 300_000) });
const QUICK = { attempts: 2, baseDelayMs: 1, maxDelayMs: 1 };

function keyOf({ keyFile }: ServiceAccountEntry): ServiceAccount {
  const { keyId, userId, key } = JSON.parse(keyFile) as Record<'keyId' | 'userId' | 'key', string>;
  return { kind: 'key', keyId, userId, privateKey: key };
}

/** Of a provider, as a root pins it. */
function pinned({ issuer, clients, keys, roleClaim }: OpenIdProvider): PinnedIssuer {
  const [key] = keys.jwks().keys;
  return {
    ...{ url: issuer, enrolmentClient: clients.enrolment, roleClaim, readerRole: 'backup-reader' },
    keys: [pinnedKey(createPublicKey({ key: key as JsonWebKey, format: 'jwk' }), { kid: String(key?.kid) })],
  };
}

interface Reader extends NewIdentity {
  readonly name: string;
}

interface Ship extends AsyncDisposable {
  readonly provider: OpenIdProvider;
  readonly account: ServiceAccountEntry;
  readonly repository: BackupRepository;
  readonly anna: Person;
  readonly ben: Person;
  /** Readers: anna and ben enrolled, carol did not, the safe is break-glass. */
  readonly keys: Readonly<Record<'anna' | 'ben' | 'carol' | 'safe', Reader>>;
  readonly askRoles: AskRoles;
  run(options?: RunOptions): Promise<{
    readonly report: Awaited<ReturnType<BackupRepository['run']>>;
    readonly warnings: readonly string[];
  }>;
  /** The names of those who open a snapshot, and read what is in it. */
  readersOf(snapshot: string): Promise<string[]>;
}

async function createShip(
  wishes: { readonly minimumRecipients?: number; readonly evidenceOf?: string } = {},
): Promise<Ship> {
  const provider = await startOpenIdProvider();
  const account = provider.addServiceAccount({ name: 'agent' });
  const [anna, ben] = [provider.addPerson({ name: 'anna' }), provider.addPerson({ name: 'ben' })];
  const reader = async (name: string) => ({ name, ...(await createIdentity('post-quantum')) });
  const keys = {
    anna: await reader('anna'),
    ben: await reader('ben'),
    carol: await reader('carol'),
    safe: await reader('safe'),
  };
  const enrolled = ({ name, recipient }: Reader, { id }: Person): RosterRecipient => {
    const evidence = { issuer: wishes.evidenceOf ?? provider.issuer, subject: id, digest: digestOf(name) };
    return { name, recipient, role: 'reader', evidence: { kind: 'enrolment', ...evidence } };
  };
  const { minimumRecipients } = wishes;
  const root = {
    ...{ issuer: pinned(provider), breakGlass: [keys.safe.recipient] },
    ...(minimumRecipients === undefined ? {} : { minimumRecipients }),
  };
  const repository = await createBackupRepository((request) => ({
    ...request,
    root,
    recipients: [
      { name: 'safe', recipient: keys.safe.recipient, role: 'break-glass' },
      ...[enrolled(keys.anna, anna), enrolled(keys.ben, ben)],
      { name: 'carol', recipient: keys.carol.recipient, role: 'reader' },
    ],
  }));
  const client = createIdentityProvider({ issuer: provider.issuer, transport: {}, now: Date.now, retries: QUICK });
  const query = { account: keyOf(account), project: provider.projects.enrolment, role: 'backup-reader' };
  const askRoles: AskRoles = (subjects, options) => client.rolesOf({ ...query, subjects }, options);
  return {
    ...{ provider, account, repository, anna, ben, keys, askRoles },
    async run(options = {}) {
      const warnings: string[] = [];
      const progress = {
        task: () => ({ advance: () => {}, done: () => {} }),
        note: () => {},
        warn: (message: string) => void warnings.push(message),
      };
      return { report: await repository.run([SOURCE], { progress, askRoles, ...options }), warnings };
    },
    async readersOf(snapshot) {
      const names: string[] = [];
      for (const { name, identity } of Object.values(keys)) {
        try {
          const streams = await readStreams(await repository.open(), snapshot, identity);
          if (streams.get('files/files/a')?.equals(pseudoRandom('a', 300_000))) names.push(name);
        } catch (error) {
          expect(error).toMatchObject({ code: 'RUN_KEY_NOT_FOR_US' });
        }
      }
      return names;
    },
    async [Symbol.asyncDispose]() {
      await client.close();
      await provider[Symbol.asyncDispose]();
      await repository[Symbol.asyncDispose]();
    },
  };
}

const ALL = ['anna', 'ben', 'carol', 'safe'];

describe('a run', () => {
  test.each<[string, (ship: Ship) => void, string]>([
    ['lost the role', ({ anna, provider }) => anna.roles.set(provider.projects.enrolment, ['another']), 'role lost'],
    ['was deactivated', ({ anna }) => Object.assign(anna, { active: false }), 'user gone'],
    ['was deleted', ({ anna, provider }) => provider.removeUser(anna.id), 'user gone'],
  ])('is not for a reader who %s, who opens what there was before', async (_, change, reason) => {
    await using ship = await createShip();
    const before = await ship.run();
    expect(before.warnings).toEqual([]);
    expect(before.report).toMatchObject({ dropped: [], identityProvider: { state: 'answered' }, rolesStale: false });
    change(ship);
    const after = await ship.run();
    const { recipient } = ship.keys.anna;
    expect(after.report).toMatchObject({ dropped: [{ name: 'anna', recipient, reason }], rolesStale: false });
    expect(after.report.recipients).not.toContain(recipient);
    expect(after.warnings).toEqual([expect.stringContaining('keys revoke --recipient anna')]);
    // What did not change is not written again, and stays in packs that she opens, too.
    expect(after.report).toMatchObject({ reusedBytes: 300_000, newBytes: 0 });
    expect(await ship.readersOf('db-1/1')).toEqual(ALL);
    expect(await ship.readersOf('db-1/2')).toEqual(['ben', 'carol', 'safe']);
    const { writers } = await listSnapshots(await ship.repository.open(), {}, { signal });
    expect(writers[0]?.snapshots[1]).toMatchObject({
      ...{ dropped: [{ recipient, reason }], identityProvider: { state: 'answered' } },
    });
  });

  test('is for her again once she has the role, with all of it', async () => {
    await using ship = await createShip();
    const { anna, provider } = ship;
    anna.roles.set(provider.projects.enrolment, []);
    await ship.run();
    expect(await ship.readersOf('latest')).toEqual(['ben', 'carol', 'safe']);
    anna.roles.set(provider.projects.enrolment, ['backup-reader']);
    // Packs that she cannot open are not built upon.
    expect((await ship.run()).report).toMatchObject({ reusedBytes: 0, dropped: [] });
    expect(await ship.readersOf('latest')).toEqual(ALL);
  });

  test.each<[string, string, string, (ship: Ship) => unknown]>([
    ['is down', 'unreachable', 'IDENTITY_PROVIDER_UNREACHABLE', ({ provider }) => provider.down()],
    [
      'fails itself',
      'unreachable',
      'IDENTITY_PROVIDER_UNREACHABLE',
      ({ provider }) => Object.assign(provider.settings, { brokenStatus: 500 }),
    ],
    [
      'knows the key of the account no more',
      'refused',
      'IDENTITY_PROVIDER_REFUSED',
      ({ account }) => Object.assign(account, { publicKey: undefined }),
    ],
    [
      'shows nobody to the account',
      'refused',
      'IDENTITY_ROLES_HIDDEN',
      ({ account }) => Object.assign(account, { mayReadUsers: false }),
    ],
    [
      'answers what no provider answers',
      'refused',
      'IDENTITY_PROVIDER_PROTOCOL',
      ({ provider }) => Object.assign(provider.settings, { brokenStatus: 200, brokenBody: '{"result":"all of them"}' }),
    ],
  ])('is for the whole roster when the provider %s, and says so', async (_, state, code, change) => {
    await using ship = await createShip();
    ship.anna.roles.set(ship.provider.projects.enrolment, []);
    await change(ship);
    const { report, warnings } = await ship.run();
    expect(report).toMatchObject({ dropped: [], identityProvider: { state }, rolesStale: false });
    expect(warnings).toEqual([expect.stringContaining(code)]);
    expect(await ship.readersOf('latest')).toEqual(ALL);
    const { writers } = await listSnapshots(await ship.repository.open(), {}, { signal });
    expect(writers[0]?.snapshots[0]).toMatchObject({ dropped: [], identityProvider: { state } });
  });

  test('does not wait for a provider that says nothing, nor for one that goes down while it is asked', async () => {
    await using ship = await createShip();
    const silent = await serveOnLoopback(() => {});
    onTestFinished(() => silent.close());
    const client = createIdentityProvider({ issuer: `http://${silent.host}`, transport: {}, now: Date.now });
    onTestFinished(() => client.close());
    const query = { account: keyOf(ship.account), project: ship.provider.projects.enrolment, role: 'backup-reader' };
    const askSilent: AskRoles = (subjects, options) => client.rolesOf({ ...query, subjects }, options);
    const waited = await ship.run({ askRoles: askSilent, rolesLimitMs: 300 });
    expect(waited.report).toMatchObject({ identityProvider: { state: 'unreachable' }, dropped: [] });
    expect(waited.warnings).toEqual([expect.stringContaining('no word about roles')]);

    const goesDown: AskRoles = async (subjects, options) => {
      expect(await ship.askRoles(subjects, options)).toHaveLength(2);
      await ship.provider.down();
      return await ship.askRoles(subjects, options);
    };
    expect((await ship.run({ askRoles: goesDown })).report).toMatchObject({
      identityProvider: { state: 'unreachable' },
    });
    await ship.provider.up();

    // Ctrl-C is heard while it is asked, and nothing of that run is left.
    const stop = new AbortController();
    const stopped = ship.run({
      askRoles: (subjects, options) => {
        stop.abort(new Error('Ctrl-C'));
        return askSilent(subjects, options);
      },
      signal: stop.signal,
    });
    await expect(stopped).rejects.toThrow('Ctrl-C');
    expect((await ship.run()).report).toMatchObject({ sequence: 3, identityProvider: { state: 'answered' } });
    expect(await keysOf(ship.repository, 'runs/')).toHaveLength(3);
  });

  test('leaves out no reader of another issuer, whatever the provider says of the same user', async () => {
    await using ship = await createShip({ evidenceOf: 'https://id.other.example' });
    ship.anna.roles.set(ship.provider.projects.enrolment, []);
    ship.provider.removeUser(ship.ben.id);
    const { report, warnings } = await ship.run();
    expect(report).toMatchObject({ dropped: [], rolesStale: false });
    expect(report.identityProvider).toBeUndefined();
    expect(warnings).toEqual([]);
    expect(await ship.readersOf('latest')).toEqual(ALL);
  });
});

describe('a provider that says that everybody lost the role', () => {
  const takeAll = ({ provider, anna, ben }: Ship) => {
    anna.roles.set(provider.projects.enrolment, []);
    ben.active = false;
  };

  test('takes away neither break-glass nor who did not enrol', async () => {
    await using ship = await createShip();
    takeAll(ship);
    expect((await ship.run()).report.dropped.map(({ name, reason }) => [name, reason])).toEqual([
      ['anna', 'role lost'],
      ['ben', 'user gone'],
    ]);
    expect(await ship.readersOf('latest')).toEqual(['carol', 'safe']);
  });

  test("does not get below the root's minimum: then nobody is left out, and that is told", async () => {
    await using ship = await createShip({ minimumRecipients: 3 });
    takeAll(ship);
    const { report, warnings } = await ship.run();
    expect(report).toMatchObject({ dropped: [], identityProvider: { state: 'overruled' }, rolesStale: false });
    expect(warnings).toEqual([expect.stringContaining('NOBODY is left out')]);
    expect(await ship.readersOf('latest')).toEqual(ALL);
    const { writers } = await listSnapshots(await ship.repository.open(), {}, { signal });
    expect(writers[0]?.snapshots[0]).toMatchObject({ identityProvider: { state: 'overruled' } });
    // One of them may go.
    ship.ben.active = true;
    expect((await ship.run()).report).toMatchObject({
      ...{ dropped: [{ name: 'anna' }], identityProvider: { state: 'answered' } },
    });
  });
});

describe('a provider that has said nothing for too long', () => {
  test('is warned of in every run, by when it last answered; the run is good', async () => {
    await using ship = await createShip();
    const first = ship.repository.now();
    ship.repository.setNow(first);
    await ship.run();
    await ship.provider.down();
    const day = 86_400_000;
    ship.repository.setNow(first + 2 * day);
    expect((await ship.run()).report).toMatchObject({ rolesStale: false });
    const { report, warnings } = await ship.run({ rolesMaxAgeMs: day });
    expect(report).toMatchObject({ rolesStale: true, rolesAnswered: new Date(first).toISOString() });
    expect(warnings).toContainEqual(expect.stringContaining(`since ${new Date(first).toISOString()}`));
    await ship.provider.up();
    expect((await ship.run({ rolesMaxAgeMs: day })).report).toMatchObject({
      ...{ rolesStale: false, rolesAnswered: new Date(first + 2 * day).toISOString() },
    });
  });
});

describe('a roster', () => {
  const without = (name: string) => (roster: Roster) => ({
    ...roster,
    recipients: roster.recipients.filter((entry) => entry.name !== name),
  });

  test.each<[string, string, (roster: Roster) => Roster]>([
    ['that lacks the break-glass recipient', 'ROSTER_BREAK_GLASS_MISSING', without('safe')],
    [
      'that makes the break-glass recipient a reader like any other',
      'ROSTER_BREAK_GLASS_MISSING',
      (roster) => ({ ...roster, recipients: roster.recipients.map((entry) => ({ ...entry, role: 'reader' })) }),
    ],
    [
      "with a lower minimum than the root's",
      'ROSTER_MINIMUM_TOO_LOW',
      (roster) => ({ ...roster, minimumRecipients: 1 }),
    ],
  ])('%s is refused by the run, whoever signed it', async (_, code, change) => {
    await using ship = await createShip({ minimumRecipients: 2 });
    // The approver who signs it pins no root.
    await changeRoster(ship.repository, change);
    expect(await raised(() => ship.run())).toMatchObject({ code });
    expect(await keysOf(ship.repository, 'runs/')).toEqual([]);
    expect(ship.provider.requests).toEqual([]);
  });

  test('to which the storage adds a reader is refused by the run', async () => {
    await using ship = await createShip();
    const { document, digest } = (await ship.repository.open()).roster;
    const spy = await createIdentity('post-quantum');
    const entry = { name: 'spy', recipient: spy.recipient, role: 'reader' } as const;
    const next = { ...document, epoch: 2, previous: digest, recipients: [...document.recipients, entry] };
    await ship.repository.store.put(rosterKey(2), encodeRoster(next, [createSigningKey()]));
    expect(await raised(() => ship.run())).toMatchObject({ code: 'ROSTER_UNSIGNED' });
    expect(await keysOf(ship.repository, 'runs/')).toEqual([]);
  });
});

async function keysOf({ store }: BackupRepository, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}
