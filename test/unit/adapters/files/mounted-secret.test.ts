/** Kubernetes mounts a Secret, a ConfigMap or a token as links through `..data`, which it exchanges when the content changes. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readSmallFile } from '../../../../src/adapters/files/small-file.ts';
import { readClientSecret, readServiceKey } from '../../../../src/adapters/identity-provider/service-key-file.ts';
import { credentialsOf } from '../../../../src/adapters/object-store/s3/credentials.ts';
import { tokenOfFile } from '../../../../src/adapters/object-store/s3/web-identity-token.ts';
import { raised } from '../../../support/raised.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

/** As the kubelet's atomic writer does it. */
async function mounted(folder: string, version: string, name: string, content: string): Promise<string> {
  await mkdir(join(folder, version));
  await writeFile(join(folder, version, name), content);
  await symlink(version, join(folder, '..data_new'));
  await rename(join(folder, '..data_new'), join(folder, '..data'));
  const path = join(folder, name);
  await symlink(join('..data', name), path).catch(() => {});
  return path;
}

test('a file that a person names may be such a link; what lies on a medium may not', async () => {
  const path = await mounted(await temporaryFolder(), '..2026_1', 'file', 'content');
  expect(Buffer.from((await readSmallFile(path, 100, { followLinks: true })) ?? []).toString()).toBe('content');
  expect(await raised(() => readSmallFile(path, 100))).toMatchObject({ code: 'FILE_UNREADABLE' });
});

test('a token of the Pod is read, and the next one when the kubelet has exchanged it', async () => {
  const folder = await temporaryFolder();
  const token = tokenOfFile(await mounted(folder, '..2026_1', 'token', 'a.b.c\n'));
  expect(await token({})).toBe('a.b.c');
  await mounted(folder, '..2026_2', 'token', 'd.e.f\n');
  expect(await token({})).toBe('d.e.f');
});

test('keys of a storage are read, and the next ones when the Secret has changed', async () => {
  const folder = await temporaryFolder();
  const keys = (name: string) => `[default]\naws_access_key_id = ${name}\naws_secret_access_key = secret\n`;
  const path = await mounted(folder, '..2026_1', 'credentials', keys('one'));
  const credentials = credentialsOf({ AWS_SHARED_CREDENTIALS_FILE: path });
  expect(await credentials({})).toMatchObject({ accessKeyId: 'one' });
  await mounted(folder, '..2026_2', 'credentials', keys('two'));
  expect(await credentials({})).toMatchObject({ accessKeyId: 'two' });
});

test('a service account’s key and secret are read', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = privateKey.export({ type: 'pkcs1', format: 'pem' });
  const content = JSON.stringify({ type: 'serviceaccount', keyId: '1', userId: '2', key });
  const path = await mounted(await temporaryFolder(), '..2026_1', 'service-key.json', content);
  expect(await readServiceKey(path)).toMatchObject({ kind: 'key', userId: '2' });
  const secret = await mounted(await temporaryFolder(), '..2026_1', 'secret', 'hidden\n');
  expect(await readClientSecret('id', secret)).toMatchObject({ clientSecret: 'hidden' });
});
