import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createSealingEngine } from '../../../../src/adapters/sealing/engine.ts';
import { digestOf } from '../../../../src/core/digest.ts';
import { identity, openToFile, recipients, temporaryFolder, testEngine, wholeFile } from './fixtures.ts';

const folder = temporaryFolder();
const MIB = 1024 * 1024;

/** A file of zeros that takes a worker far longer than an abort; sparse, so it costs no space. */
const endless = join(folder, 'endless');
writeFileSync(endless, '');
truncateSync(endless, 2 ** 40);

describe('abort', () => {
  test('a running digest ends with the reason of the signal', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const onBytes = () => controller.abort(reason);
    const running = testEngine().digest({ path: endless, sizeBytes: 2 ** 40 }, { signal: controller.signal, onBytes });
    await expect(running).rejects.toBe(reason);
  });

  test('a running seal ends and its half-written file is gone', async () => {
    const controller = new AbortController();
    const outPath = join(folder, 'half');
    const segments = [{ path: endless, offsetBytes: 0, lengthBytes: 2 ** 40 }];
    let existed = false;
    const running = testEngine().seal({ segments, plaintextBytes: 2 ** 40, outPath }, recipients, {
      signal: controller.signal,
      onBytes: () => {
        existed = existsSync(outPath);
        controller.abort();
      },
    });
    await expect(running).rejects.toMatchObject({ name: 'AbortError' });
    expect(existed).toBe(true);
    expect(existsSync(outPath)).toBe(false);
  });

  test('a running open ends', async () => {
    const engine = testEngine();
    const size = 64 * MIB;
    const outPath = join(folder, 'to-open');
    const segments = [{ path: endless, offsetBytes: 0, lengthBytes: size }];
    const expected = await engine.seal({ segments, plaintextBytes: size, outPath }, recipients);
    const controller = new AbortController();
    const job = openToFile(outPath, expected, size, join(folder, 'opened'));
    const options = { signal: controller.signal, onBytes: () => controller.abort() };
    await expect(engine.open(job, [identity], options)).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('a running digest of sealed runs ends', async () => {
    const engine = testEngine();
    const plaintextBytes = 8 * MIB;
    const path = join(folder, 'for-runs');
    const segments = [{ path: endless, offsetBytes: 0, lengthBytes: plaintextBytes }];
    const expected = await engine.seal({ segments, plaintextBytes, outPath: path }, recipients);
    const run = { path, expected, plaintextBytes, offsetBytes: 0, lengthBytes: plaintextBytes };
    const controller = new AbortController();
    const options = { signal: controller.signal, onBytes: () => controller.abort() };
    const runs = Array.from({ length: 300 }, () => run);
    await expect(engine.digestSealed(runs, [identity], options)).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('an aborted job takes no other with it, and the worker goes on', async () => {
    const engine = testEngine({ workers: 1 });
    const controller = new AbortController();
    const { path } = wholeFile(join(folder, 'small'), Buffer.from('small'));
    const first = engine.digest(
      { path: endless, sizeBytes: 2 ** 40 },
      { signal: controller.signal, onBytes: () => controller.abort() },
    );
    const waiting = engine.digest({ path, sizeBytes: 5 }, { signal: controller.signal });
    const other = engine.digest({ path, sizeBytes: 5 });
    const aborted = { status: 'rejected', reason: { name: 'AbortError' } };
    const results = await Promise.allSettled([first, waiting, other]);
    expect(results).toMatchObject([aborted, aborted, { status: 'fulfilled', value: digestOf('small') }]);
    await expect(engine.digest({ path, sizeBytes: 5 }, { signal: controller.signal })).rejects.toMatchObject({
      name: 'AbortError',
    });
  });
});

describe('a worker that dies', () => {
  test('its half-written file goes, a file that was not its own stays', async () => {
    const engine = testEngine({ workers: 1, workerUrl: new URL('./dying.worker.ts', import.meta.url) });
    const outPath = join(folder, 'dying');
    const died = { name: 'AdapterError', code: 'WORKER_DIED' };
    await expect(engine.seal({ segments: [], plaintextBytes: 1, outPath }, recipients)).rejects.toMatchObject(died);
    expect(existsSync(outPath)).toBe(false);
    await expect(engine.seal({ segments: [], plaintextBytes: 0, outPath }, recipients)).rejects.toMatchObject(died);
    expect(existsSync(outPath)).toBe(true);
  });
});

describe('close', () => {
  test('running and waiting jobs end, nothing half-written stays, and later jobs are refused', async () => {
    const engine = createSealingEngine({ workers: 1 });
    const outPath = join(folder, 'closed');
    const segments = [{ path: endless, offsetBytes: 0, lengthBytes: 2 ** 40 }];
    const { promise: started, resolve: start } = Promise.withResolvers<void>();
    const job = { segments, plaintextBytes: 2 ** 40, outPath };
    const running = engine.seal(job, recipients, { onBytes: () => start() });
    const waiting = engine.digest({ path: endless, sizeBytes: 2 ** 40 });
    const ends = Promise.allSettled([running, waiting]);
    await started;
    await Promise.all([engine.close(), engine.close()]);
    const closed = { status: 'rejected', reason: { name: 'AdapterError', code: 'ENGINE_CLOSED' } };
    expect(await ends).toMatchObject([closed, closed]);
    expect(existsSync(outPath)).toBe(false);
    await expect(engine.digest({ path: endless, sizeBytes: 1 })).rejects.toMatchObject({ code: 'ENGINE_CLOSED' });
  });
});

describe('many jobs', () => {
  test('more jobs than workers all come back, good and bad ones apart', async () => {
    const engine = testEngine();
    const results = await Promise.allSettled(
      Array.from({ length: 40 }, async (_, index) => {
        const bytes = randomBytes(index * 1000);
        const segment = wholeFile(join(folder, `many-${index}`), bytes);
        const bad = index % 5 === 0 ? { ...segment, wholeBlob: digestOf('something else') } : segment;
        const outPath = join(folder, `many-out-${index}`);
        return engine.seal({ segments: [bad], plaintextBytes: 40_000, outPath }, recipients);
      }),
    );
    for (const [index, result] of results.entries()) {
      if (index % 5 === 0)
        expect(result).toMatchObject({ status: 'rejected', reason: { code: 'BLOB_DIGEST_MISMATCH' } });
      else expect(result).toMatchObject({ status: 'fulfilled' });
    }
    expect(readdirSync(folder).filter((name) => name.startsWith('many-out-')).length).toBe(32);
  });
});
