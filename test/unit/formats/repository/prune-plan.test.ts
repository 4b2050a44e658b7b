import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import { contentsKey, indexKey, packKey, runKeyKey } from '../../../../src/formats/repository/keys.ts';
import {
  type ListedObject,
  namedObjects,
  type PruneInput,
  planPrune,
} from '../../../../src/formats/repository/prune-plan.ts';
import { OTHER_RUN, RUN, sampleSnapshot, WRITER } from './repository-fixture.ts';

const HOUR = 3600 * 1000;
const NOW = new Date('2026-06-15T12:00:00.000Z');
const hoursAgo = (hours: number) => new Date(NOW.getTime() - hours * HOUR);
const pack = (name: string) => packKey(digestOf(name));
const listed = (key: string, hours: number): ListedObject => ({ key, sizeBytes: 10, modified: hoursAgo(hours) });
const marking = (hours: number, ...objects: string[]) => ({
  key: `marks/${hours}`,
  modified: hoursAgo(hours),
  objects,
});

const input: PruneInput = {
  ...namedObjects([sampleSnapshot()]),
  unreadableSnapshots: [],
  listing: [],
  marks: [],
  now: NOW,
  longestRunMs: 10 * HOUR,
};
const plan = (changes: Partial<PruneInput>) => {
  const made = planPrune({ ...input, ...changes });
  const keys = (objects: readonly ListedObject[]) => objects.map(({ key }) => key);
  return { ...made, mark: keys(made.mark), delete: keys(made.delete) };
};

describe('pruning', () => {
  test('keeps what a snapshot names, whatever its age and its marks', () => {
    const snapshot = sampleSnapshot();
    const keys = [
      ...snapshot.packs.map(({ digest }) => packKey(digest)),
      ...snapshot.contents.map(({ key }) => key),
      runKeyKey(RUN, 1),
      runKeyKey(RUN, 2),
    ];
    const made = plan({ listing: keys.map((key) => listed(key, 1000)), marks: [marking(900, ...keys)] });
    expect(made).toMatchObject({
      mark: [],
      delete: [],
      // It was made of a listing that left a snapshot out, and nothing would be built upon while it stays.
      spentMarks: ['marks/900'],
      kept: { named: { objects: keys.length, sizeBytes: 10 * keys.length } },
    });
  });

  test('marks, waits twice the longest run, deletes', () => {
    const key = pack('dead');
    const at = (age: number, marked?: number) =>
      plan({ listing: [listed(key, age)], marks: marked === undefined ? [] : [marking(marked, key)] });
    expect(at(9.9)).toMatchObject({ mark: [], delete: [], kept: { young: { objects: 1 } } });
    expect(at(10)).toMatchObject({ mark: [key], delete: [] });
    expect(at(100, 19.9)).toMatchObject({ mark: [], delete: [], kept: { waiting: { objects: 1 } } });
    expect(at(100, 20)).toMatchObject({ mark: [], delete: [key] });
  });

  test('treats indexes, contents and run keys as packs', () => {
    const keys = [indexKey(WRITER, OTHER_RUN, 0), contentsKey(WRITER, OTHER_RUN, 0), runKeyKey(OTHER_RUN, 1)];
    expect(plan({ listing: keys.map((key) => listed(key, 100)) }).mark).toEqual(keys);
    expect(plan({ listing: keys.map((key) => listed(key, 100)), marks: [marking(50, ...keys)] }).delete).toEqual(keys);
  });

  test('does not take an old mark for one of an object that came later', () => {
    const key = pack('again');
    expect(plan({ listing: [listed(key, 30)], marks: [marking(50, key)] })).toMatchObject({ mark: [key], delete: [] });
    expect(plan({ listing: [listed(key, 30)], marks: [marking(50, key), marking(5, key)] })).toMatchObject({
      mark: [],
      delete: [],
    });
    expect(plan({ listing: [listed(key, 30)], marks: [marking(50, key), marking(21, key)] }).delete).toEqual([key]);
  });

  test('stops before it marks or deletes anything when a snapshot cannot be read', () => {
    const keys = [pack('a'), pack('b')];
    const made = plan({
      listing: keys.map((key) => listed(key, 100)),
      marks: [marking(50, pack('a'))],
      unreadableSnapshots: ['snapshots/x'],
    });
    expect(made).toMatchObject({
      mark: [],
      delete: [],
      spentMarks: [],
      kept: { 'unreadable-snapshots': { objects: 2 } },
    });
  });

  test('never touches what it does not know, or what is not garbage of a run', () => {
    const made = plan({
      listing: [
        'packs/notes.txt',
        'lost+found/x',
        'repo.json',
        'keys/00000001.json',
        'snapshots/db-1/00000001.json',
      ].map((key) => listed(key, 1000)),
    });
    expect(made).toMatchObject({ mark: [], delete: [], strangers: ['packs/notes.txt', 'lost+found/x'] });
  });

  test('drops a mark when none of its objects is left, and not before', () => {
    const [a, b] = [pack('a'), pack('b')];
    const marks = [marking(50, a, b)];
    expect(plan({ marks }).spentMarks).toEqual(['marks/50']);
    expect(plan({ marks, listing: [listed(b, 100)] })).toMatchObject({ delete: [b], spentMarks: [] });
  });

  test('over and over, whatever runs commit in between, never deletes what is named', () => {
    const names = ['a', 'b', 'c', 'd'];
    const step = fc.record({
      hours: fc.integer({ min: 1, max: 15 }),
      write: fc.subarray(names),
      name: fc.subarray(names),
      forget: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        let hour = 0;
        const at = (when: number) => new Date(when * HOUR);
        const objects = new Map<string, number>();
        let named = new Set<string>();
        const marks: { key: string; modified: Date; objects: readonly string[] }[] = [];
        for (const { hours, write, name, forget } of steps) {
          hour += hours;
          for (const one of write) if (!objects.has(pack(one))) objects.set(pack(one), hour);
          if (forget) named = new Set();
          // A run commits what is there and, as it read the marks again, not marked.
          const marked = new Set(marks.flatMap((mark) => mark.objects));
          for (const one of name) if (objects.has(pack(one)) && !marked.has(pack(one))) named.add(pack(one));
          const made = planPrune({
            ...input,
            named,
            listing: [...objects].map(([key, since]) => ({ key, sizeBytes: 1, modified: at(since) })),
            marks,
            now: at(hour),
          });
          for (const { key } of made.delete) {
            expect(named.has(key)).toBe(false);
            const since = marks
              .filter((mark) => mark.objects.includes(key))
              .map(({ modified }) => hour - modified.getTime() / HOUR);
            expect(Math.max(...since)).toBeGreaterThanOrEqual(20);
            objects.delete(key);
          }
          if (made.mark.length > 0)
            marks.push({ key: `marks/${hour}`, modified: at(hour), objects: made.mark.map(({ key }) => key) });
        }
      }),
    );
  });
});
