/**
 * ZITADEL before, during and after a run, as people type it: it gives the agent the keys of its storage (a real MinIO), and says who
 * still holds the role of a reader.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createIdentityProvider } from '../../src/adapters/identity-provider/identity-provider.ts';
import { pause } from '../../src/core/retry.ts';
import { decodeWriterKey, encodeWriterKey } from '../../src/formats/repository/writer-key.ts';
import { writeBrowserProgram } from '../support/browser-program.ts';
import { type MinioProcess, startMinio } from '../support/minio-process.ts';
import {
  type OpenIdProvider,
  type Person,
  type ServiceAccountEntry,
  startOpenIdProvider,
} from '../support/openid-provider.ts';
import { type PortolanEnded, portolan, portolanText, startPortolan, succeed } from '../support/program.ts';
import { makeBucket } from '../support/s3-bucket.ts';
import { policyOf } from '../support/storage-policies.ts';

const BUCKET = 'backups';
const NAMES = { bucket: BUCKET, prefix: 'shop', writer: 'db-1' };
const CONTENT = Buffer.alloc(1_500_000, 'what was on the ship\n');

let root: string;
let provider: OpenIdProvider;
let minio: MinioProcess;
let writer: ServiceAccountEntry;
let anna: Person;
const at = (...names: string[]) => join(root, ...names);
const address = () => `s3://${BUCKET}/shop?endpoint=${minio.endpoint}`;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'portolan-test-'));
  provider = await startOpenIdProvider();
  anna = provider.addPerson({ name: 'anna' });
  writer = provider.addServiceAccount({ name: 'backup-writer' });
  const openId = { issuer: provider.issuer, audience: provider.projects.storage, policies: ['writer'] };
  minio = await startMinio(at('minio'), { openId });
  await makeBucket(minio.client(), BUCKET, { lock: { days: 1 } });
  await minio.createPolicy('writer', policyOf('Writer', NAMES, writer.id));
  await writeFile(at('writer-key.json'), writer.keyFile, { mode: 0o600 });
  await mkdir(at('files'));
  await writeFile(at('files', 'notes'), CONTENT);
  await succeed('cosign', ['generate-key-pair'], { cwd: root, env: environment() });
  for (const name of ['safe', 'anna']) await succeed('age-keygen', ['-pq', '-o', at(`${name}.txt`)]);
  await makeShip();
  await enrolAnna();
});
afterAll(async () => {
  await minio?.close();
  await provider?.[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});

function environment(): Record<string, string | undefined> {
  return {
    ...{ HOME: root, XDG_CONFIG_HOME: at('config'), XDG_CACHE_HOME: at('cache'), PORTOLAN_STATE: at('state') },
    ...{ COSIGN_PASSWORD: 'throw-away password', PORTOLAN_JSON: undefined, BROWSER: at('browser') },
  };
}

/** As who made the bucket. */
const owner = () => ({
  AWS_ACCESS_KEY_ID: minio.root.accessKeyId,
  AWS_SECRET_ACCESS_KEY: minio.root.secretAccessKey,
});
const command = (args: readonly string[], env: Readonly<Record<string, string | undefined>> = {}) =>
  portolan(args, { env: { ...environment(), ...env }, cwd: root });

function done(ended: PortolanEnded): Readonly<Record<string, unknown>> {
  expect(ended.status, ended.stderr + ended.stdout).toBe(0);
  return ended.result ?? {};
}

const warningsOf = ({ events }: PortolanEnded) =>
  events.filter(({ event }) => event === 'warning').map(({ message }) => String(message));

async function makeShip(): Promise<void> {
  const safe = (await succeed('age-keygen', ['-y', at('safe.txt')])).trim();
  const projects = ['--enrolment-project', provider.projects.enrolment, '--storage-project', provider.projects.storage];
  const issuer = ['--issuer', provider.issuer, '--enrolment-client', provider.clients.enrolment, ...projects];
  const approver = ['--approver', at('cosign.pub'), '--break-glass', safe, '--out', at('root.json')];
  done(await command(['keys', 'init', ...issuer, ...approver]));
  const signed = ['--root', at('root.json'), '--sign-key', at('cosign.key'), '--writer', 'db-1'];
  const made = done(await command(['backup', 'init', ...signed, '--repo', address()], owner()));
  await writeFile(at('trust.json'), await readFile(String(made.trust)));
  // A machine whose storage has credentials of its own, and trusts no provider.
  const key = decodeWriterKey(await readFile(String(made.writerKey)));
  const { storageProject: _, ...issuerAlone } = key.root?.issuer ?? expect.fail('the writer key pins no issuer');
  await writeFile(at('roles-only.json'), encodeWriterKey({ ...key, root: { ...key.root, issuer: issuerAlone } }));
}

/** With a browser, a second factor, and a challenge that her identity answers. */
async function enrolAnna(): Promise<void> {
  await writeBrowserProgram(at('browser'), anna);
  const trust = ['--trust', at('trust.json')];
  done(await command(['keys', 'enroll', '-i', at('anna.txt'), '--enrolment-out', at('anna.enrolment'), ...trust]));
  const approve = ['keys', 'approve', '--repo', address(), '--enrolment', at('anna.enrolment'), '--name', 'anna'];
  done(await command([...approve, '--challenge-out', at('challenge')], owner()));
  const answer = [
    ...['-i', at('anna.txt'), '--challenge', at('challenge')],
    ...['--enrolment', at('anna.enrolment'), '--answer-out', at('answer')],
  ];
  done(await command(['keys', 'enroll', ...answer]));
  done(await command([...approve, '--answer', at('answer')], owner()));
}

const run = (...more: readonly string[]) => ['backup', 'run', '--files', at('files'), '--repo', address(), ...more];
const asWriter = () => ['--service-key', at('writer-key.json'), '--role-arn', minio.roleArn];

/** An access token of the writer for the storage, as a Pod has it in a file. */
async function writeToken(): Promise<Record<string, string>> {
  const client = createIdentityProvider({ issuer: provider.issuer, transport: {}, now: Date.now });
  const { clientId, clientSecret } = writer;
  const account = { kind: 'secret', clientId, clientSecret } as const;
  const { token } = await client.serviceToken(account, { kind: 'storage', project: provider.projects.storage });
  await client.close();
  await writeFile(at('token'), token);
  return { AWS_WEB_IDENTITY_TOKEN_FILE: at('token'), AWS_ROLE_ARN: minio.roleArn };
}

/** By the approver's key alone, or by the root, which wants a login or the words that there is none. */
async function restore(snapshot: string, name: string, more: readonly string[] = ['--trust', at('cosign.pub')]) {
  const target = await mkdtemp(at('restored-'));
  const to = ['--to', `folder:${join(target, 'here')}`, '-i', at(`${name}.txt`), '--repo', address()];
  const ended = await command(['restore', snapshot, ...to, ...more], owner());
  if (ended.status === 0) expect((await readFile(join(target, 'here/files/notes'))).equals(CONTENT)).toBe(true);
  return ended;
}

test('a role that is lost, and a provider that is down before, during and after a run', async () => {
  const first = await command(run(...asWriter()));
  expect(done(first)).toMatchObject({
    ...{ dropped: [], identityProvider: { state: 'answered' }, rolesAnswered: expect.any(String), rolesStale: false },
    recipients: [expect.any(String), expect.any(String)],
  });
  expect(warningsOf(first)).toEqual([]);

  // She loses the role: nothing new is for her, and the text says so.
  anna.roles.set(provider.projects.enrolment, []);
  const without = await portolanText(run(...asWriter()), { env: environment(), cwd: root });
  expect(without.status, without.stderr).toBe(0);
  expect(without.stdout).toMatch(
    / {2}readers {5}1\n {2}not to {6}anna: role lost\n {2}roles {7}the identity provider answered/,
  );
  expect(without.stderr).toContain('portolan keys revoke --recipient anna');
  const shown = await portolanText(['backup', 'show', 'latest', '--repo', address()], {
    env: { ...environment(), ...owner() },
  });
  expect(shown.stdout).toMatch(/ {2}not to {6}anna: role lost\n {2}roles {7}the identity provider answered/);
  expect(await restore('db-1/2', 'anna')).toMatchObject({ status: 1, error: { code: 'RUN_KEY_NOT_FOR_US' } });
  done(await restore('db-1/1', 'anna'));
  done(await restore('db-1/2', 'safe'));

  // During: the keys of the storage live on, and who was asked about roles may have had no time to answer.
  const token = await writeToken();
  await writeFile(at('files', 'more'), randomBytes(700_000));
  const asked = provider.requests.length;
  const slow = run(...asWriter(), '--full', '--limit-upload', '256KiB');
  const running = startPortolan(slow, { env: environment(), cwd: root });
  const isAsked = () => provider.requests.slice(asked).some((request) => request.includes('ListAuthorizations'));
  while (!isAsked() && running.child.exitCode === null) await pause(20);
  await provider.down();
  expect(running.child.exitCode).toBeNull();
  expect(done(await running.ended)).toMatchObject({ sequence: 3, rolesStale: false });

  // Before: no keys, no run, where the storage has none but the provider's.
  expect(await command(run(...asWriter()))).toMatchObject({
    ...{ status: 1, error: { code: 'IDENTITY_PROVIDER_UNREACHABLE' } },
  });
  // With a token that has not expired the run goes on, for the whole roster, and warns.
  const alone = ['--service-key', at('writer-key.json'), '--writer-key', at('roles-only.json')];
  const before = await command(run(...alone), token);
  expect(done(before)).toMatchObject({
    ...{ sequence: 4, dropped: [], identityProvider: { state: 'unreachable' }, rolesStale: false },
    recipients: [expect.any(String), expect.any(String)],
  });
  expect(warningsOf(before)).toEqual([expect.stringContaining('IDENTITY_PROVIDER_UNREACHABLE')]);
  const listed = await portolanText(['backup', 'list', '--repo', address()], { env: { ...environment(), ...owner() } });
  expect(listed.stdout).toMatch(/db-1\/2 .* not to 1\n/);
  expect(listed.stdout).toMatch(/db-1\/4 .* roles unreachable\n/);

  // After, and for ever: what was sealed opens.
  done(await restore('db-1/3', 'safe', ['--trust', at('trust.json'), '--break-glass']));
  done(await restore('db-1/4', 'anna'));

  done(await command(['backup', 'check', '--repo', address()], owner()));

  // For too long: a monitor is told. The clock is not the test's to turn, what is remembered is.
  const folder = join(at('state'), 'repositories');
  const memory = (await succeed('find', [folder, '-name', 'roles*'])).trim();
  const kept = JSON.parse(await readFile(memory, 'utf8'));
  await writeFile(memory, JSON.stringify({ ...kept, answered: '2020-01-01T00:00:00.000Z' }));
  const stale = await command(run(...alone), owner());
  expect(done(stale)).toMatchObject({ rolesStale: true, rolesAnswered: '2020-01-01T00:00:00.000Z' });
  expect(warningsOf(stale)).toContainEqual(expect.stringContaining('since 2020-01-01T00:00:00.000Z'));
  await provider.up();
  const wrong = await command(run(...alone, '--roles-max-age', 'soon'), owner());
  expect(wrong).toMatchObject({ status: 2, error: { code: 'USAGE' } });
  anna.roles.set(provider.projects.enrolment, ['backup-reader']);
  expect(done(await command(run(...alone), owner()))).toMatchObject({ rolesStale: false, dropped: [] });
});
