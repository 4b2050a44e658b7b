/** docs/backups.md, "In a bucket": each role works with just the rights of the table, on a real MinIO, and can do no more. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CHECKOUT } from '../support/importer.ts';
import { type MinioProcess, startMinio } from '../support/minio-process.ts';
import { portolan, succeed } from '../support/program.ts';
import { makeBucket } from '../support/s3-bucket.ts';
import type { S3Credentials } from '../support/s3-process.ts';

const PASSWORD = 'throw-away password';
const BUCKET = 'backups';

let root: string;
let minio: MinioProcess;
const at = (...names: string[]) => join(root, ...names);
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'portolan-bucket-'));
  minio = await startMinio(at('minio'));
  await makeBucket(minio.client(), BUCKET, { lock: { days: 1 } });
});
afterAll(async () => {
  await minio?.close();
  await rm(root, { recursive: true, force: true });
});

/** The rows of the table: what each role may put, and whether it may delete. */
async function rolesOfTheTable(): Promise<Map<string, { readonly puts: string[]; readonly deletes: boolean }>> {
  const page = await readFile(join(CHECKOUT, 'docs', 'backups.md'), 'utf8');
  const rows = [...page.matchAll(/^\| (\w+) \| yes \| yes \| (.*?) ?\| (yes)? ?\|$/gm)];
  return new Map(
    rows.map(([, role = '', puts = '', deletes]) => [
      role,
      { puts: [...puts.matchAll(/`([a-z]+\/)`/g)].map(([, prefix = '']) => prefix), deletes: deletes === 'yes' },
    ]),
  );
}

async function credentialsOf(puts: readonly string[], deletes: boolean): Promise<S3Credentials> {
  const objects = (prefix: string) => `arn:aws:s3:::${BUCKET}/shop/${prefix}*`;
  return await minio.createUser([
    { Effect: 'Allow', Action: ['s3:ListBucket', 's3:ListBucketVersions'], Resource: [`arn:aws:s3:::${BUCKET}`] },
    { Effect: 'Allow', Action: ['s3:GetObject', 's3:GetObjectVersion'], Resource: [objects('')] },
    ...(puts.length === 0
      ? []
      : [{ Effect: 'Allow', Action: ['s3:PutObject'], Resource: puts.map((prefix) => objects(prefix)) } as const]),
    ...(deletes ? [{ Effect: 'Allow', Action: ['s3:DeleteObject'], Resource: [objects('')] } as const] : []),
  ]);
}

test('each role works with the rights of the table alone, and cannot do the work of another', async () => {
  const roles = await rolesOfTheTable();
  expect([...roles.keys()]).toEqual(['reader', 'writer', 'verifier', 'approver', 'pruner']);
  const users = new Map<string, S3Credentials>([['root', minio.root]]);
  for (const [role, { puts, deletes }] of roles) {
    users.set(role, await credentialsOf(puts, deletes));
    await mkdir(at(role));
    await succeed('cosign', ['generate-key-pair'], { cwd: at(role), env: { HOME: root, COSIGN_PASSWORD: PASSWORD } });
  }
  const newRecipient = async (file: string) => {
    await succeed('age-keygen', ['-pq', '-o', at(file)]);
    return (await succeed('age-keygen', ['-y', at(file)])).trim();
  };
  const recipient = await newRecipient('key.txt');
  await mkdir(at('files'));
  await writeFile(at('files', 'one.txt'), 'one');
  const repo = ['--repo', `s3://${BUCKET}/shop?endpoint=${minio.endpoint}`];
  const as = (user: string, signer: string, ...args: string[]) => {
    const { accessKeyId, secretAccessKey } = users.get(user) as S3Credentials;
    const env = {
      ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, COSIGN_PASSWORD: PASSWORD },
      ...{ XDG_CONFIG_HOME: at('configuration'), PORTOLAN_STATE: at('state'), PORTOLAN_JSON: undefined },
    };
    const signing = signer === '' ? [] : ['--sign-key', at(signer, 'cosign.key')];
    return portolan([...args, ...repo, ...signing], { env });
  };
  const works = async (role: string, ...args: string[]) => {
    const ended = await as(role, role === 'reader' ? '' : role, ...args);
    expect(ended, `${role}: ${args.join(' ')}\n${ended.stdout}${ended.stderr}`).toMatchObject({ status: 0 });
  };
  const pub = (role: string) => at(role, 'cosign.pub');
  const keys = ['--writer-pub', pub('writer'), '--pruner', pub('pruner'), '--verifier', pub('verifier')];
  const made = await as('root', 'approver', 'backup', 'init', '--writer', 'db-1', ...keys, '-r', recipient);
  expect(made, made.stderr + made.stdout).toMatchObject({ status: 0 });

  const run = ['backup', 'run', '--files', at('files')];
  await works('writer', ...run);
  await works('writer', ...run, '--full');
  await works('verifier', 'backup', 'check', '--read-data', '100%', '-i', at('key.txt'));
  await works('reader', 'backup', 'ls', 'latest', '-i', at('key.txt'));
  await works('approver', 'keys', 'approve', '-r', `anna=${await newRecipient('anna.txt')}`);
  await works('approver', 'keys', 'rewrap', '-i', at('key.txt'));
  await works('pruner', 'backup', 'forget', 'db-1/1');
  await works('pruner', 'backup', 'prune');

  // The key of one role, with the credentials of another.
  const denied = { status: 1, error: { code: 'STORE_DENIED' } };
  await works('writer', ...run);
  expect(await as('writer', 'pruner', 'backup', 'forget', 'db-1/2')).toMatchObject(denied);
  expect(await as('verifier', 'writer', ...run)).toMatchObject(denied);
  expect(await as('reader', 'approver', 'keys', 'revoke', '--recipient', 'anna')).toMatchObject(denied);
});
