import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createBlobStore } from '../../../../src/adapters/blob-store/blob-store.ts';
import { AdapterError } from '../../../../src/adapters/errors.ts';
import { digestOf, hexOf } from '../../../../src/core/digest.ts';
import { pseudoRandom } from '../../../support/image-content.ts';
import { expectCode } from '../../../support/image-source-suite.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const RESUME = { attempts: 3, baseDelayMs: 1, maxDelayMs: 2 };
const PUT_PROCESS = fileURLToPath(new URL('./put-process.ts', import.meta.url));
const SIZE = 2_500_000;
const BYTES = pseudoRandom('blob', SIZE);
const EXPECTED = { digest: digestOf(BYTES), sizeBytes: SIZE };

async function newStore() {
  const folder = await temporaryFolder();
  const blobs = join(folder, 'blobs', 'sha256');
  return {
    folder,
    blobs,
    store: createBlobStore(folder, { resume: RESUME }),
    names: async () => (await readdir(blobs)).sort(),
    path: join(blobs, hexOf(EXPECTED.digest)),
  };
}

async function* chunks(bytes: Uint8Array, size = 60_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Yields up to `end` and breaks. */
async function* broken(from: number, end: number): AsyncGenerator<Uint8Array> {
  yield* chunks(BYTES.subarray(from, end));
  throw new Error('connection lost');
}

describe('blob store', () => {
  it('holds small blobs and streams under their digest', async () => {
    const { store, names, path } = await newStore();
    const small = await store.putBytes(Buffer.from('small'));
    const large = await store.putStream(EXPECTED, async () => chunks(BYTES));
    expect(large).toEqual({ ...EXPECTED, path });
    expect(digestOf(await readFile(path))).toBe(EXPECTED.digest);
    expect(await names()).toEqual([hexOf(small.digest), hexOf(EXPECTED.digest)].sort());
    expect(await store.find(small.digest, 5)).toEqual(small);
    expect(await store.find(small.digest, 6)).toBeUndefined();
    expect(await store.find(digestOf('absent'))).toBeUndefined();
  });

  it('finds nothing in a folder that does not exist, and does not make it', async () => {
    const { store, folder } = await newStore();
    expect(await store.find(EXPECTED.digest)).toBeUndefined();
    expect(await readdir(folder)).toEqual([]);
  });

  it('holds an empty blob', async () => {
    const { store } = await newStore();
    const empty = { digest: digestOf(''), sizeBytes: 0 };
    expect((await stat((await store.putStream(empty, async () => chunks(Buffer.alloc(0)))).path)).size).toBe(0);
  });

  it('does not open a stream for what it holds', async () => {
    const { store } = await newStore();
    await store.putStream(EXPECTED, async () => chunks(BYTES));
    const never = async () => {
      throw new Error('opened');
    };
    expect(await store.putStream(EXPECTED, never)).toMatchObject(EXPECTED);
  });

  it('opens the stream again where it broke off, and where it ended early', async () => {
    const { store, path, names } = await newStore();
    const offsets: number[] = [];
    let counted = 0;
    const onBytes = (bytes: number): void => {
      counted += bytes;
    };
    await store.putStream(
      EXPECTED,
      async (from) => {
        offsets.push(from);
        if (offsets.length === 1) return broken(0, 1_000_000);
        return chunks(BYTES.subarray(from, offsets.length === 2 ? 2_000_000 : SIZE));
      },
      { onBytes },
    );
    expect(offsets).toEqual([0, 1_000_000, 2_000_000]);
    expect(counted).toBe(SIZE);
    expect(digestOf(await readFile(path))).toBe(EXPECTED.digest);
    expect(await names()).toEqual([hexOf(EXPECTED.digest)]);
  });

  it('gives up after some attempts without progress, with the last failure, and keeps what it has', async () => {
    const { store, names } = await newStore();
    let opened = 0;
    const put = store.putStream(EXPECTED, async (from) => {
      opened += 1;
      return broken(from, 1_000_000);
    });
    await expect(put).rejects.toThrow('connection lost');
    expect(opened).toBe(1 + RESUME.attempts);
    expect((await names()).every((name) => name.endsWith('.partial'))).toBe(true);
  });

  it('gives up on a stream that brings a byte each time', async () => {
    const { store } = await newStore();
    let opened = 0;
    const put = store.putStream(EXPECTED, async (from) => {
      opened += 1;
      return broken(from, from + 1);
    });
    await expect(put).rejects.toThrow('connection lost');
    expect(opened).toBeLessThan(100);
  });

  it('does not ask again when the stream cannot be opened', async () => {
    const { store } = await newStore();
    let opened = 0;
    const put = store.putStream(EXPECTED, async () => {
      opened += 1;
      throw new Error('refused');
    });
    await expect(put).rejects.toThrow('refused');
    expect(opened).toBe(1);
  });

  it('goes on with what a later attempt in the same process finds', async () => {
    const { store, names } = await newStore();
    await store.putStream(EXPECTED, async (from) => broken(from, 1_200_000)).catch(() => {});
    const offsets: number[] = [];
    await store.putStream(EXPECTED, async (from) => {
      offsets.push(from);
      return chunks(BYTES.subarray(from));
    });
    expect(offsets).toEqual([1_200_000]);
    expect(await names()).toEqual([hexOf(EXPECTED.digest)]);
  });

  it('starts over once when the prefix on disk was damaged', async () => {
    const { store, blobs, names, path } = await newStore();
    await store.putStream(EXPECTED, async (from) => broken(from, 1_200_000)).catch(() => {});
    const [partial = ''] = await names();
    const damaged = await readFile(join(blobs, partial));
    damaged.fill(0, 500_000, 500_001);
    await writeFile(join(blobs, partial), damaged);
    const offsets: number[] = [];
    await store.putStream(EXPECTED, async (from) => {
      offsets.push(from);
      return chunks(BYTES.subarray(from));
    });
    expect(offsets).toEqual([1_200_000, 0]);
    expect(digestOf(await readFile(path))).toBe(EXPECTED.digest);
  });

  it.each([
    ['wrong bytes', () => chunks(Buffer.alloc(SIZE)), 'BLOB_DIGEST_MISMATCH'],
    ['too much', () => chunks(Buffer.concat([BYTES, Buffer.alloc(1)])), 'BLOB_SIZE_MISMATCH'],
    ['too little', (from: number) => chunks(BYTES.subarray(from, SIZE - 1)), 'BLOB_SIZE_MISMATCH'],
  ])('refuses %s and leaves nothing', async (_name, stream, code) => {
    const { store, names } = await newStore();
    await expectCode(
      store.putStream(EXPECTED, async (from) => stream(from)),
      AdapterError,
      code,
    );
    expect(await names()).toEqual([]);
    expect(await store.find(EXPECTED.digest)).toBeUndefined();
  });

  it('runs one transfer for callers at once, and lets the next try when it fails', async () => {
    const { store } = await newStore();
    let opened = 0;
    const open = async (from: number) => {
      opened += 1;
      return chunks(BYTES.subarray(from));
    };
    await Promise.all([1, 2, 3].map(() => store.putStream(EXPECTED, open)));
    expect(opened).toBe(1);
    const other = await newStore();
    const stop = new AbortController();
    let patient: ReturnType<typeof store.putStream> | undefined;
    const aborted = other.store.putStream(
      EXPECTED,
      async () => {
        // Only now is it certain which of the two transfers.
        patient = other.store.putStream(EXPECTED, open);
        stop.abort(new Error('stop'));
        return chunks(BYTES);
      },
      { signal: stop.signal },
    );
    await expect(aborted).rejects.toThrow('stop');
    await expect(patient).resolves.toMatchObject(EXPECTED);
  });

  it('keeps two stores on one folder apart', async () => {
    const first = await newStore();
    const second = createBlobStore(first.folder, { resume: RESUME });
    const offsets: number[] = [];
    const put = (store: typeof second) =>
      store.putStream(EXPECTED, async (from) => {
        offsets.push(from);
        return slowly(chunks(BYTES.subarray(from)));
      });
    await Promise.all([put(first.store), put(second)]);
    expect(offsets).toEqual([0, 0]);
    expect(digestOf(await readFile(first.path))).toBe(EXPECTED.digest);
    expect(await first.names()).toEqual([hexOf(EXPECTED.digest)]);
  });

  it('stops when it is told to, and keeps what it has', async () => {
    const { store, names } = await newStore();
    const stop = new AbortController();
    const put = store.putStream(
      EXPECTED,
      async () =>
        (async function* () {
          yield* chunks(BYTES.subarray(0, 1_000_000));
          stop.abort(new Error('stop'));
          throw new Error('the socket was destroyed');
        })(),
      { signal: stop.signal },
    );
    await expect(put).rejects.toThrow('stop');
    expect((await names()).length).toBe(1);
    expect(await store.find(EXPECTED.digest)).toBeUndefined();
  });

  it('replaces a small blob that rotted on disk', async () => {
    const { store } = await newStore();
    const { path } = await store.putBytes(Buffer.from('small'));
    await writeFile(path, 'smelt');
    await store.putBytes(Buffer.from('small'));
    expect(await readFile(path, 'utf8')).toBe('small');
  });

  it('leaves a partial of another machine alone, until nobody wrote it for a day', async () => {
    const { store, blobs, names } = await newStore();
    await mkdir(blobs, { recursive: true });
    const foreign = `${hexOf(EXPECTED.digest)}.00000000-1-0.partial`;
    await writeFile(join(blobs, foreign), BYTES.subarray(0, 100_000));
    const offsets: number[] = [];
    const attempt = () =>
      store.putStream(EXPECTED, async (from) => {
        offsets.push(from);
        throw new Error('refused');
      });
    await expect(attempt()).rejects.toThrow('refused');
    expect(await names()).toContain(foreign);
    const before = new Date(Date.now() - 25 * 60 * 60 * 1000);
    await utimes(join(blobs, foreign), before, before);
    await expect(attempt()).rejects.toThrow('refused');
    expect(await names()).not.toContain(foreign);
    expect(offsets).toEqual([0, 100_000]);
  });

  it('does not write through a link that lies in its folder', async () => {
    const { store, blobs, folder, path } = await newStore();
    await mkdir(blobs, { recursive: true });
    const outside = join(folder, 'outside');
    await writeFile(outside, 'untouched');
    await symlink(outside, path);
    await store.putStream(EXPECTED, async () => chunks(BYTES));
    expect(await readFile(outside, 'utf8')).toBe('untouched');
  });
});

describe('blob store: several processes', () => {
  const start = (folder: string, ...more: string[]): ChildProcess => {
    const child = spawn(process.execPath, [PUT_PROCESS, folder, 'blob', String(SIZE), ...more], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    return child;
  };

  it('goes on with what a killed process left', async () => {
    const { folder, names, path } = await newStore();
    const killed = start(folder, '1500000');
    await once(killed.stdout as NodeJS.ReadableStream, 'data');
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    const [partial = ''] = await names();
    expect(partial).toMatch(/\.partial$/);
    const next = start(folder);
    const [opened = -1] = JSON.parse(await text(next.stdout as NodeJS.ReadableStream)) as number[];
    // What the killed process had in memory is lost, no more.
    expect(opened).toBeGreaterThan(0);
    expect(opened).toBeLessThanOrEqual(1_500_000);
    expect(digestOf(await readFile(path))).toBe(EXPECTED.digest);
    expect(await names()).toEqual([hexOf(EXPECTED.digest)]);
  });

  it('says so when the disk takes no more, and leaves nothing', async () => {
    const { folder, names } = await newStore();
    // The limit on a file's size stands for a full disk: 1000 blocks of 512 bytes.
    const script = 'ulimit -f 1000 && exec "$0" "$@"';
    const child = spawn('/bin/sh', ['-c', script, process.execPath, PUT_PROCESS, folder, 'blob', String(SIZE)], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    expect(await text(child.stdout)).toBe('NO_SPACE\n');
    expect(await names()).toEqual([]);
  });

  it('does not disturb a process that is at work', async () => {
    const { folder, path } = await newStore();
    const working = start(folder, '1500000');
    await once(working.stdout as NodeJS.ReadableStream, 'data');
    const other = start(folder);
    expect(JSON.parse(await text(other.stdout as NodeJS.ReadableStream))).toEqual([0]);
    expect(working.exitCode).toBeNull();
    expect(digestOf(await readFile(path))).toBe(EXPECTED.digest);
  });

  it('gives all of several at once the same blob', async () => {
    const { folder, names, path } = await newStore();
    const children = [1, 2, 3].map(() => start(folder));
    await Promise.all(children.map((child) => text(child.stdout as NodeJS.ReadableStream)));
    await Promise.all(children.map((child) => child.exitCode ?? once(child, 'exit')));
    expect(children.map((child) => child.exitCode)).toEqual([0, 0, 0]);
    expect(digestOf(await readFile(path))).toBe(EXPECTED.digest);
    expect(await names()).toEqual([hexOf(EXPECTED.digest)]);
  });
});

async function* slowly(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    yield chunk;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
