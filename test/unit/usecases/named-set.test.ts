import { expect, test } from 'vitest';
import { digestOf } from '../../../src/core/digest.ts';
import { packKey } from '../../../src/formats/repository/keys.ts';
import type { SnapshotPack } from '../../../src/formats/repository/snapshot.ts';
import { createNamedSet } from '../../../src/usecases/repository/named-set.ts';
import { sampleSnapshot } from '../formats/repository/repository-fixture.ts';

const packOf = (number: number): SnapshotPack => ({
  number,
  digest: digestOf(String(number)),
  sizeBytes: 1000 + number,
  runIndex: 0,
});
const packs = Array.from({ length: 5000 }, (_, number) => packOf(number));

test('everything that snapshots name is there once, with its size', () => {
  const named = createNamedSet();
  expect(named.addSnapshot(sampleSnapshot({ packs: packs.slice(0, 3000) }))).toEqual([]);
  expect(named.addSnapshot(sampleSnapshot({ packs: packs.slice(2000) }))).toEqual([]);
  const objects = [...named.objects()].filter(({ kind }) => kind === 'pack');
  expect(objects).toEqual(
    packs.map(({ digest, sizeBytes }) => ({ kind: 'pack', key: packKey(digest), digest, sizeBytes })),
  );
  expect(packs.every(({ digest, sizeBytes }) => named.sizeOf(packKey(digest)) === sizeBytes)).toBe(true);
  const [contents] = sampleSnapshot().contents;
  expect(named.sizeOf(contents?.key ?? '')).toBe(contents?.sizeBytes);
});

test('nothing else is there, whatever it is called', () => {
  const named = createNamedSet();
  named.addSnapshot(sampleSnapshot({ packs: packs.slice(0, 100) }));
  const key = packKey(digestOf('0'));
  const hex = key.slice(-64);
  const others = ['', hex, `packs/${hex}`, `packs/zz/${hex}`, `index/${hex}`, key.toUpperCase(), `${key}0`];
  expect([packKey(digestOf('another')), ...others].filter((other) => named.has(other))).toEqual([]);
  expect(named.has(key)).toBe(true);
});

test('snapshots that disagree about a size or a digest are found', () => {
  const named = createNamedSet();
  named.addSnapshot(sampleSnapshot({ packs: packs.slice(0, 10) }));
  const [first] = sampleSnapshot().contents;
  const other = { key: first?.key ?? '', digest: digestOf('other'), sizeBytes: first?.sizeBytes ?? 0 };
  const second = sampleSnapshot({ packs: [{ ...packOf(3), sizeBytes: 1 }, packOf(4)], contents: [other] });
  expect(named.addSnapshot(second)).toEqual([packKey(packOf(3).digest), other.key]);
});

test('what was not ticked off is left', () => {
  const named = createNamedSet();
  named.addSnapshot(sampleSnapshot({ packs: packs.slice(0, 3) }));
  const checklist = named.checklist();
  const left = [...named.objects()].map(({ key }) => key).filter((key) => key !== packKey(packOf(1).digest));
  checklist.tick(packKey(packOf(1).digest));
  checklist.tick('packs/of/somebody');
  expect([...checklist.left()].sort()).toEqual(left.sort());
});
