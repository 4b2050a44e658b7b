/**
 * Keys of the storage for a service account: a provider in ZITADEL's shape, and a real MinIO that trusts it (its role mode), under
 * the policies that are given out.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import { Agent } from 'undici';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createIdentityProvider } from '../../src/adapters/identity-provider/identity-provider.ts';
import { pause } from '../../src/core/retry.ts';
import type { PolicyStatement } from '../../src/formats/storage/policy.ts';
import { decodeSessionKeys, type SessionKeys } from '../../src/formats/storage/web-identity-answer.ts';
import { type LoopbackServer, serveOnLoopback } from '../support/loopback-server.ts';
import { type MinioProcess, startMinio } from '../support/minio-process.ts';
import { type OpenIdProvider, type ServiceAccountEntry, startOpenIdProvider } from '../support/openid-provider.ts';
import { makePrivateCertificate } from '../support/private-certificate.ts';
import { type PortolanEnded, portolan, startPortolan, succeed } from '../support/program.ts';
import { makeBucket } from '../support/s3-bucket.ts';
import { policyOf } from '../support/storage-policies.ts';

const PASSWORD = 'throw-away password';
const BUCKET = 'backups';
const NAMES = { bucket: BUCKET, prefix: 'shop', writer: 'db-1' };
/** Slow enough that keys of seconds expire in the middle, whatever the machine. */
const SLOWLY = ['--limit-upload', '256KiB'];
const SLOW_BYTES = 1_800_000;
const KEY_SECONDS = 5;

let root: string;
let provider: OpenIdProvider;
let minio: MinioProcess;
let writer: ServiceAccountEntry;
/** Trusts MinIO and the provider. */
let agent: Agent;
let lasting: LoopbackServer;
/** Answers of the token service behind `lasting`. */
let issued = 0;
const at = (...names: string[]) => join(root, ...names);

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'portolan-test-'));
  provider = await startOpenIdProvider({ certificate: await makePrivateCertificate(at('provider')) });
  writer = provider.addServiceAccount({ name: 'backup-writer' });
  await writeFile(at('writer-key.json'), writer.keyFile, { mode: 0o600 });
  const openId = {
    ...{ issuer: provider.issuer, audience: provider.projects.storage, policies: ['writer'] },
    caFile: provider.caFile as string,
  };
  minio = await startMinio(at('minio'), { tls: true, openId });
  const authorities = [minio.caFile, provider.caFile].map((file) => readFile(file as string, 'utf8'));
  await writeFile(at('ca.pem'), (await Promise.all(authorities)).join('\n'));
  agent = new Agent({ connect: { ca: await readFile(at('ca.pem')) } });
  await makeBucket(minio.client(), BUCKET, { lock: { days: 1 } });
  lasting = await serveOnLoopback((request, response) => {
    void withoutDuration(request).then(({ status, body }) => response.writeHead(status).end(body));
  });
  await mkdir(at('files'));
  await succeed('cosign', ['generate-key-pair'], { cwd: root, env: { HOME: root, COSIGN_PASSWORD: PASSWORD } });
  await succeed('age-keygen', ['-pq', '-o', at('key.txt')]);
  const reader = (await succeed('age-keygen', ['-y', at('key.txt')])).trim();
  const issuer = ['--issuer', provider.issuer, '--enrolment-client', provider.clients.enrolment];
  const projects = ['--enrolment-project', provider.projects.enrolment, '--storage-project', provider.projects.storage];
  const approver = ['--approver', at('cosign.pub'), '--break-glass', reader, '--out', at('root.json')];
  done(await command(['keys', 'init', ...issuer, ...projects, ...approver]));
  const signed = ['--root', at('root.json'), '--sign-key', at('cosign.key'), '--writer', 'db-1'];
  const rootKeys = { AWS_ACCESS_KEY_ID: minio.root.accessKeyId, AWS_SECRET_ACCESS_KEY: minio.root.secretAccessKey };
  done(await portolan(['backup', 'init', ...signed, '--repo', address()], { env: { ...environment(), ...rootKeys } }));
});
beforeEach(async () => {
  issued = 0;
  provider.settings.accessTokenSeconds = 43_200;
  await minio.createPolicy('writer', policyOf('Writer', NAMES, writer.id));
});
afterAll(async () => {
  await lasting?.close();
  await agent?.close();
  await minio?.close();
  await provider?.[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});

const address = () => `s3://${BUCKET}/shop?endpoint=${minio.endpoint}`;

function environment(): Record<string, string | undefined> {
  return {
    ...{ COSIGN_PASSWORD: PASSWORD, XDG_CONFIG_HOME: at('config'), XDG_CACHE_HOME: at('cache') },
    ...{ PORTOLAN_STATE: at('state'), PORTOLAN_CA_FILE: at('ca.pem'), PORTOLAN_JSON: undefined },
  };
}

const asWriter = () => ['--service-key', at('writer-key.json'), '--role-arn', minio.roleArn];
const run = (...more: readonly string[]) => ['backup', 'run', '--files', at('files'), '--repo', address(), ...more];
const command = (args: readonly string[], env: Readonly<Record<string, string | undefined>> = {}) =>
  portolan(args, { env: { ...environment(), ...env } });

function done(ended: PortolanEnded): Readonly<Record<string, unknown>> {
  expect(ended.status, ended.stderr + ended.stdout).toBe(0);
  return ended.result ?? {};
}

async function askMinio(form: URLSearchParams): Promise<{ readonly status: number; readonly body: string }> {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const answer = await agent.request({
    ...{ origin: minio.endpoint, path: '/', method: 'POST', headers, body: form.toString() },
  });
  return { status: answer.statusCode, body: await answer.body.text() };
}

/** The token service as MinIO is by itself, for keys that live as long as the token. */
async function withoutDuration(request: IncomingMessage): Promise<{ readonly status: number; readonly body: string }> {
  const form = new URLSearchParams(await text(request));
  form.delete('DurationSeconds');
  const answer = await askMinio(form);
  if (answer.status === 200) issued += 1;
  return answer;
}

/** Keys of a few seconds, in spite of the policy that is given out. */
async function allowShortKeys(): Promise<readonly string[]> {
  await minio.createPolicy('writer', withoutDeny());
  provider.settings.accessTokenSeconds = KEY_SECONDS;
  return ['--sts', `http://${lasting.host}`];
}

function withoutDeny(): readonly PolicyStatement[] {
  return policyOf('Writer', NAMES, writer.id).filter(({ Effect }) => Effect === 'Allow');
}

async function tokenOf(account: ServiceAccountEntry): Promise<string> {
  const { issuer, projects } = provider;
  const client = createIdentityProvider({ issuer, transport: { caFile: at('ca.pem') }, now: () => Date.now() });
  const { clientId, clientSecret } = account;
  try {
    const named = { kind: 'secret', clientId, clientSecret } as const;
    return (await client.serviceToken(named, { kind: 'storage', project: projects.storage })).token;
  } finally {
    await client.close();
  }
}

async function sessionOf(account: ServiceAccountEntry): Promise<SessionKeys> {
  const form = new URLSearchParams({
    ...{ Action: 'AssumeRoleWithWebIdentity', Version: '2011-06-15', RoleArn: minio.roleArn },
    WebIdentityToken: await tokenOf(account),
  });
  return decodeSessionKeys(Buffer.from((await askMinio(form)).body));
}

async function versions(): Promise<number> {
  const { Versions = [], DeleteMarkers = [] } = await minio
    .client()
    .send(new ListObjectVersionsCommand({ Bucket: BUCKET }));
  return Versions.length + DeleteMarkers.length;
}

async function newContent(): Promise<Buffer> {
  const content = randomBytes(SLOW_BYTES);
  await writeFile(at('files', 'notes.bin'), content);
  return content;
}

async function expectRestored(content: Buffer): Promise<void> {
  provider.settings.accessTokenSeconds = 43_200;
  const target = at(`restored-${randomBytes(4).toString('hex')}`);
  const args = ['restore', 'latest', '--repo', address(), '-i', at('key.txt'), '--to', `folder:${target}`];
  // By the approver's key alone, which names no provider: nobody has to log in.
  await writeFile(at('token'), await tokenOf(writer));
  const pod = { AWS_WEB_IDENTITY_TOKEN_FILE: at('token'), AWS_ROLE_ARN: minio.roleArn };
  done(await command([...args, '--trust', at('cosign.pub')], pod));
  expect((await readFile(join(target, 'files', 'notes.bin'))).equals(content)).toBe(true);
}

test('a service account backs up, lists and restores; nothing of its secrets is in what is printed', async () => {
  // Where docs/storage-policies.md sends people for it.
  expect(await readFile(minio.logFile, 'utf8')).toContain(minio.roleArn);
  const content = await newContent();
  const ended = await command(run(...asWriter()));
  done(ended);
  await writeFile(at('secret'), `${writer.clientSecret}\n`);
  const bySecret = ['--client-id', writer.clientId, '--client-secret-file', at('secret'), '--role-arn', minio.roleArn];
  const listed = await command(['backup', 'list', '--repo', address(), ...bySecret]);
  done(listed);
  await expectRestored(content);
  const printed = [ended, listed].map(({ stdout, stderr }) => stdout + stderr).join('\n');
  for (const secret of ['eyJ', 'PRIVATE KEY', writer.clientSecret]) expect(printed).not.toContain(secret);
});

test('a Pod in EKS needs no keys: AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN do', async () => {
  await writeFile(at('token'), `${await tokenOf(writer)}\n`);
  const pod = { AWS_WEB_IDENTITY_TOKEN_FILE: at('token'), AWS_ROLE_ARN: minio.roleArn, AWS_ROLE_SESSION_NAME: 'pod-1' };
  await newContent();
  done(await command(run(), pod));
  await writeFile(at('token'), 'nothing of the kind');
  expect(await command(run(), pod)).toMatchObject({ status: 2, error: { code: 'STORE_CREDENTIALS_MISSING' } });
  provider.settings.clockOffsetSeconds = -86_400;
  await writeFile(at('token'), await tokenOf(writer));
  provider.settings.clockOffsetSeconds = 0;
  const { status, error } = await command(run(), pod);
  expect({ status, error }).toMatchObject({ status: 1, error: { code: 'STS_REFUSED' } });
  expect(error?.hint).toMatch(/expired/);
});

test('who is not the one that the policy names writes nothing; who has no token, or none that can be read, gets no keys', async () => {
  const other = provider.addServiceAccount({ name: 'other', roles: [] });
  const opaque = provider.addServiceAccount({ name: 'opaque', tokenType: 'opaque' });
  const gone = provider.addServiceAccount({ name: 'gone' });
  provider.removeUser(gone.id);
  const before = await versions();
  const runs = [
    [other, minio.roleArn, 'STORE_DENIED'],
    [opaque, minio.roleArn, 'ACCESS_TOKEN_OPAQUE'],
    [gone, minio.roleArn, 'IDENTITY_PROVIDER_REFUSED'],
    [writer, 'arn:minio:iam:::role/none', 'STS_REFUSED'],
  ] as const;
  for (const [account, role, code] of runs) {
    await writeFile(at('other-key.json'), account.keyFile);
    const ended = await command(run('--service-key', at('other-key.json'), '--role-arn', role));
    expect(ended, account.name).toMatchObject({ status: 1, error: { code } });
  }
  expect(await versions()).toBe(before);
});

test('taking the policy away ends keys that were given', async () => {
  await minio.createPolicy('writer', withoutDeny());
  const { accessKeyId, secretAccessKey, sessionToken } = await sessionOf(writer);
  const client = minio.client({ accessKeyId, secretAccessKey, sessionToken });
  const list = () => client.send(new ListObjectVersionsCommand({ Bucket: BUCKET, Prefix: 'shop/' }));
  expect((await list()).$metadata.httpStatusCode).toBe(200);
  await minio.createPolicy('writer', policyOf('Writer', NAMES, 'somebody else'));
  await expect(list()).rejects.toMatchObject({ name: 'AccessDenied' });
});

test('a token that somebody else made is worth nothing, whatever it says of its algorithm', async () => {
  const claims = { iss: provider.issuer, sub: writer.id, aud: [provider.projects.storage], exp: 4e9, iat: 1 };
  const { kid } = provider.keys.jwks().keys[0] as { readonly kid: string };
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  for (const [alg, secret] of [
    ['HS256', ''],
    ['HS256', JSON.stringify(provider.keys.jwks().keys[0])],
    ['none', undefined],
  ] as const) {
    for (const header of [{ alg }, { alg, kid }]) {
      const text = `${part(header)}.${part(claims)}`;
      const mac = secret === undefined ? '' : createHmac('sha256', secret).update(text).digest('base64url');
      const form = new URLSearchParams({
        ...{ Action: 'AssumeRoleWithWebIdentity', Version: '2011-06-15', RoleArn: minio.roleArn },
        ...{ DurationSeconds: '900', WebIdentityToken: `${text}.${mac}` },
      });
      expect(await askMinio(form), `${alg} ${secret}`).toMatchObject({ status: 400 });
    }
  }
});

test('the check finds the policy right, and one without the limits of keys wrong', async () => {
  const args = ['storage', 'check', '--repo', address(), '--role', 'writer', '--writer', 'db-1', ...asWriter()];
  const wrongOf = ({ result }: PortolanEnded) =>
    ((result?.findings ?? []) as readonly { readonly ok: boolean; readonly action: string; readonly on: string }[])
      .filter(({ ok }) => !ok)
      .map(({ action, on }) => `${action} ${on}`);
  expect(wrongOf(await command(args))).toEqual([]);
  await minio.createPolicy('writer', withoutDeny());
  const long = ['get keys for 3600 s', 'get keys for as long as the token lives'];
  expect(wrongOf(await command(args))).toEqual(long);
});

test('keys that expire in the middle of a run are renewed', async () => {
  const content = await newContent();
  const sts = await allowShortKeys();
  done(await command(run(...asWriter(), ...sts, ...SLOWLY)));
  expect(issued).toBeGreaterThan(1);
  await expectRestored(content);
});

test('a session that nobody renews ends the run clearly, and the next converges', async () => {
  const content = await newContent();
  await allowShortKeys();
  const { accessKeyId, secretAccessKey, sessionToken } = await sessionOf(writer);
  const session = {
    ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken },
  };
  const { status, error, stdout, stderr } = await command(run(...SLOWLY), session);
  expect({ status, error }).toMatchObject({ status: 1, error: { code: 'STORE_DENIED' } });
  expect(error?.message, stdout + stderr).toMatch(/ExpiredToken|InvalidAccessKeyId|InvalidToken/);
  expect(stdout + stderr).not.toContain(sessionToken);
  provider.settings.accessTokenSeconds = 43_200;
  done(await command(run(...asWriter())));
  await expectRestored(content);
});

test('a provider that is down after the keys were given is not missed', async () => {
  await newContent();
  // The same keys of 15 minutes, given by a service that counts.
  await minio.createPolicy('writer', withoutDeny());
  const sts = ['--sts', `http://${lasting.host}`];
  const running = startPortolan(run(...asWriter(), ...sts, '--limit-upload', '1MiB'), { env: environment() });
  while (issued === 0 && running.child.exitCode === null) await pause(20);
  await provider.down();
  try {
    done(await running.ended);
  } finally {
    await provider.up();
  }
});

test('a provider that is down when keys are to be renewed is waited for', async () => {
  await newContent();
  const sts = await allowShortKeys();
  const running = startPortolan(run(...asWriter(), ...sts, ...SLOWLY), { env: environment() });
  let printed = '';
  running.child.stdout?.on('data', (part: string) => {
    printed += part;
  });
  while (issued === 0 && running.child.exitCode === null) await pause(20);
  await provider.down();
  while (!printed.includes('IDENTITY_PROVIDER_UNREACHABLE') && running.child.exitCode === null) await pause(20);
  expect(running.child.exitCode).toBeNull();
  await provider.up();
  done(await running.ended);
});

test('a provider that is down before the first keys ends the command, and nothing is written', async () => {
  const before = await versions();
  await provider.down();
  try {
    const ended = await command(run(...asWriter()));
    expect(ended).toMatchObject({ status: 1, error: { code: 'IDENTITY_PROVIDER_UNREACHABLE' } });
  } finally {
    await provider.up();
  }
  expect(await versions()).toBe(before);
});
