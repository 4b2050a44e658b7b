import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MinioProcess, startMinio } from '../support/minio-process.ts';
import { type PortolanEnded, portolan, succeed } from '../support/program.ts';
import { makeBucket } from '../support/s3-bucket.ts';
import type { S3Credentials, S3Process } from '../support/s3-process.ts';
import { startVersitygw } from '../support/versitygw-process.ts';

const PASSWORD = 'throw-away password';
const RESOURCES = ['arn:aws:s3:::backups', 'arn:aws:s3:::backups/*'];

let root: string;
let minio: MinioProcess;
let gateway: S3Process;
let reader: string;
const at = (...names: string[]) => join(root, ...names);

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'portolan-backup-s3-'));
  for (const name of ['minio', 'gateway', 'files']) await mkdir(at(name));
  minio = await startMinio(at('minio'), { tls: true });
  gateway = await startVersitygw(at('gateway'));
  await makeBucket(minio.client(), 'backups', { lock: { days: 1 } });
  await makeBucket(gateway.client(), 'copies', { versioning: true });
  await writeFile(at('files', 'notes.bin'), randomBytes(300_000));
  await succeed('cosign', ['generate-key-pair'], { cwd: root, env: { HOME: root, COSIGN_PASSWORD: PASSWORD } });
  await succeed('age-keygen', ['-pq', '-o', at('key.txt')]);
  reader = (await succeed('age-keygen', ['-y', at('key.txt')])).trim();
});

afterAll(async () => {
  await minio?.close();
  await gateway?.close();
  await rm(root, { recursive: true, force: true });
});

/** Somebody's commands on a bucket. */
function person(repo: string, { accessKeyId, secretAccessKey }: S3Credentials, more: readonly string[] = []) {
  const env = {
    COSIGN_PASSWORD: PASSWORD,
    XDG_CONFIG_HOME: at('config'),
    XDG_CACHE_HOME: at('cache'),
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    PORTOLAN_JSON: undefined,
  };
  return (...args: string[]) => portolan([...args, '--repo', repo, '--state', at('state'), ...more], { env });
}

function done(ended: PortolanEnded): Readonly<Record<string, unknown>> {
  expect(ended.status, ended.stderr + ended.stdout).toBe(0);
  return ended.result ?? {};
}

test('a bucket with lock, with credentials that only create: backed up, checked, not forgotten by the agent, copied', async () => {
  const Action = ['s3:PutObject', 's3:GetObject', 's3:ListBucket'];
  const credentials = await minio.createUser([{ Effect: 'Allow', Action, Resource: RESOURCES }]);
  const repo = `s3://backups/shop?endpoint=${minio.endpoint}`;
  const trusting = ['--ca-file', minio.caFile as string];
  const [agent, owner] = [person(repo, credentials, trusting), person(repo, minio.root, trusting)];
  const init = ['backup', 'init', '-r', reader, '--sign-key', at('cosign.key'), '--writer', 'db-1'];

  expect(await person(repo, credentials)(...init)).toMatchObject({ status: 1, error: { code: 'STORE_UNTRUSTED' } });
  const wrong = person(repo, { ...credentials, secretAccessKey: 'wrong' }, trusting);
  expect(await wrong(...init)).toMatchObject({ status: 1, error: { code: 'STORE_DENIED' } });
  expect(done(await agent(...init))).toMatchObject({ created: true, probe: { mayRemove: false, mayRead: true } });

  expect(done(await agent('backup', 'run', '--files', at('files')))).toMatchObject({ sequence: 1, full: true });
  // What the next run reads of it lies on this machine.
  const [id] = await readdir(at('cache', 'portolan', 'repositories'));
  expect((await readdir(at('cache', 'portolan', 'repositories', id as string))).length).toBeGreaterThan(2);
  expect(done(await agent('backup', 'run', '--files', at('files')))).toMatchObject({ sequence: 2, newBytes: 0 });
  const check = ['backup', 'check', '--read-data', '100%', '-i', at('key.txt')];
  expect(done(await agent(...check))).toMatchObject({ ok: true, snapshots: 2, opened: ['db-1/2'], strangers: 0 });

  expect(await agent('backup', 'forget', 'db-1/1')).toMatchObject({ status: 1, error: { code: 'STORE_DENIED' } });
  expect(done(await agent('backup', 'list'))).toMatchObject({
    writers: [{ snapshots: [{ sequence: 1, isForgotten: true }, { sequence: 2 }] }],
  });
  expect(done(await owner('backup', 'forget', 'db-1/1'))).toMatchObject({ forgotten: [{ snapshot: 'db-1/1' }] });
  expect(done(await owner('backup', 'prune', '--plan'))).toMatchObject({ done: false });

  done(await agent('backup', 'copy', at('copy')));
  const target = `s3://copies/far?endpoint=${gateway.endpoint}&checksum=sha256&path-style=true`;
  const trust = ['--trust', at('cosign.pub')];
  const far = (...args: string[]) => person(at('copy'), gateway.root, trust)(...args);
  expect(done(await far('backup', 'copy', target))).toMatchObject({ copiedSnapshots: 1, problems: [] });
  const there = person(target, gateway.root, trust);
  expect(done(await there(...check))).toMatchObject({ ok: true, snapshots: 1 });
  expect(done(await there('backup', 'stats'))).toMatchObject({ writers: [{ writer: 'db-1', snapshots: 1 }] });
});
