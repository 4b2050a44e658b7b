import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseRepositoryKey } from '../../../../src/formats/repository/keys.ts';
import {
  placesOfRole,
  STORAGE_ROLES,
  type StorageRole,
  storagePolicy,
  trustPolicy,
} from '../../../../src/formats/storage/policy.ts';

const NAMES = { bucket: 'BUCKET', prefix: 'PREFIX', writer: 'WRITER', verifier: 'VERIFIER' };
const page = readFileSync(join(import.meta.dirname, '../../../../docs/storage-policies.md'), 'utf8');

function documentsOf(title: string): unknown[] {
  const section = page.split(`\n## ${title}\n`)[1]?.split('\n## ')[0] ?? '';
  return [...section.matchAll(/```json\n(.*?)```/gs)].map(([, json = '']) => JSON.parse(json));
}

test.each(STORAGE_ROLES)(
  'docs/storage-policies.md gives the %s what the program prints, beside what everybody has',
  (role) => {
    const { Statement } = storagePolicy(role, NAMES);
    const everybody = storagePolicy('reader', NAMES).Statement;
    const own = role === 'reader' ? Statement : Statement.slice(everybody.length);
    expect(Statement.slice(0, everybody.length)).toEqual(everybody);
    const title = role.replace(/^./, (letter) => letter.toUpperCase());
    expect(documentsOf(title)).toEqual([{ Version: '2012-10-17', Statement: own }]);
  },
);

test('docs/storage-policies.md shows what an identity of a provider adds', () => {
  const writer = storagePolicy('writer', NAMES, { subject: 'SUBJECT' }).Statement;
  const account = { account: '123456789012', issuer: 'https://ISSUER', audience: 'AUDIENCE', subject: 'SUBJECT' };
  expect(documentsOf('An identity instead of keys')).toEqual([
    { Version: '2012-10-17', Statement: [...writer.slice(-3)] },
    trustPolicy(account),
  ]);
});

test('for a subject of MinIO every statement about objects names it, and those about keys hold for everybody', () => {
  for (const role of STORAGE_ROLES) {
    const { Statement } = storagePolicy(role, NAMES, { subject: '312' });
    const [objects, keys] = [Statement.slice(0, -2), Statement.slice(-2)];
    for (const { Condition } of objects) expect(Condition).toMatchObject({ StringEquals: { 'jwt:sub': ['312'] } });
    expect(keys.map(({ Effect, Resource }) => [Effect, Resource])).toEqual([
      ['Deny', undefined],
      ['Deny', undefined],
    ]);
  }
  // The prefix of a list is still looked at.
  expect(storagePolicy('reader', NAMES, { subject: '312' }).Statement[0]?.Condition).toHaveProperty('StringLike');
});

test('without a prefix the whole bucket is meant', () => {
  const { Statement } = storagePolicy('pruner', { ...NAMES, prefix: '' });
  expect(Statement[0]).not.toHaveProperty('Condition');
  expect(Statement.flatMap(({ Resource = [] }) => Resource)).toContain('arn:aws:s3:::BUCKET/packs/*');
  expect(JSON.stringify(Statement)).not.toContain('//');
});

test('each object of the layout may be put by exactly who makes it, and nobody deletes rosters, rewraps, evidence and results', () => {
  const run = '20260101T000000Z-0123456789abcdef';
  const hex = 'ab'.repeat(32);
  const makers: Readonly<Record<string, readonly StorageRole[]>> = {
    'repo.json': [],
    'keys/00000001.json': ['approver'],
    [`evidence/${hex}.json`]: ['approver'],
    [`runs/${run}/key.00000001.age`]: ['writer', 'approver'],
    [`packs/ab/${hex}`]: ['writer'],
    [`index/db-1/${run}.000000.age`]: ['writer'],
    [`contents/db-1/${run}.000000.age`]: ['writer'],
    'snapshots/db-1/00000001.json': ['writer'],
    'snapshots/db-10/00000001.json': [],
    'forgotten/db-1/00000001.json': ['pruner'],
    [`rewraps/00000001/${hex}.json`]: ['approver'],
    [`marks/20260101T000000Z-${hex}.json`]: ['pruner'],
    'verified/db-1/00000001/anna-20260101T000000Z.json': ['verifier'],
    'verified/db-1/00000001/berta-20260101T000000Z.json': [],
  };
  const fits = (key: string, patterns: readonly string[]) =>
    patterns.some((pattern) => new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '.*')}$`).test(key));
  for (const [key, expected] of Object.entries(makers)) {
    expect(parseRepositoryKey(key), key).toBeDefined();
    const placesOf = (role: StorageRole) => placesOfRole(role, { writer: 'db-1', verifier: 'anna' });
    expect(
      STORAGE_ROLES.filter((role) => fits(key, placesOf(role).puts)),
      key,
    ).toEqual(expected);
    const isKept = /^(repo|keys|evidence|forgotten|rewraps|verified)/.test(key);
    expect(
      STORAGE_ROLES.filter((role) => fits(key, placesOf(role).deletes)),
      key,
    ).toEqual(isKept ? [] : ['pruner']);
  }
});
