import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const MIB = 1024 * 1024;
const program = fileURLToPath(new URL('../support/chunk-writer-load.ts', import.meta.url));

/** The highest memory of a process that writes so many bytes by two streams, each to a slow store. */
async function peakBytes(sizeBytes: number): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, String(sizeBytes)]);
  const { newBytes, peakBytes } = JSON.parse(stdout) as { newBytes: number; peakBytes: number };
  expect(newBytes).toBe(sizeBytes);
  return peakBytes;
}

test('memory is the same at a four-fold size', async () => {
  const small = await peakBytes(192 * MIB);
  const large = await peakBytes(768 * MIB);
  expect(large - small).toBeLessThan(24 * MIB);
  expect(large).toBeLessThan(300 * MIB);
});
