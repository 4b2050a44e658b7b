import { randomBytes } from 'node:crypto';
import { appendFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CHUNK_MIN_BYTES, chunkCount, chunksOf } from '../../../../src/formats/repository/chunk-table.ts';
import type { ChunkTable } from '../../../../src/ports/chunks.ts';
import { collectPacks, inParts } from '../../../support/pack-collector.ts';
import { raised } from '../../../support/raised.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const MIB = 1024 * 1024;
const PART_BYTES = 65_536;
const hex = (table: ChunkTable) => Buffer.from(table).toString('hex');

/** Never ends, and brings no two equal parts. */
async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) {
    yield randomBytes(MIB);
    await sleep(0);
  }
}

describe('streams', () => {
  test('come back byte for byte, in any parts and beside each other', async () => {
    const { writer, read } = await collectPacks();
    const inputs = [0, 1, 100_000, 3 * MIB, 9 * MIB].map((lengthBytes) => randomBytes(lengthBytes));
    const records = await Promise.all(
      inputs.map((input, index) => writer.stream(inParts(input, 1000 + index * 77_777))),
    );
    const totals = await writer.finish();
    for (const [index, record] of records.entries()) {
      expect(record.sizeBytes).toBe(inputs[index]?.length);
      expect((await read(record.chunks)).equals(inputs[index] as Buffer)).toBe(true);
    }
    expect(totals.newBytes).toBe(inputs.reduce((sum, { length }) => sum + length, 0));
    expect(totals.reusedBytes).toBe(0);
  });

  test('of small parts give the same record, and the file of the same bytes too', async () => {
    const folder = await temporaryFolder();
    const { writer } = await collectPacks();
    const input = randomBytes(2 * MIB);
    await writeFile(join(folder, 'file'), input);
    const whole = await writer.file(join(folder, 'file'));
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 900, max: 3 * MIB }), async (partBytes) => {
        const record = await writer.stream(inParts(input, partBytes));
        expect(hex(record.chunks)).toBe(hex(whole.chunks));
      }),
      { numRuns: 8 },
    );
  });

  test('fail with what their source fails with, and the writer goes on', async () => {
    const { writer, read } = await collectPacks();
    const cause = new Error('the program behind it ended');
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield randomBytes(300_000);
      throw cause;
    }
    await expect(writer.stream(failing())).rejects.toBe(cause);
    const input = randomBytes(400_000);
    const record = await writer.stream(inParts(input, PART_BYTES));
    await writer.finish();
    expect((await read(record.chunks)).equals(input)).toBe(true);
  });

  test('end at an abort, running or waiting', async () => {
    const { writer } = await collectPacks({ workers: 1 });
    const running = new AbortController();
    const waiting = new AbortController();
    const first = writer.stream(endless(), { signal: running.signal });
    const second = writer.stream(endless(), { signal: waiting.signal });
    const third = writer.stream(inParts(Buffer.from('third'), 2));
    waiting.abort(new Error('not wanted'));
    await expect(second).rejects.toThrow(waiting.signal.reason);
    running.abort(new Error('enough'));
    await expect(first).rejects.toThrow(running.signal.reason);
    expect((await third).sizeBytes).toBe(5);
    await expect(writer.stream(endless(), { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow();
  });
});

describe('equal content', () => {
  test('is stored once, whoever brings it', async () => {
    const { writer, packs } = await collectPacks();
    const input = randomBytes(6 * MIB);
    // Both workers meet the same chunks at the same time.
    const records = await Promise.all([1, 2, 3, 4].map(() => writer.stream(inParts(input, PART_BYTES))));
    const totals = await writer.finish();
    expect(new Set(records.map(({ chunks }) => hex(chunks))).size).toBe(1);
    expect(totals.newBytes).toBe(input.length);
    expect(totals.reusedBytes).toBe(3 * input.length);
    const ids = packs.flatMap(({ chunks }) => [...chunksOf(chunks)].map(({ id }) => hex(id)));
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('is reused from packs of before, under their numbers', async () => {
    const input = randomBytes(3 * MIB);
    const before = await collectPacks({ firstPack: 40 });
    await before.writer.stream(inParts(input, PART_BYTES));
    await before.writer.finish();
    const known = before.packs.map(({ chunks }) => chunks);
    const after = await collectPacks({ known, knownCount: 100, firstPack: 50 });
    const added = randomBytes(500_000);
    const record = await after.writer.stream(inParts(Buffer.concat([input, added]), PART_BYTES));
    const totals = await after.writer.finish();
    const numbers = [...chunksOf(record.chunks)].map(({ pack }) => pack);
    expect(numbers[0]).toBe(40);
    expect(numbers.at(-1)).toBe(50);
    expect(totals.reusedBytes + totals.newBytes).toBe(input.length + added.length);
    expect(totals.newBytes).toBeLessThan(added.length + 4 * MIB);
    expect(totals.packs).toBe(1);
  });

  test('has other ids and other cuts under another id key', async () => {
    const input = randomBytes(8 * MIB);
    const sizes = async (idKey: Uint8Array) => {
      const { writer } = await collectPacks({ idKey });
      return [...chunksOf((await writer.stream(inParts(input, PART_BYTES))).chunks)];
    };
    const [one, two] = await Promise.all([sizes(new Uint8Array(32).fill(1)), sizes(new Uint8Array(32).fill(2))]);
    expect(one.map(({ sizeBytes }) => sizeBytes)).not.toEqual(two.map(({ sizeBytes }) => sizeBytes));
    expect(one.some(({ id }) => two.some((other) => hex(other.id) === hex(id)))).toBe(false);
  });

  test('that is nothing is no chunk and no pack', async () => {
    const { writer, packs } = await collectPacks();
    const record = await writer.stream(inParts(new Uint8Array(0), 1));
    expect(record).toEqual({ sizeBytes: 0, chunks: new Uint8Array(0) });
    expect(await writer.finish()).toEqual({ packs: 0, storedBytes: 0, newBytes: 0, reusedBytes: 0 });
    expect(packs).toEqual([]);
  });
});

describe('packs', () => {
  test('are numbered, kept below their size, and as many as were told', async () => {
    const { writer, packs, read, sealed } = await collectPacks({ firstPack: 7 });
    const inputs = [randomBytes(30 * MIB), randomBytes(25 * MIB)];
    const records = await Promise.all(inputs.map((input) => writer.stream(inParts(input, 500_000))));
    const totals = await writer.finish();
    expect(packs.map(({ number }) => number).sort((a, b) => a - b)).toEqual(packs.map((_, index) => 7 + index));
    expect(totals.packs).toBe(packs.length);
    expect(totals.storedBytes).toBe(packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
    for (const { digest, sizeBytes } of packs) {
      expect(sealed(digest).length).toBe(sizeBytes);
      expect(sizeBytes).toBeLessThan(16 * MIB + 16_384);
    }
    for (const [index, { chunks }] of records.entries()) {
      expect((await read(chunks)).equals(inputs[index] as Buffer)).toBe(true);
    }
  });

  test('end before their table is too long, however well chunks compress', async () => {
    const { writer, packs, read } = await collectPacks();
    // Each part is a chunk of its own: the end of a stream ends a chunk.
    const records = [];
    for (let round = 0; round < 9; round += 1) {
      const inputs = Array.from({ length: 1000 }, (_, index) => Buffer.from(`${round} ${index}`));
      records.push(...(await Promise.all(inputs.map((input) => writer.stream(inParts(input, 100))))));
    }
    await writer.finish();
    expect(packs.map(({ chunks }) => chunkCount(chunks))).toEqual([8192, 808]);
    expect((await read(records.at(-1)?.chunks as ChunkTable)).toString()).toBe('8 999');
  });

  test('wait for a store that is slow: there are never more than three', async () => {
    let stored = 0;
    let most = 0;
    const { writer, read } = await collectPacks({
      async store() {
        stored += 1;
        most = Math.max(most, stored);
        await sleep(100);
        stored -= 1;
      },
    });
    const input = randomBytes(80 * MIB);
    const record = await writer.stream(inParts(input, MIB));
    await writer.finish();
    expect(most).toBeLessThanOrEqual(3);
    expect((await read(record.chunks)).equals(input)).toBe(true);
  });

  test('that cannot be stored break the writer, whatever waits', async () => {
    const cause = new Error('the store is full');
    let calls = 0;
    const { writer } = await collectPacks({
      async store() {
        calls += 1;
        if (calls === 2) throw cause;
      },
    });
    const work = [writer.stream(endless()), writer.stream(endless()), writer.stream(endless())];
    for (const one of await Promise.allSettled(work)) expect(one).toEqual({ status: 'rejected', reason: cause });
    await expect(writer.finish()).rejects.toBe(cause);
    await expect(writer.stream(inParts(Buffer.from('more'), 1))).rejects.toBe(cause);
  });

  test('that nobody can take note of break it as well', async () => {
    const cause = new Error('the index cannot be written');
    const { writer } = await collectPacks({
      onPack() {
        throw cause;
      },
    });
    await writer.stream(inParts(randomBytes(100), 10));
    await expect(writer.finish()).rejects.toBe(cause);
  });
});

describe('files', () => {
  test('are read whole, or in the parts that are named', async () => {
    const path = join(await temporaryFolder(), 'sparse');
    const content = randomBytes(5 * MIB);
    await writeFile(path, content);
    const { writer, read } = await collectPacks();
    const extents = [
      { offsetBytes: 10, lengthBytes: 100_000 },
      { offsetBytes: 2 * MIB, lengthBytes: 3 * MIB },
    ];
    const [whole, parts, none] = await Promise.all([
      writer.file(path),
      writer.file(path, { extents }),
      writer.file(path, { extents: [] }),
    ]);
    await writer.finish();
    expect((await read(whole.chunks)).equals(content)).toBe(true);
    const wanted = Buffer.concat([content.subarray(10, 100_010), content.subarray(2 * MIB)]);
    expect((await read(parts.chunks)).equals(wanted)).toBe(true);
    expect(none.sizeBytes).toBe(0);
  });

  test('that are not there, are no files, or are too short fail alone', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'folder'));
    await writeFile(join(folder, 'short'), 'short');
    const { writer } = await collectPacks();
    const extents = [{ offsetBytes: 0, lengthBytes: 6 }];
    expect(await raised(() => writer.file(join(folder, 'nothing')))).toMatchObject({ code: 'FILE_MISSING' });
    expect(await raised(() => writer.file(join(folder, 'folder')))).toMatchObject({ code: 'FILE_UNREADABLE' });
    expect(await raised(() => writer.file(join(folder, 'short'), { extents }))).toMatchObject({
      code: 'SOURCE_CHANGED',
    });
    expect((await writer.file(join(folder, 'short'))).sizeBytes).toBe(5);
  });

  test('that grow while they are read are told', async () => {
    const path = join(await temporaryFolder(), 'log');
    await writeFile(path, randomBytes(60 * MIB));
    let isGrown: Promise<void> | undefined;
    const { writer } = await collectPacks({
      async store() {
        isGrown ??= appendFile(path, 'one more line');
        await isGrown;
      },
    });
    expect(await raised(() => writer.file(path))).toMatchObject({ code: 'SOURCE_CHANGED' });
  });
});

describe('small files', () => {
  test('are one chunk each, the same as alone, and the rest has a record without one', async () => {
    const folder = await temporaryFolder();
    const { writer, read } = await collectPacks();
    const put = async (name: string, bytes: Uint8Array) => {
      await writeFile(join(folder, name), bytes);
      return Buffer.from(join(folder, name));
    };
    const contents = [randomBytes(1), randomBytes(3000), randomBytes(130_000), randomBytes(CHUNK_MIN_BYTES)];
    const taken = await Promise.all(contents.map((bytes, index) => put(`taken ${index}`, bytes)));
    await mkdir(join(folder, 'folder'));
    await symlink(join(folder, 'taken 0'), join(folder, 'link'));
    const left = [
      await put('empty', Buffer.alloc(0)),
      await put('large', randomBytes(CHUNK_MIN_BYTES + 1)),
      ...['nothing', 'folder', 'link'].map((name) => Buffer.from(join(folder, name))),
    ];
    const mixed = [left[0], taken[0], left[1], taken[1], left[2], taken[2], left[3], taken[3], left[4]] as Buffer[];

    const records = [...chunksOf(await writer.smallFiles(mixed))];
    const alone = await Promise.all(taken.map((path) => writer.file(path)));
    await writer.finish();
    expect(records.map(({ sizeBytes }) => sizeBytes)).toEqual([0, 1, 0, 3000, 0, 130_000, 0, CHUNK_MIN_BYTES, 0]);
    const told = records.filter(({ sizeBytes }) => sizeBytes > 0);
    expect(told).toEqual(alone.flatMap(({ chunks }) => [...chunksOf(chunks)]));
    for (const [index, { chunks }] of alone.entries()) expect(await read(chunks)).toEqual(contents[index]);
    expect(await writer.smallFiles([])).toHaveLength(0);
  });

  test('that are not wanted any more end the batch with the reason', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'file'), randomBytes(200_000));
    const { writer } = await collectPacks({ store: () => new Promise(() => {}) });
    const stop = new AbortController();
    const paths = Array.from({ length: 1000 }, () => Buffer.from(join(folder, 'file')));
    const work = writer.smallFiles(paths, { signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(work).rejects.toThrow('enough');
  });
});

describe('the end', () => {
  test('of a run that is aborted ends everything with its reason', async () => {
    const run = new AbortController();
    const { writer } = await collectPacks({ signal: run.signal });
    const work = [writer.stream(endless()), writer.stream(endless()), writer.stream(endless())];
    const reason = new Error('interrupted');
    setTimeout(() => run.abort(reason), 100);
    for (const one of await Promise.allSettled(work)) expect(one).toEqual({ status: 'rejected', reason });
    await expect(writer.finish()).rejects.toBe(reason);
  });

  test('of a writer that is closed ends everything, also a store that waits', async () => {
    const { writer } = await collectPacks({
      store: (_, __, signal) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    });
    const work = [writer.stream(endless()), writer.stream(endless())].map((one) => raised(() => one));
    await sleep(200);
    await Promise.all([writer.close(), writer.close()]);
    for (const error of await Promise.all(work)) expect(error.code).toBe('ENGINE_CLOSED');
    expect(await raised(() => writer.finish())).toMatchObject({ code: 'ENGINE_CLOSED' });
  });

  test('of a worker is the end of the writer', async () => {
    const { writer } = await collectPacks({}, { workerUrl: new URL('./dying.worker.ts', import.meta.url) });
    expect(await raised(() => writer.stream(inParts(randomBytes(1000), 10)))).toMatchObject({ code: 'WORKER_DIED' });
    expect(await raised(() => writer.finish())).toMatchObject({ code: 'WORKER_DIED' });
  });

  test('may come more than once: what follows a finish is finished by the next', async () => {
    const { writer, read } = await collectPacks();
    const one = await writer.stream(inParts(randomBytes(1000), 999));
    expect((await writer.finish()).packs).toBe(1);
    expect((await writer.finish()).packs).toBe(1);
    const two = await writer.stream(inParts(randomBytes(1000), 999));
    expect((await writer.finish()).packs).toBe(2);
    expect((await read(one.chunks)).equals(await read(two.chunks))).toBe(false);
  });

  test('lets work wait that is asked for meanwhile', async () => {
    let after: Promise<unknown> | undefined;
    const { writer } = await collectPacks({
      async store() {
        after ??= writer.stream(inParts(randomBytes(3000), 1000));
        await sleep(100);
      },
    });
    await writer.stream(inParts(randomBytes(2000), 1000));
    expect(await writer.finish()).toMatchObject({ packs: 1, newBytes: 2000 });
    await after;
    expect(await writer.finish()).toMatchObject({ packs: 2, newBytes: 5000 });
  });

  test('tells of every byte', async () => {
    let told = 0;
    const { writer } = await collectPacks({
      onBytes: (bytes) => {
        told += bytes;
      },
    });
    await Promise.all([10 * MIB, 33, 3 * MIB].map((length) => writer.stream(inParts(new Uint8Array(length), 70_000))));
    expect(told).toBe(13 * MIB + 33);
  });
});

test('chunks that are told as known are checked', async () => {
  const error = await raised(() => collectPacks({ known: [new Uint8Array(47)], knownCount: 1 }));
  expect(error).toMatchObject({ name: 'FormatError', code: 'CHUNK_TABLE_INVALID' });
});
