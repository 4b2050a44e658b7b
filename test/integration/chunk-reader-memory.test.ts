import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';

const MIB = 1024 * 1024;
const program = fileURLToPath(new URL('../support/chunk-reader-load.ts', import.meta.url));

/** The highest memory of a process that reads so many bytes back. */
async function peakBytes(sizeBytes: number): Promise<number> {
  const folder = await mkdtemp('/dev/shm/portolan-read-');
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const run = (...args: string[]) => promisify(execFile)(process.execPath, [program, ...args]);
  await run('write', folder, String(sizeBytes));
  const { stdout } = await run('read', folder);
  const { readBytes, peakBytes } = JSON.parse(stdout) as { readBytes: number; peakBytes: number };
  expect(readBytes).toBe(sizeBytes);
  expect((await stat(join(folder, 'target'))).size).toBe(sizeBytes);
  return peakBytes;
}

test('memory is the same at a four-fold size', async () => {
  const small = await peakBytes(128 * MIB);
  const large = await peakBytes(512 * MIB);
  expect(large - small).toBeLessThan(24 * MIB);
  expect(large).toBeLessThan(260 * MIB);
});
