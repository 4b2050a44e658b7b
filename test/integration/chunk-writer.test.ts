import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { chunksOf } from '../../src/formats/repository/chunk-table.ts';
import { collectPacks, inParts } from '../support/pack-collector.ts';
import { temporaryFolder } from '../support/temporary.ts';

const MIB = 1024 * 1024;

/** `age -d` of a pack, and `zstd -d` of that: the SHA-256 of what comes out. */
async function openWithStockTools(folder: string, identity: string, pack: Uint8Array): Promise<string> {
  await Promise.all([
    writeFile(join(folder, 'identity'), `${identity}\n`, { mode: 0o600 }),
    writeFile(join(folder, 'pack'), pack),
  ]);
  const run = promisify(execFile);
  await run('age', ['-d', '-i', join(folder, 'identity'), '-o', join(folder, 'frames'), join(folder, 'pack')]);
  const zstd = spawn('zstd', ['-d', '-q', '-c', join(folder, 'frames')], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve, reject) => zstd.once('error', reject).once('close', resolve));
  const hash = createHash('sha256');
  for await (const bytes of zstd.stdout) hash.update(bytes);
  if ((await ended) !== 0) throw new Error('zstd failed');
  return hash.digest('hex');
}

test('a pack opens with stock age and zstd', async () => {
  const folder = await temporaryFolder();
  const { writer, packs, sealed, identity, read } = await collectPacks();
  // Text compresses, noise does not.
  const words = Array.from({ length: 200_000 }, (_, index) => `row ${index}\tvalue ${index % 97}\n`).join('');
  const input = Buffer.concat([Buffer.from(words), randomBytes(20 * MIB)]);
  await writer.stream(inParts(input, 300_000));
  await writer.finish();
  expect(packs.length).toBe(2);
  for (const { digest, chunks } of packs) {
    const byUs = createHash('sha256')
      .update(await read(chunks))
      .digest('hex');
    expect(await openWithStockTools(folder, identity.identity, sealed(digest))).toBe(byUs);
    expect([...chunksOf(chunks)].length).toBeGreaterThan(0);
  }
});
