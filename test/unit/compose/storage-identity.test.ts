import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { repositoryPlaces } from '../../../src/compose/repository-places.ts';
import { type StorageIdentity, storageAccess } from '../../../src/compose/storage-credentials.ts';
import { type StorageIdentityOptions, storageIdentity } from '../../../src/compose/storage-identity.ts';
import { createIdentity } from '../../../src/formats/age/new-identity.ts';
import type { RepositoryId, WriterName } from '../../../src/formats/repository/keys.ts';
import { encodeTrustFile } from '../../../src/formats/repository/repository-trust.ts';
import { encodeWriterKey } from '../../../src/formats/repository/writer-key.ts';
import { createSigningKey, publicKeyText } from '../../support/backup-repository.ts';
import { addServiceAccount, newDirectory } from '../../support/openid-provider/directory.ts';
import { raised } from '../../support/raised.ts';
import { temporaryFolder } from '../../support/temporary.ts';

const BUCKET = { endpoint: undefined, region: 'eu-central-1' };
const around = (env: Readonly<Record<string, string | undefined>>) => ({ env, now: () => 0, proxy: {} });
const token = async () => 'token';
const incomplete = { name: 'UseCaseError', code: 'STORAGE_IDENTITY_INCOMPLETE' };

describe('keys for a bucket', () => {
  const serviceOf = async (
    bucket: typeof BUCKET | { endpoint: string; region: string },
    identity: StorageIdentity,
    env = {},
  ) => (await storageAccess({ ...bucket, identity }, around(env))).webIdentity?.sts;

  test('come from the storage itself, from what was said, or from Amazon in the region', async () => {
    const minio = { endpoint: 'https://minio.ship:9000', region: 'us-east-1' };
    expect(await serviceOf(minio, { token })).toBe('https://minio.ship:9000');
    expect(await serviceOf(minio, { token, sts: 'https://sts.ship/' })).toBe('https://sts.ship');
    expect(await serviceOf(minio, { token }, { AWS_ENDPOINT_URL_STS: 'https://other' })).toBe('https://other');
    expect(await serviceOf(BUCKET, { token })).toBe('https://sts.eu-central-1.amazonaws.com');
    expect(await serviceOf({ ...BUCKET, region: 'cn-north-1' }, { token })).toBe(
      'https://sts.cn-north-1.amazonaws.com.cn',
    );
    expect(await raised(() => serviceOf(minio, { token, sts: 'https://a:b@sts.ship' }))).toMatchObject({
      code: 'STORAGE_ADDRESS_INVALID',
    });
  });

  test('are asked for over TLS, or on this very machine: a token in the clear is a key for whoever reads it', async () => {
    const plain = { endpoint: 'http://minio.ship:9000', region: 'us-east-1' };
    const exposed = [
      () => serviceOf(plain, { token }),
      () => serviceOf(BUCKET, { token, sts: 'http://sts.ship' }),
      () => serviceOf(BUCKET, { token }, { AWS_ENDPOINT_URL_STS: 'http://10.0.0.7:9000' }),
      () => serviceOf(BUCKET, { token, sts: 'http://localhost.evil.example' }),
      () => serviceOf(BUCKET, { token, sts: 'http://127.0.0.1.evil.example' }),
    ];
    for (const ask of exposed) expect(await raised(ask)).toMatchObject({ code: 'STORAGE_IDENTITY_EXPOSED' });
    for (const sts of ['http://127.0.0.1:9000', 'http://127.8.9.1', 'http://[::1]:9000', 'http://localhost:9000']) {
      expect(await serviceOf(plain, { token, sts })).toBe(sts);
    }
    // Keys that sign requests do not go out themselves.
    expect(await storageAccess({ ...plain, identity: undefined }, around({ AWS_ACCESS_KEY_ID: 'a' }))).toBeDefined();
  });

  test('of the environment are fixed ones, before an identity, before a profile', async () => {
    const pod = {
      AWS_WEB_IDENTITY_TOKEN_FILE: '/token',
      AWS_ROLE_ARN: 'arn:aws:iam::1:role/x',
      AWS_ROLE_SESSION_NAME: 'pod',
    };
    const ofEnvironment = (env: Record<string, string>, identity?: StorageIdentity) =>
      storageAccess({ ...BUCKET, identity }, around(env));
    const { webIdentity } = await ofEnvironment(pod);
    expect(webIdentity).toMatchObject({ roleArn: 'arn:aws:iam::1:role/x', sessionName: 'pod' });
    const fixed = { ...pod, AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret' };
    const access = await ofEnvironment(fixed);
    expect(access.webIdentity).toBeUndefined();
    expect(await access.credentials({})).toEqual({ accessKeyId: 'id', secretAccessKey: 'secret' });
    expect((await ofEnvironment({ AWS_WEB_IDENTITY_TOKEN_FILE: '/token' })).webIdentity).toBeUndefined();
    // What was said goes before all of it.
    expect((await ofEnvironment(fixed, { token })).webIdentity).toMatchObject({ token });
    const { webIdentity: said } = await ofEnvironment(fixed, { roleArn: 'arn:said' });
    expect(said).toMatchObject({ roleArn: 'arn:said', sts: 'https://sts.eu-central-1.amazonaws.com' });
    expect(await raised(() => ofEnvironment({}, { roleArn: 'arn:said' }))).toMatchObject(incomplete);
  });
});

describe('an identity', () => {
  async function scene() {
    const folder = await temporaryFolder();
    const directory = newDirectory();
    const account = addServiceAccount(directory, { name: 'writer' });
    const at = (name: string) => join(folder, name);
    await writeFile(at('key.json'), account.keyFile);
    await writeFile(at('secret'), 'a secret\n');
    const places = repositoryPlaces('s3://backups', { XDG_CONFIG_HOME: folder }, folder);
    await mkdir(places.folder, { recursive: true });
    const of = (options: StorageIdentityOptions, env = {}) =>
      storageIdentity(options, places, { env, cwd: folder, now: () => 0 });
    return { at, places, of };
  }

  const { publicKey } = { publicKey: publicKeyText(createSigningKey()) };
  const issuer = {
    ...{ url: 'https://id.ship', enrolmentClient: '1', roleClaim: 'roles', readerRole: 'reader' },
    keys: [{ kid: 'a', publicKey, algorithm: 'ES256', from: '2026-01-01T00:00:00.000Z' } as const],
  };
  const trust = (more: object) => encodeTrustFile({ keys: [{ publicKey }], ...more });
  const forStorage = trust({ issuer: { ...issuer, storageProject: '2' } });

  test('is none where nothing was said', async () => {
    const { of } = await scene();
    expect(await of({})).toBeUndefined();
    expect(await of({ sts: 'https://sts' })).toEqual({ sts: 'https://sts', roleArn: undefined });
  });

  test.each<[string, StorageIdentityOptions]>([
    ['a key and a name', { serviceKey: 'key.json', clientId: 'writer' }],
    ['a name without its secret', { clientId: 'writer' }],
    ['a secret without its name', { clientSecretFile: 'secret' }],
    ['a key, and nothing that names the issuer', { serviceKey: 'key.json' }],
    ['a key, and a trust file that names none', { serviceKey: 'key.json', trust: 'none.json' }],
    ['a key, and an issuer that no storage trusts', { serviceKey: 'key.json', trust: 'enrolment.json' }],
  ])('is not whole by %s', async (_, options) => {
    const { of, at } = await scene();
    await writeFile(at('none.json'), trust({}));
    await writeFile(at('enrolment.json'), trust({ issuer }));
    expect(await raised(() => of(options))).toMatchObject(incomplete);
  });

  test('is none of the storage that has keys of its own, and trusts no issuer: it asks the issuer about people', async () => {
    const { of, at } = await scene();
    await writeFile(at('enrolment.json'), trust({ issuer }));
    const options = { serviceKey: 'key.json', trust: 'enrolment.json' };
    expect(await of(options, { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret' })).toBeUndefined();
    expect(await of(options, { AWS_WEB_IDENTITY_TOKEN_FILE: '/token', AWS_ROLE_ARN: 'arn' })).toBeUndefined();
    expect(await raised(() => of({ ...options, roleArn: 'arn' }, { AWS_ACCESS_KEY_ID: 'id' }))).toMatchObject(
      incomplete,
    );
  });

  test('takes its issuer from whichever file names it', async () => {
    const { of, at, places } = await scene();
    await writeFile(at('trust.json'), forStorage);
    await writeFile(at('none.json'), trust({}));
    const key = {
      ...({ version: 1, repository: '0'.repeat(32) as RepositoryId, writer: 'db-1' as WriterName } as const),
      ...{ idKey: new Uint8Array(32), indexIdentity: (await createIdentity('post-quantum')).identity },
      approvers: { threshold: 1, keys: [{ name: 'ada', publicKey }] },
      root: { issuer: { ...issuer, storageProject: '2' } },
    };
    await writeFile(at('writer.json'), encodeWriterKey(key));
    const named = { serviceKey: 'key.json' };
    const found = { token: expect.any(Function), sts: undefined, roleArn: 'arn' };
    for (const files of [{ trust: 'trust.json' }, { root: 'trust.json' }, { writerKey: 'writer.json' }]) {
      expect(await of({ ...named, ...files, roleArn: 'arn' })).toEqual(found);
    }
    // What `init` left here counts where nothing was said.
    await writeFile(places.writerKey, encodeWriterKey(key));
    expect(await of({ clientId: 'writer', clientSecretFile: 'secret', roleArn: 'arn' })).toEqual(found);
    await writeFile(places.trust, forStorage);
    expect(await of({ ...named, roleArn: 'arn' })).toEqual(found);
    expect(await raised(() => of({ ...named, trust: 'none.json' }))).toMatchObject(incomplete);
  });
});
