import { expect, test } from 'vitest';
import { resolveOptions } from '../../../src/cli/arguments-resolution.ts';
import { roleOf } from '../../../src/cli/commands/storage-options.ts';
import { spec } from '../../../src/cli/commands/storage-policy.ts';
import type { CommandContext } from '../../../src/cli/context.ts';
import { storagePolicy, trustPolicy } from '../../../src/formats/storage/policy.ts';
import { raised } from '../../support/raised.ts';

/** What the command prints. */
async function printed(typed: Readonly<Record<string, unknown>>): Promise<unknown> {
  let text = '';
  const output = {
    event: () => {},
    result: (_: unknown, human: () => string) => {
      text += human();
    },
  };
  const around = { typed, env: {}, cwd: '/', configuration: undefined, words: ['storage', 'policy'] };
  await spec.run({ output } as unknown as CommandContext, {}, resolveOptions(spec.options, around));
  return JSON.parse(text);
}

const WRITER = { role: 'writer', writer: 'db-1', bucket: 'backups', prefix: 'shop' };
const NAMES = { ...{ bucket: 'backups', prefix: 'shop', writer: 'db-1', verifier: '' } };
const TRUST = {
  ...{ trustPolicy: true, account: '123456789012', audience: 'sts.amazonaws.com' },
  ...{ issuer: 'https://oidc.eks.eu-central-1.amazonaws.com/id/AB12', subject: 'system:serviceaccount:shop:portolan' },
};

test('a policy is printed as the storage takes it', async () => {
  expect(await printed({ ...WRITER, for: 'aws' })).toEqual(storagePolicy('writer', NAMES));
  expect(await printed({ ...WRITER, for: 'minio' })).toEqual(storagePolicy('writer', NAMES));
  expect(await printed({ ...WRITER, for: 'minio', subject: '312' })).toEqual(
    storagePolicy('writer', NAMES, { subject: '312' }),
  );
  expect(await printed({ ...WRITER, for: 'minio', byClaim: true })).toEqual(storagePolicy('writer', NAMES, {}));
  expect(await printed({ for: 'aws', role: 'reader', bucket: 'backups' })).toEqual(
    storagePolicy('reader', { ...NAMES, prefix: '' }),
  );
});

test('the second document for Amazon says who gets the role', async () => {
  expect(await printed({ ...WRITER, ...TRUST, for: 'aws' })).toEqual(trustPolicy(TRUST));
});

test.each<[string, Readonly<Record<string, unknown>>]>([
  ['a trust policy for MinIO', { ...TRUST, for: 'minio' }],
  ['a trust policy for nobody', { ...TRUST, for: 'aws', subject: undefined }],
  ['a trust policy of no account', { ...TRUST, for: 'aws', account: '12' }],
  ['an issuer without TLS', { ...TRUST, for: 'aws', issuer: 'http://id.ship' }],
  ['an issuer with a slash at its end', { ...TRUST, for: 'aws', issuer: 'https://id.ship/' }],
  ['an issuer without a trust policy', { for: 'aws', issuer: 'https://id.ship' }],
  ['a subject in the policy of Amazon', { for: 'aws', subject: '312' }],
  ['a subject of two words', { for: 'minio', subject: '312 313' }],
  ['a claim of Amazon', { for: 'aws', byClaim: true }],
  ['a claim of one subject', { for: 'minio', subject: '312', byClaim: true }],
  ['a writer without a name', { for: 'minio', writer: undefined }],
  ['a name that would open other folders', { for: 'minio', writer: '*' }],
])('%s is wrong use', async (_, typed) => {
  const given = Object.fromEntries(Object.entries({ ...WRITER, ...typed }).filter(([, value]) => value !== undefined));
  expect(await raised(() => printed(given))).toMatchObject({ name: 'UsageError', code: 'USAGE' });
});

test.each([
  ['a bucket that is none', { ...WRITER, for: 'aws', bucket: 'back*' }],
  ['a prefix that would open others', { ...WRITER, for: 'aws', prefix: 'shop*' }],
])('%s is refused', async (_, typed) => {
  expect(await raised(() => printed(typed))).toMatchObject({ code: 'STORAGE_ADDRESS_INVALID' });
});

test('a role has the name that belongs to it, and no other', async () => {
  const of = (role: string, names: object = {}) => roleOf({ role, writer: undefined, verifier: undefined, ...names });
  expect(of('reader')).toEqual({ role: 'reader', writer: '', verifier: '' });
  expect(of('verifier', { verifier: 'anna' })).toEqual({ role: 'verifier', writer: '', verifier: 'anna' });
  for (const wrong of [
    () => of('writer'),
    () => of('verifier'),
    () => of('reader', { writer: 'db-1' }),
    () => of('writer', { writer: 'db-1', verifier: 'anna' }),
    () => of('verifier', { verifier: 'A/B' }),
  ]) {
    expect(await raised(wrong)).toMatchObject({ code: 'USAGE' });
  }
});
