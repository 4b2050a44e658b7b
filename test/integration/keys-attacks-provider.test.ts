/**
 * Whoever holds the identity provider, alone: it signs any token with any roles for anybody, and says of anybody what it likes. And clocks
 * that are minutes or years off, of which nobody can tell a provider's lie from a mistake. That it can take a role away, and how far, is
 * in backup-roles.test.ts; by a claim that names policies it gets further, see storage-claim-mode.test.ts.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { DeleteObjectCommand, GetObjectCommand, ListObjectVersionsCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { encodeEnrolment, enrolmentNonce } from '../../src/formats/identity/enrolment.ts';
import type { RepositoryId } from '../../src/formats/repository/keys.ts';
import { decodeWriterKey, encodeWriterKey } from '../../src/formats/repository/writer-key.ts';
import { type AttackedShip, BUCKET, CONTENT, createAttackedShip, type Fork, WRITER } from '../support/attacked-ship.ts';
import type { PortolanEnded } from '../support/program.ts';

let ship: AttackedShip;
let fork: Fork;
beforeAll(async () => {
  ship = await createAttackedShip();
});
beforeEach(async () => {
  fork = await ship.fork();
});
afterEach(() => {
  ship.provider.settings.clockOffsetSeconds = 0;
  ship.anna.roles.set(ship.provider.projects.enrolment, ['backup-reader']);
  ship.anna.active = true;
});
afterAll(() => ship?.[Symbol.asyncDispose]());

const readers = () => [ship.recipients.safe, ship.recipients.anna];
const warningsOf = ({ events }: PortolanEnded) =>
  events.filter(({ event }) => event === 'warning').map(({ message }) => String(message));

/** The writer's run with its own keys of the storage, by its service account. */
const run = (...more: readonly string[]) => fork.run({ remembers: true, more: [...ship.asAccount, ...more] });

test('its tokens for anybody give what MinIO has for that somebody: nothing, or a writer’s rights', async () => {
  const Bucket = BUCKET;
  const prefix = new URL(fork.address.replace('s3:', 'http:')).pathname.slice(1);
  const Key = `${prefix}/keys/00000003.json`;
  const every = { 'backup-writer': { 1: 'x' }, 'backup-pruner': { 1: 'x' }, admin: { 1: 'x' } };
  const claims = {
    [`urn:zitadel:iam:org:project:${ship.provider.projects.storage}:roles`]: every,
    // What claim mode would take for policies.
    ...{ policy: 'consoleAdmin', groups: ['consoleAdmin'], role: 'admin' },
  };
  const before = await fork.keys();
  const nameOf = (work: Promise<unknown>) =>
    work.then(
      () => 'done',
      (error: Error) => error.name,
    );
  for (const sub of ['somebody', 'root', ship.anna.id, ship.account.id]) {
    const client = ship.minio.client(await ship.keysFor({ ...claims, sub }));
    const mayRead = sub === ship.account.id ? 'done' : 'AccessDenied';
    const list = new ListObjectVersionsCommand({ Bucket, Prefix: `${prefix}/` });
    expect(await nameOf(client.send(list)), sub).toBe(mayRead);
    expect(await nameOf(client.send(new GetObjectCommand({ Bucket, Key }))), sub).toBe(mayRead);
    for (const key of [
      'keys/00000004.json',
      'keys/00000003.json',
      `evidence/${'0'.repeat(64)}.json`,
      'rewraps/x',
      'repo.json',
    ]) {
      const put = new PutObjectCommand({ Bucket, Key: `${prefix}/${key}`, Body: 'own' });
      expect(await nameOf(client.send(put)), `${sub} ${key}`).toBe('AccessDenied');
    }
    expect(await nameOf(client.send(new DeleteObjectCommand({ Bucket, Key }))), sub).toBe('AccessDenied');
  }
  expect(await fork.keys()).toEqual(before);
  const ended = await run();
  expect(ended.result?.recipients, ended.stdout).toEqual(readers());
});

test('an enrolment that it makes up for a recipient of its own is one that nobody signed for', async () => {
  const { provider, anna, recipients, at } = ship;
  const trust = JSON.parse(await readFile(at('trust.json'), 'utf8')) as { readonly repository: RepositoryId };
  const commitment = {
    ...{ repository: trust.repository, recipient: recipients.spy, random: randomBytes(32).toString('base64') },
  };
  const now = Math.floor(Date.now() / 1000);
  const idToken = await provider.keys.sign({
    ...{ iss: provider.issuer, sub: anna.id, aud: [provider.clients.enrolment, provider.projects.enrolment] },
    ...{ azp: provider.clients.enrolment, client_id: provider.clients.enrolment, nonce: enrolmentNonce(commitment) },
    ...{ iat: now - 5, exp: now + 3600, auth_time: now - 10, amr: ['pwd', 'otp', 'mfa'] },
    [provider.roleClaim]: { 'backup-reader': { [provider.organization.id]: 'ship' } },
  });
  const enrolment = { version: 1, kind: 'portolan-enrolment', ...commitment, idToken } as const;
  await writeFile(at('forged.enrolment'), encodeEnrolment(enrolment));
  const approve = [
    'keys',
    'approve',
    '--repo',
    fork.address,
    '--trust',
    at('trust.json'),
    '--state',
    at('of-provider'),
  ];
  const own = [...approve, '--enrolment', at('forged.enrolment'), '--name', 'anna-2', '--sign-key'];
  // It is as good as a true one, and its recipient answers challenges: anybody may draw one, and whoever is no approver signs nothing.
  const answer = async (name: string) => {
    const files = ['--challenge', at(`${name}.challenge`), '--answer-out', at(`${name}.answer`)];
    return await ship.command(['keys', 'enroll', '-i', at('spy.txt'), '--enrolment', at('forged.enrolment'), ...files]);
  };
  const challenge = (name: string) =>
    ship.command([...own, at(`${name}.key`), '--challenge-out', at(`${name}.challenge`)], ship.ownerEnv);
  expect((await challenge('stranger')).status).toBe(0);
  expect((await answer('stranger')).status).toBe(0);
  const answered = [...own, at('stranger.key'), '--answer', at('stranger.answer')];
  const refused = await ship.command(answered, ship.ownerEnv);
  expect(refused.error, refused.stdout).toMatchObject({ code: 'ROLE_MISSING' });
  // What an approver is shown is another fingerprint than anna tells by another way.
  const shown = Object((await challenge('approver')).result?.enrolment);
  expect(shown).toMatchObject({ subject: anna.id, recipient: recipients.spy });
  const verified = (await fork.read(['keys', 'verify'])).result?.recipients as readonly {
    readonly fingerprint?: string;
  }[];
  expect(verified.map(({ fingerprint }) => fingerprint)).not.toContain(shown.fingerprint);
  expect((await fork.read(['keys', 'verify'])).result).toMatchObject({ recipients: [{}, { name: 'anna' }] });
  const ended = await run();
  expect(ended.result?.recipients, ended.stdout).toEqual(readers());
  expect((await fork.restoreAs('spy')).ended.error).toMatchObject({ code: 'RUN_KEY_NOT_FOR_US' });
});

test('it says who has the role: it adds nobody, and takes away nobody below the minimum', async () => {
  const { provider, anna } = ship;
  // Everybody has it: whoever was revoked, and whoever never enrolled.
  for (const name of ['ben', 'spy']) provider.addPerson({ name });
  expect((await run()).result).toMatchObject({ recipients: readers(), identityProvider: { state: 'answered' } });
  anna.roles.set(provider.projects.enrolment, []);
  anna.active = false;
  const ended = await run();
  expect(ended.result, ended.stdout).toMatchObject({
    ...{ recipients: readers(), dropped: [], identityProvider: { state: 'overruled' } },
  });
  expect(warningsOf(ended)).toEqual([expect.stringContaining('NOBODY is left out')]);
});

test('it logs in as whom it likes: that is recorded, and opens nothing', async () => {
  const { provider, anna, at, recipients } = ship;
  const now = Math.floor(Date.now() / 1000);
  const idToken = await provider.keys.sign({
    ...{ iss: provider.issuer, sub: anna.id, aud: [provider.clients.login, provider.projects.login] },
    ...{ azp: provider.clients.login, client_id: provider.clients.login, iat: now, exp: now + 3600, auth_time: now },
    ...{ amr: ['pwd', 'mfa'], [provider.roleClaim]: { 'backup-reader': { [provider.organization.id]: 'ship' } } },
  });
  const home = at('of-the-provider');
  const env = { ...ship.ownerEnv, XDG_CONFIG_HOME: home, PORTOLAN_STATE: `${home}-state` };
  const trust = ['--trust', at('trust.json')];
  // Where `login` would keep it.
  const folder = `${home}/portolan/sessions`;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const hash = createHash('sha256').update(provider.issuer).digest('hex').slice(0, 12);
  const file = `${folder}/${new URL(provider.issuer).host.replace(/[^a-z0-9]+/g, '-')}-${hash}.json`;
  await writeFile(file, JSON.stringify({ version: 1, issuer: provider.issuer, idToken }), { mode: 0o600 });
  expect((await ship.command(['whoami', ...trust], env)).result).toMatchObject({ subject: anna.id });
  const to = ['--to', `folder:${at('stolen')}`, '-i', at('spy.txt'), '--repo', fork.address];
  const ended = await ship.command(['restore', 'latest', ...to, ...trust], env);
  expect(ended.error, ended.stdout).toMatchObject({ code: 'RUN_KEY_NOT_FOR_US' });
  const listed = await ship.command(['audit', 'list'], env);
  expect(listed.events.filter(({ event }) => event === 'record')).toMatchObject([
    { state: 'begun', who: { login: { subject: anna.id } } },
    { state: 'failed', code: 'RUN_KEY_NOT_FOR_US' },
  ]);
  expect(JSON.stringify(listed)).not.toContain(recipients.spy);
});

/** A writer whose storage has keys of its own, so that the account is there for the roles alone. */
async function rolesOnly(): Promise<readonly string[]> {
  const key = decodeWriterKey(await readFile(ship.at('writer.json')));
  const { storageProject: _, ...issuer } = key.root?.issuer ?? expect.fail('the writer key pins no issuer');
  await writeFile(ship.at('roles-only.json'), encodeWriterKey({ ...key, root: { ...key.root, issuer } }));
  return ['--service-key', ship.at('service.json'), '--writer-key', ship.at('roles-only.json')];
}

async function withSecret(): Promise<readonly string[]> {
  await writeFile(ship.at('secret'), `${ship.account.clientSecret}\n`);
  const account = ['--client-id', ship.account.clientId, '--client-secret-file', ship.at('secret')];
  return [...account, '--role-arn', ship.minio.roleArn];
}

test.each(['+5m', '-5m', '+5y', '-5y'])(
  'a writer whose clock is off (%s) is told so, and leaves nobody out for it',
  async (clock) => {
    ship.anna.roles.set(ship.provider.projects.enrolment, []);
    const before = await fork.keys();
    // The assertion of the service account is of another time: no keys, no run.
    const refused = await fork.run({ remembers: true, more: ship.asAccount, clock });
    expect(refused, refused.stdout).toMatchObject({ status: 1, error: { code: 'IDENTITY_PROVIDER_REFUSED' } });
    expect(String(refused.error?.message)).toMatch(
      /the clock of this machine is \d+ s (ahead of|behind) the provider's/,
    );
    expect(await fork.keys()).toEqual(before);
    const ended = await fork.run({ remembers: true, more: await rolesOnly(), clock });
    expect(ended.result, ended.stdout).toMatchObject({
      ...{ recipients: readers(), dropped: [], identityProvider: { state: 'refused' } },
    });
    expect(warningsOf(ended).join()).toMatch(/s (ahead of|behind) the provider's/);
    expect((await fork.restoreAs('anna')).content).toBe(CONTENT);
    // A secret has no time, keys of 15 minutes live by the storage's clock, and the storage's date signs requests.
    const bySecret = await fork.run({ remembers: true, more: await withSecret(), clock });
    expect(bySecret.result, bySecret.stdout).toMatchObject({
      ...{ recipients: readers(), identityProvider: { state: 'overruled' } },
    });
  },
);

test.each([
  [300, /Token is not valid yet/],
  [-300, undefined],
  [157_788_000, /Token is not valid yet/],
  [-157_788_000, /Token is expired/],
])('a provider whose clock is off (%d s) gives no keys that last, and leaves nobody out', async (seconds, refusal) => {
  ship.anna.roles.set(ship.provider.projects.enrolment, []);
  ship.provider.settings.clockOffsetSeconds = seconds;
  const before = await fork.keys();
  const refused = await run();
  expect(refused, refused.stdout).toMatchObject({ status: 1, error: { code: 'IDENTITY_PROVIDER_REFUSED' } });
  expect(await fork.keys()).toEqual(before);
  const ended = await fork.run({ remembers: true, more: await rolesOnly() });
  expect(ended.result, ended.stdout).toMatchObject({ recipients: readers(), identityProvider: { state: 'refused' } });
  // By a secret nobody compares clocks but the storage, which takes no token of another time.
  const bySecret = await fork.run({ remembers: true, more: await withSecret() });
  if (refusal === undefined) expect(bySecret.result, bySecret.stdout).toMatchObject({ writer: WRITER });
  else
    expect(bySecret.error, bySecret.stdout).toMatchObject({
      code: 'STS_REFUSED',
      message: expect.stringMatching(refusal),
    });
});
