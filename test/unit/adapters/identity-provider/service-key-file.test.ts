import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { readClientSecret, readServiceKey } from '../../../../src/adapters/identity-provider/service-key-file.ts';
import { raised } from '../../../support/raised.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const key = rsa.export({ type: 'pkcs1', format: 'pem' }).toString();
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const RIGHT = { type: 'serviceaccount', keyId: '3401', key, expirationDate: '2046-01-01T00:00:00Z', userId: '3402' };

async function fileOf(content: string): Promise<string> {
  const file = join(await temporaryFolder(), 'key.json');
  await writeFile(file, content);
  return file;
}

test('a key file as ZITADEL hands it out is read', async () => {
  expect(await readServiceKey(await fileOf(JSON.stringify(RIGHT)))).toEqual({
    kind: 'key',
    keyId: '3401',
    userId: '3402',
    privateKey: key,
  });
});

test.each<[string, string]>([
  ['no JSON', key],
  ['a key of an application', JSON.stringify({ ...RIGHT, type: 'application' })],
  ['no user', JSON.stringify({ ...RIGHT, userId: undefined })],
  ['a key that is cut', JSON.stringify({ ...RIGHT, key: key.slice(0, 600) })],
  ['a key of another kind', JSON.stringify({ ...RIGHT, key: ec.export({ type: 'sec1', format: 'pem' }) })],
])('a file with %s is refused, and nothing of it is told', async (_, content) => {
  const error = await raised(async () => readServiceKey(await fileOf(content)));
  expect(error).toMatchObject({ code: 'SERVICE_KEY_INVALID' });
  expect(inspect(error, { depth: 9 })).not.toContain(key.slice(100, 140));
});

test('a secret is one line, without the line end of an editor', async () => {
  expect(await readClientSecret('agent', await fileOf('s3cret\n'))).toMatchObject({ clientSecret: 's3cret' });
  for (const wrong of ['', '\n', 's3cret\nanother\n']) {
    const error = await raised(async () => readClientSecret('agent', await fileOf(wrong)));
    expect(error).toMatchObject({ code: 'SERVICE_KEY_INVALID' });
    expect(inspect(error)).not.toContain('s3cret');
  }
});

test('a file that is not there is told as missing', async () => {
  const file = join(await temporaryFolder(), 'none.json');
  expect(await raised(() => readServiceKey(file))).toMatchObject({ code: 'FILE_MISSING' });
});
