import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { createFolderStore } from '../../src/adapters/object-store/folder/folder-store.ts';

const LOOP = join(import.meta.dirname, 'store-put-loop.ts');

function startLoop(folder: string, count: number, sizeBytes: number) {
  const child = spawn(process.execPath, [LOOP, folder, String(count), String(sizeBytes)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(...text.trim().split('\n')));
  return { child, lines, ended: once(child, 'close') };
}

/** Several processes put the same keys: each is created by one of them, whole. */
export async function expectOneCreator(folder: string): Promise<void> {
  const loops = Array.from({ length: 3 }, () => startLoop(folder, 40, 100_000));
  for (const { ended } of loops) expect(await ended).toEqual([0, null]);
  const created = loops.flatMap(({ lines }) => lines).sort();
  expect(created).toEqual(Array.from({ length: 40 }, (_, index) => `created race/${index}`).sort());
  const store = createFolderStore(folder);
  for (let index = 0; index < 40; index += 1) {
    const bytes = await store.get(`race/${index}`, { maxBytes: 100_000 });
    const creator = loops.find(({ lines }) => lines.includes(`created race/${index}`));
    expect(bytes).toHaveLength(100_000);
    expect(bytes.every((value) => value === ((creator?.child.pid ?? 0) & 255))).toBe(true);
  }
  expect(await readdir(join(folder, '.tmp'))).toEqual([]);
}

/** A process is killed while it puts: no half object has a name, and the next one clears what was left. */
export async function expectWholeAfterKill(folder: string): Promise<void> {
  let leftovers = 0;
  for (let round = 0; round < 6; round += 1) {
    const { child, lines, ended } = startLoop(folder, 1000, 2_000_000);
    const before = (await readdir(folder).catch(() => [])).length === 0 ? 0 : await countOf(folder);
    // At work: at least two more than there were.
    while (lines.length < 2) await new Promise(setImmediate);
    child.kill('SIGKILL');
    await ended;
    leftovers += (await readdir(join(folder, '.tmp'))).length;
    expect(await countOf(folder)).toBeGreaterThan(before);
  }
  // Else nothing of what this proves has happened.
  expect(leftovers).toBeGreaterThan(0);
  const store = createFolderStore(folder);
  expect(await store.put('last', new Uint8Array(1))).toBe('created');
  expect(await readdir(join(folder, '.tmp'))).toEqual([]);
  for await (const { key, sizeBytes } of store.list('race/'))
    expect({ key, sizeBytes }).toEqual({ key, sizeBytes: 2_000_000 });
}

async function countOf(folder: string): Promise<number> {
  let count = 0;
  for await (const _ of createFolderStore(folder).list('')) count += 1;
  return count;
}
