import { expect, test } from 'vitest';
import {
  decodeRolesMemory,
  encodeRolesMemory,
  rolesMemoryAfter,
  rolesStaleSince,
} from '../../../../src/formats/identity/roles-memory.ts';

const issuer = 'https://id.ship.example';
const DAY_MS = 86_400_000;
const day = (number: number) => new Date(Date.UTC(2026, 0, number));
const time = (number: number) => day(number).toISOString();
const after = (before: Parameters<typeof rolesMemoryAfter>[0], number: number, answered: boolean) =>
  rolesMemoryAfter(before, { issuer, at: day(number), answered });

test('what is remembered of the identity provider is read as it was written', () => {
  for (const memory of [
    after(undefined, 1, true),
    after(undefined, 1, false),
    after(after(undefined, 1, true), 2, false),
  ]) {
    expect(decodeRolesMemory(encodeRolesMemory(memory))).toEqual(memory);
  }
});

test.each([
  'nothing',
  '{}',
  '{"version":2,"issuer":"https://id.ship.example"}',
  '{"answered":"yesterday","issuer":"https://id.ship.example","version":1}',
  '{"issuer":"https://id.ship.example","more":1,"version":1}',
])('what is no memory is none: %s', (text) => {
  expect(decodeRolesMemory(Buffer.from(text))).toBeUndefined();
});

test('silence begins with the first time that it did not answer, and ends with an answer', () => {
  const silent = after(after(after(undefined, 1, true), 2, false), 3, false);
  expect(silent).toEqual({ version: 1, issuer, answered: time(1), silentSince: time(2) });
  expect(after(silent, 4, true)).toEqual({ version: 1, issuer, answered: time(4) });
});

test('the last answer counts, and where there never was one the first silence', () => {
  const stale = (memory: ReturnType<typeof after>, number: number) => rolesStaleSince(memory, day(number), 7 * DAY_MS);
  const answered = after(after(undefined, 1, true), 3, false);
  expect(stale(answered, 8)).toBeUndefined();
  expect(stale(answered, 9)).toBe(time(1));
  const never = after(after(undefined, 3, false), 9, false);
  expect(stale(never, 10)).toBeUndefined();
  expect(stale(never, 11)).toBe(time(3));
});

test('an answer that a wrong clock dated years ahead is not fresh for years', () => {
  const ahead = after({ version: 1, issuer, answered: '2031-01-01T00:00:00.000Z' }, 1, false);
  expect(ahead).toEqual({ version: 1, issuer, answered: time(1), silentSince: time(1) });
  expect(rolesStaleSince(after(ahead, 9, false), day(9), 7 * DAY_MS)).toBe(time(1));
});
