import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { credentialsOf } from '../../../../src/adapters/object-store/s3/credentials.ts';
import { raised } from '../../../support/raised.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const ask = (environment: Record<string, string>) => credentialsOf(environment)({});
const missing = { name: 'AdapterError', code: 'STORE_CREDENTIALS_MISSING' };
const FILE = `# a comment
[default]
aws_access_key_id = one
aws_secret_access_key=secret/one=
  region = nowhere

[ other ]
AWS_ACCESS_KEY_ID=two
aws_secret_access_key = secret two
aws_session_token = token
; aws_session_token = another
[role]
role_arn = arn:aws:iam::1:role/x
`;

describe('credentials', () => {
  test('of the environment', async () => {
    const pair = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret' };
    expect(await ask(pair)).toEqual({ accessKeyId: 'id', secretAccessKey: 'secret' });
    expect(await ask({ ...pair, AWS_SESSION_TOKEN: 'token', AWS_SHARED_CREDENTIALS_FILE: '/none' })).toEqual({
      accessKeyId: 'id',
      secretAccessKey: 'secret',
      sessionToken: 'token',
    });
  });

  test('of a file, as it is at the time', async () => {
    const home = await temporaryFolder();
    await mkdir(join(home, '.aws'));
    const file = join(home, '.aws', 'credentials');
    await writeFile(file, FILE);
    const one = { accessKeyId: 'one', secretAccessKey: 'secret/one=' };
    expect(await ask({ HOME: home })).toEqual(one);
    expect(await ask({ AWS_SHARED_CREDENTIALS_FILE: file })).toEqual(one);
    const other = credentialsOf({ HOME: home, AWS_PROFILE: 'other' });
    expect(await other({})).toEqual({ accessKeyId: 'two', secretAccessKey: 'secret two', sessionToken: 'token' });
    await writeFile(file, '[other]\r\naws_access_key_id=three\r\naws_secret_access_key=secret\r\n');
    expect(await other({})).toEqual({ accessKeyId: 'three', secretAccessKey: 'secret' });
  });

  test('that are not there, or not whole', async () => {
    const file = join(await temporaryFolder(), 'credentials');
    await writeFile(file, `${FILE}[half]\naws_secret_access_key = half-a-secret\n`);
    for (const environment of [
      {},
      { AWS_ACCESS_KEY_ID: 'id' },
      { AWS_SECRET_ACCESS_KEY: 'half-a-secret', AWS_SHARED_CREDENTIALS_FILE: file },
      { AWS_SHARED_CREDENTIALS_FILE: `${file}-none` },
      { AWS_SHARED_CREDENTIALS_FILE: file, AWS_PROFILE: 'none' },
      { AWS_SHARED_CREDENTIALS_FILE: file, AWS_PROFILE: 'half' },
      { AWS_SHARED_CREDENTIALS_FILE: file, AWS_PROFILE: 'role' },
    ]) {
      const error = await raised(() => ask(environment));
      expect(error).toMatchObject(missing);
      expect(inspect(error, { depth: 9 })).not.toContain('half-a-secret');
    }
  });
});
