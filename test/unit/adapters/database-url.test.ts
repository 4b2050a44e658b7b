import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { parseDatabaseUrl, placeOfDatabase } from '../../../src/adapters/postgres/database-url.ts';
import { passwordFromFile } from '../../../src/adapters/postgres/password-file.ts';
import { raised } from '../../support/raised.ts';

describe('the address of a database', () => {
  test.each([
    ['postgres://u@h/d', { host: 'h', port: 5432, user: 'u', name: 'd', sslMode: 'prefer' }],
    [
      'postgresql://u%40x@h:6000/d%2Fe?sslmode=require',
      { host: 'h', port: 6000, user: 'u@x', name: 'd/e', sslMode: 'require' },
    ],
    ['postgres://u@[::1]:1/d', { host: '::1', port: 1, user: 'u', name: 'd', sslMode: 'prefer' }],
    ['postgres://u@/d?host=/run/pg', { host: '/run/pg', port: 5432, user: 'u', name: 'd', sslMode: 'prefer' }],
    [
      'postgres://u@h:6/d?hostaddr=127.0.0.1',
      { host: 'h', hostAddress: '127.0.0.1', port: 6, user: 'u', name: 'd', sslMode: 'prefer' },
    ],
    ['postgres://u@%2Frun%2Fpg/d', { host: '/run/pg', port: 5432, user: 'u', name: 'd', sslMode: 'prefer' }],
    [
      'postgres://?host=h&user=u&dbname=d&port=7&sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=3',
      {
        host: 'h',
        port: 7,
        user: 'u',
        name: 'd',
        sslMode: 'verify-full',
        rootCertificates: '/ca.pem',
        connectTimeoutMs: 3000,
      },
    ],
  ])('%s', (url, expected) => {
    expect(parseDatabaseUrl(url)).toEqual(expected);
  });

  test.each([
    '',
    'mysql://u@h/d',
    'postgres:/u@h/d',
    'postgres://h/d',
    'postgres://u@/d',
    'postgres://u@h',
    'postgres://u@h/',
    'postgres://u:s3cret@h/d',
    'postgres://u:@h/d',
    'postgres://u@h/d?password=s3cret',
    'postgres://u@h/d?sslmode=allow',
    'postgres://u@h/d?sslmode=none',
    'postgres://u@h/d?sslcert=x',
    'postgres://u@h/d?options=-c%20a=b',
    'postgres://u@h/d?sslmode=require&sslmode=disable',
    'postgres://u@h1,h2/d',
    'postgres://u@h:0/d',
    'postgres://u@h:99999/d',
    'postgres://u@h/d?connect_timeout=-1',
    'postgres://u@h/d?hostaddr=elsewhere',
    'postgres://u@/d?host=/run/pg&hostaddr=127.0.0.1',
    'postgres://u@h/%zz',
    'postgres://u@h/d#x',
  ])('%j is refused, and not repeated', async (url) => {
    const error = await raised(() => parseDatabaseUrl(url));
    expect(error.code).toBe('DATABASE_URL_INVALID');
    expect(JSON.stringify([error.message, error.expected, error.found, error.hint, error.at])).not.toContain('s3cret');
  });

  it('is shown without parameters', () => {
    expect(placeOfDatabase(parseDatabaseUrl('postgres://u@h/d?sslmode=require'))).toBe('postgres://u@h:5432/d');
    expect(placeOfDatabase(parseDatabaseUrl('postgres://u@/d?host=/run'))).toBe('d as u at /run/.s.PGSQL.5432');
  });
});

describe('a file of passwords', () => {
  const address = parseDatabaseUrl('postgres://u@h/d');

  test.each([
    ['h:5432:d:u:x', 'x'],
    ['*:*:*:*:x:y\\:z\\\\', 'x:y:z\\'],
    ['# h:5432:d:u:no\n\nother:5432:d:u:no\nh:5432:d:u:x\nh:5432:d:u:no', 'x'],
    ['h:5432:d:u', undefined],
    ['h:5433:*:*:x', undefined],
    ['\\*:*:*:*:x', undefined],
    ['', undefined],
  ])('%j', (text, expected) => {
    expect(passwordFromFile(text, address)).toBe(expected);
  });

  it('counts a socket as localhost', () => {
    const socket = parseDatabaseUrl('postgres://u@/d?host=/run');
    expect(passwordFromFile('localhost:*:*:*:x', socket)).toBe('x');
  });

  it('gives every password back as it was escaped', () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !/[\r\n]/.test(text)),
        (password) => {
          const escaped = password.replaceAll('\\', '\\\\').replaceAll(':', '\\:');
          expect(passwordFromFile(`h:5432:d:u:${escaped}`, address)).toBe(password);
        },
      ),
    );
  });
});
