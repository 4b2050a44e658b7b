/**
 * MinIO that takes the names of policies from a claim of the token, which an action of ZITADEL makes of roles (docs/storage-policies.md,
 * "By role"): what a role gets, what nobody gets without it, and what this mode gives to whoever holds the provider.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import type { JWTPayload } from 'jose';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { assumeWebIdentity } from '../../src/adapters/object-store/s3/web-identity.ts';
import { type MinioProcess, startMinio } from '../support/minio-process.ts';
import { type OpenIdProvider, type ServiceAccountEntry, startOpenIdProvider } from '../support/openid-provider.ts';
import { type PortolanEnded, portolan, succeed } from '../support/program.ts';
import { raised } from '../support/raised.ts';
import { makeBucket } from '../support/s3-bucket.ts';
import { policyOf } from '../support/storage-policies.ts';

const BUCKET = 'backups';
const NAMES = { bucket: BUCKET, prefix: 'shop', writer: 'db-1' };
const POLICIES: Readonly<Record<string, string>> = {
  'backup-writer': 'portolan-writer',
  'backup-pruner': 'portolan-pruner',
};

let root: string;
let provider: OpenIdProvider;
let minio: MinioProcess;
const at = (...names: string[]) => join(root, ...names);
const address = () => `s3://${BUCKET}/shop?endpoint=${minio.endpoint}`;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'portolan-test-'));
  provider = await startOpenIdProvider();
  const openId = { issuer: provider.issuer, audience: provider.projects.storage, policies: { claim: 'policy' } };
  minio = await startMinio(at('minio'), { openId });
  await makeBucket(minio.client(), BUCKET, { lock: { days: 1 } });
  await minio.createPolicy('portolan-writer', policyOf('Writer', NAMES, {}));
  await minio.createPolicy('portolan-pruner', policyOf('Pruner', NAMES, {}));
  await mkdir(at('files'));
  await writeFile(at('files', 'notes'), 'what was on the ship\n');
  await succeed('cosign', ['generate-key-pair'], { cwd: root, env: environment() });
  await succeed('age-keygen', ['-pq', '-o', at('safe.txt')]);
  const safe = (await succeed('age-keygen', ['-y', at('safe.txt')])).trim();
  const projects = ['--enrolment-project', provider.projects.enrolment, '--storage-project', provider.projects.storage];
  const issuer = ['--issuer', provider.issuer, '--enrolment-client', provider.clients.enrolment, ...projects];
  const approver = ['--approver', at('cosign.pub'), '--break-glass', safe, '--out', at('root.json')];
  done(await command(['keys', 'init', ...issuer, ...approver]));
  const signed = ['--root', at('root.json'), '--sign-key', at('cosign.key'), '--writer', 'db-1'];
  const { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY } = minio.root;
  const owner = { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY };
  done(await command(['backup', 'init', ...signed, '--repo', address()], owner));
});
beforeEach(() => {
  provider.settings.actionClaims = byRole;
});
afterAll(async () => {
  await minio?.close();
  await provider?.[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});

/** As an action does: the policies that belong to the roles in the storage's project, and no claim without any. */
function byRole({ roles }: ServiceAccountEntry): JWTPayload {
  const policy = (roles.get(provider.projects.storage) ?? []).flatMap((role) => POLICIES[role] ?? []);
  return policy.length === 0 ? {} : { policy: policy.join(',') };
}

function environment(): Record<string, string | undefined> {
  return {
    ...{ HOME: root, XDG_CONFIG_HOME: at('config'), XDG_CACHE_HOME: at('cache'), PORTOLAN_STATE: at('state') },
    ...{ COSIGN_PASSWORD: 'throw-away password', PORTOLAN_JSON: undefined },
  };
}

const command = (args: readonly string[], env: Readonly<Record<string, string | undefined>> = {}) =>
  portolan(args, { env: { ...environment(), ...env }, cwd: root });

function done(ended: PortolanEnded): Readonly<Record<string, unknown>> {
  expect(ended.status, ended.stderr + ended.stdout).toBe(0);
  return ended.result ?? {};
}

async function as({ keyFile, name }: ServiceAccountEntry): Promise<readonly string[]> {
  await writeFile(at(`${name}.json`), keyFile, { mode: 0o600 });
  return ['--service-key', at(`${name}.json`)];
}

const run = (account: readonly string[]) => ['backup', 'run', '--files', at('files'), '--repo', address(), ...account];

/** Keys for a token with these claims, which a hostile provider signs as it likes. */
async function keysFor(claims: JWTPayload) {
  const now = Math.floor(Date.now() / 1000);
  const times = { iat: now, nbf: now, exp: now + 3600 };
  const token = await provider.keys.sign({
    iss: provider.issuer,
    aud: [provider.projects.storage],
    ...times,
    ...claims,
  });
  return await assumeWebIdentity({
    ...{ sts: minio.endpoint, token: async () => token, sessionName: 'test', now: Date.now },
    retries: { attempts: 1, baseDelayMs: 1, maxDelayMs: 1 },
  });
}

async function versions(): Promise<number> {
  const listed = await minio.client().send(new ListObjectVersionsCommand({ Bucket: BUCKET }));
  return (listed.Versions ?? []).length + (listed.DeleteMarkers ?? []).length;
}

test('who has the role of a writer backs up, and the check finds its rights right', async () => {
  const writer = provider.addServiceAccount({ name: 'writer' });
  done(await command(run(await as(writer))));
  const check = ['storage', 'check', '--repo', address(), '--role', 'writer', '--writer', 'db-1'];
  done(await command([...check, ...(await as(writer))]));
  // The policy with no end to its keys is found out.
  await minio.createPolicy('portolan-writer', policyOf('Writer', NAMES));
  const long = await command([...check, ...(await as(writer))]);
  await minio.createPolicy('portolan-writer', policyOf('Writer', NAMES, {}));
  expect(long).toMatchObject({ status: 3, error: { code: 'STORAGE_RIGHTS_WRONG' } });
  const findings = long.result?.findings as readonly { readonly ok: boolean; readonly action: string }[];
  expect(findings.filter(({ ok }) => !ok).map(({ action }) => action)).toEqual(['get keys for', 'get keys for']);
});

test('who has no role, another one, or lost it, writes nothing', async () => {
  const before = await versions();
  const nobody = provider.addServiceAccount({ name: 'nobody', roles: [] });
  expect(await command(run(await as(nobody)))).toMatchObject({ status: 1, error: { code: 'STS_REFUSED' } });
  const stranger = provider.addServiceAccount({ name: 'stranger', roles: ['backup-reader'] });
  expect(await command(run(await as(stranger)))).toMatchObject({ status: 1, error: { code: 'STS_REFUSED' } });
  const pruner = provider.addServiceAccount({ name: 'pruner', roles: ['backup-pruner'] });
  expect(await command(run(await as(pruner)))).toMatchObject({ status: 1, error: { code: 'STORE_DENIED' } });
  const former = provider.addServiceAccount({ name: 'former' });
  const key = await as(former);
  done(await command(['backup', 'list', '--repo', address(), ...key]));
  former.roles.set(provider.projects.storage, []);
  expect(await command(run(key))).toMatchObject({ status: 1, error: { code: 'STS_REFUSED' } });
  expect(await versions()).toBe(before);
});

test('a policy that MinIO does not have gives nothing', async () => {
  expect(await raised(() => keysFor({ sub: '1', policy: 'portolan-approver' }))).toMatchObject({ code: 'STS_REFUSED' });
});

test('whoever holds the provider names any policy of MinIO, its own for administrators too: only the lock holds', async () => {
  const writer = provider.addServiceAccount({ name: 'locked' });
  done(await command(run(await as(writer))));
  const { accessKeyId, secretAccessKey, sessionToken } = await keysFor({ sub: '1', policy: 'consoleAdmin' });
  const client = minio.client({ accessKeyId, secretAccessKey, sessionToken });
  const { Versions: [first] = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: BUCKET }));
  const Key = String(first?.Key);
  await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'shop/keys/00000002.json', Body: '{}' }));
  await client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'shop/keys/00000002.json' }));
  for (const bypass of [{}, { BypassGovernanceRetention: true }]) {
    const remove = new DeleteObjectCommand({ Bucket: BUCKET, Key, VersionId: first?.VersionId, ...bypass });
    await expect(client.send(remove)).rejects.toThrow(/WORM|locked|retention/i);
  }
  const suspend = { Bucket: BUCKET, VersioningConfiguration: { Status: 'Suspended' } } as const;
  await expect(client.send(new PutBucketVersioningCommand(suspend))).rejects.toThrow();
});

test('the page says so', async () => {
  const page = await readFile(new URL('../../docs/storage-policies.md', import.meta.url), 'utf8');
  const section = page.split('### ').find((one) => one.startsWith('By role')) ?? '';
  expect(section).toContain('MINIO_IDENTITY_OPENID_CLAIM_NAME');
  expect(section).toContain('consoleAdmin');
});
