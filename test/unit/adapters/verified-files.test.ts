import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createVerifiedFiles } from '../../../src/adapters/verified-files/verified-files.ts';
import { digestOf } from '../../../src/core/digest.ts';

const HOUR_MS = 60 * 60 * 1000;
const blob = { path: '/layers/one', digest: digestOf('one'), sizeBytes: 3 };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portolan-verified-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const open = (nowMs: number) => createVerifiedFiles(join(folder, 'verified.jsonl'), { now: () => nowMs });

describe('verified files', () => {
  it('are believed for an hour, by another process too', async () => {
    await open(1000).add(blob, 'print');
    expect(await open(1000).has(blob, 'print')).toBe(true);
    expect(await open(1000 + HOUR_MS - 1).has(blob, 'print')).toBe(true);
    expect(await open(1000 + HOUR_MS).has(blob, 'print')).toBe(false);
  });

  it('are not believed when the clock was set back', async () => {
    await open(1000).add(blob, 'print');
    expect(await open(999).has(blob, 'print')).toBe(false);
  });

  it('are not believed with another fingerprint, digest or path', async () => {
    await open(1000).add(blob, 'print');
    expect(await open(1000).has(blob, 'other')).toBe(false);
    expect(await open(1000).has({ ...blob, digest: digestOf('two') }, 'print')).toBe(false);
    expect(await open(1000).has({ ...blob, path: '/layers/two' }, 'print')).toBe(false);
  });

  it('survive lines that a crash cut short', async () => {
    await writeFile(join(folder, 'verified.jsonl'), '{"path":"/layers/one","dig');
    await open(1000).add(blob, 'print');
    expect(await open(1000).has(blob, 'print')).toBe(true);
  });
});
