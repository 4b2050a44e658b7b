import { expect, test } from 'vitest';
import type { Fact } from '../../../../../src/formats/repository/database-record.ts';
import { createComparable } from '../../../../../src/usecases/restore/postgres/comparable.ts';
import { ownerIn, rolesIn } from '../../../../../src/usecases/restore/postgres/part-facts.ts';

const relation: Fact = {
  kind: 'relation',
  name: ['public', 't'],
  value: {
    owner: 'o',
    rights: ['=SELECT', 'a=b=SELECT*', 'pg_monitor=SELECT', 'o=MAINTAIN'],
    columns: [{ rights: ['c=UPDATE'] }],
  },
};

test.each<[Fact, string[]]>([
  [relation, ['o', 'a=b', 'o', 'c']],
  [{ kind: 'policy', name: ['public', 't', 'p'], value: { roles: ['public', 'r'] } }, ['r']],
  [{ kind: 'user-mapping', name: ['server', 'public'], value: {} }, []],
  [{ kind: 'user-mapping', name: ['server', 'u'], value: {} }, ['u']],
  [{ kind: 'default-rights', name: ['d', 'public', 'r'], value: { rights: ['e=SELECT'] } }, ['e', 'd']],
  [{ kind: 'large-objects', name: ['l', '["m=SELECT"]'], value: { count: 1 } }, ['l', 'm']],
])('roles that a fact names: %#', (fact, roles) => {
  expect([...rolesIn(fact)]).toEqual(roles);
});

test('who owns what a fact is about', () => {
  expect(ownerIn(relation)).toBe('o');
  expect(ownerIn({ kind: 'large-objects', name: ['l', ''], value: { count: 1 } })).toBe('l');
  expect(ownerIn({ kind: 'policy', name: ['public', 't', 'p'], value: {} })).toBeUndefined();
});

test('a right that the newer version gives an owner by itself is no difference, on the way over that version alone', () => {
  const over = createComparable({ source: 16, target: 17 }, 'new')(relation);
  expect(over.rights).toEqual(['=SELECT', 'a=b=SELECT*', 'pg_monitor=SELECT']);
  expect(createComparable({ source: 17, target: 18 }, 'new')(relation)).toEqual(relation.value);
});
