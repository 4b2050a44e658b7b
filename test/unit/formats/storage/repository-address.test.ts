import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  parseBucketAddress,
  parseEndpoint,
  parseRepositoryAddress,
  placeOfRepository,
} from '../../../../src/formats/storage/repository-address.ts';
import { raised } from '../../../support/raised.ts';

const invalid = { name: 'FormatError', code: 'STORAGE_ADDRESS_INVALID' };
const SECRET = 'wJalrXUtnFEMI';

describe('the address of a repository', () => {
  test.each(['/srv/backups', 'backups', './s3:/x', 'C:\\backups', 's3', 'with ? and # and @'])(
    '%s is a path',
    (path) => {
      expect(parseRepositoryAddress(path)).toEqual({ kind: 'folder', path });
      expect(placeOfRepository({ kind: 'folder', path })).toBe(path);
    },
  );

  test('names a bucket, a prefix and how it is reached', () => {
    const plain = { kind: 's3', bucket: 'bucket', prefix: '', pathStyle: false, checksum: 'crc32' };
    expect(parseRepositoryAddress('s3://bucket')).toEqual(plain);
    expect(parseRepositoryAddress('s3://bucket/')).toEqual(plain);
    expect(parseRepositoryAddress('s3://bucket/a/b_c/?region=eu-west-1&checksum=sha256')).toEqual({
      ...plain,
      prefix: 'a/b_c',
      region: 'eu-west-1',
      checksum: 'sha256',
    });
    const local = parseRepositoryAddress('s3://bucket/a?endpoint=http://host:9000');
    expect(local).toEqual({ ...plain, prefix: 'a', endpoint: 'http://host:9000', pathStyle: true });
    expect(placeOfRepository(local)).toBe('s3://bucket/a at host:9000');
    expect(parseRepositoryAddress('s3://bucket?endpoint=https%3A%2F%2Fhost%2F&path-style=false')).toEqual({
      ...plain,
      endpoint: 'https://host',
    });
    expect(parseRepositoryAddress('s3://bucket?path-style=true&checksum=none')).toMatchObject({
      pathStyle: true,
      checksum: 'none',
    });
  });

  test('an endpoint may have a path', () => {
    expect(parseEndpoint('https://project.example/storage/v1/s3/')).toBe('https://project.example/storage/v1/s3');
    expect(parseEndpoint('http://[::1]:9000')).toBe('http://[::1]:9000');
  });

  test.each([
    '',
    'a\0b',
    'gs://bucket/x',
    's3://',
    's3:///x',
    's3://Bucket',
    's3://b',
    's3://bucket/../x',
    's3://bucket/.x',
    's3://bucket//x',
    's3://bucket/a//',
    's3://bucket/a b',
    `s3://bucket/${'x'.repeat(257)}`,
    's3://bucket#x',
    's3://bucket?color=red',
    's3://bucket?region=a&region=b',
    's3://bucket?region=a/b',
    's3://bucket?path-style=yes',
    's3://bucket?checksum=md5',
    's3://bucket?endpoint=host:9000',
    's3://bucket?endpoint=ftp://host',
    's3://bucket?endpoint=http://host/?x=y',
    's3://bucket?endpoint=http://host/%2541',
  ])('%j is refused', async (text) => {
    expect(await raised(() => parseRepositoryAddress(text))).toMatchObject(invalid);
  });

  test.each([
    `s3://key:${SECRET}@bucket/x`,
    `s3://${SECRET}@bucket`,
    `s3://bucket?access-key=${SECRET}`,
    `s3://bucket?AWS_SECRET_ACCESS_KEY=${SECRET}`,
    `s3://bucket?sessiontoken=${SECRET}`,
    `s3://bucket?endpoint=http://key:${SECRET}@host`,
    `s3://bucket?X-Amz-Signature=${SECRET}`,
    `https://key:${SECRET}@host/bucket`,
    `s3://bucket?region=${SECRET}/`,
    `s3://${SECRET}`,
  ])('a secret is never shown: %#', async (text) => {
    const error = await raised(() => parseRepositoryAddress(text));
    expect(error).toMatchObject(invalid);
    expect(JSON.stringify({ ...error, message: error.message, cause: error.cause })).not.toContain(SECRET);
  });

  test('whatever is written, it is an address or refused', async () => {
    const part = fc.constantFrom(
      's3://',
      'bucket',
      '/',
      '?',
      '&',
      'endpoint=',
      'http://host',
      '@',
      ':',
      '%',
      '%41',
      '#',
      '..',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(part, fc.string({ maxLength: 3 })), { maxLength: 8 }), async (parts) => {
        const text = parts.join('');
        try {
          const address = parseRepositoryAddress(text);
          if (address.kind === 'folder') expect(address.path).toBe(text);
          else expect(parseBucketAddress(text)).toEqual(address);
        } catch (error) {
          expect(error).toMatchObject(invalid);
        }
      }),
    );
  });
});
