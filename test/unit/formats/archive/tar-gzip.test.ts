import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { extract } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import { gzipStored } from '../../../../src/formats/archive/gzip-stored.ts';
import { encodeTar, type TarFile } from '../../../../src/formats/archive/tar.ts';

async function gather(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* once(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

const file = (path: string, content: Uint8Array, executable = false): TarFile => ({
  path,
  sizeBytes: content.length,
  executable,
  open: () => [content],
});

async function unpack(
  bytes: Buffer,
): Promise<{ name: string; mode: number; content: string; uid: number; mtime: number }[]> {
  const reader = extract();
  reader.end(bytes);
  const entries = [];
  for await (const entry of reader) {
    const content = await gather(entry as unknown as AsyncIterable<Uint8Array>);
    const { name, mode, uid, mtime } = entry.header;
    entries.push({
      name,
      mode: mode ?? 0,
      content: content.toString('base64'),
      uid: uid ?? -1,
      mtime: mtime?.getTime() ?? -1,
    });
  }
  return entries;
}

const part = fc.oneof(fc.stringMatching(/^[a-zA-Z0-9._-]{1,60}$/), fc.stringMatching(/^[ä-ž]{1,50}$/));
const path = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'));

describe('the tar writer', () => {
  it('is read by another program, whatever the length and letters of a path', async () => {
    const files = fc.array(fc.tuple(path, fc.uint8Array({ maxLength: 1200 }), fc.boolean()), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(files, async (list) => {
        const bytes = await gather(
          encodeTar(list.map(([name, content, executable]) => file(name, content, executable))),
        );
        expect(bytes.length % 512).toBe(0);
        expect(await unpack(bytes)).toEqual(
          list.map(([name, content, executable]) => ({
            name,
            mode: executable ? 0o755 : 0o644,
            content: Buffer.from(content).toString('base64'),
            uid: 0,
            mtime: 0,
          })),
        );
      }),
    );
  });

  it('refuses a content of another length than it said', async () => {
    for (const content of ['short', 'longer than it said']) {
      const wrong = { ...file('a', Buffer.from(content)), sizeBytes: 8 };
      await expect(gather(encodeTar([wrong]))).rejects.toBeInstanceOf(RangeError);
    }
  });

  it('writes bytes that never change', async () => {
    const files = [
      file('web/Chart.yaml', Buffer.from('name: web\n')),
      file(`web/${'x'.repeat(120)}.sh`, Buffer.from('#!'), true),
    ];
    expect(digestOf(await gather(gzipStored(encodeTar(files))))).toBe(
      'sha256:f5b01520d37bfcdb15e5d2d03bb5c94d50c135753aae8e2e44ca15c9e9ffdcee',
    );
  });
});

describe('the gzip writer', () => {
  it('is read by zlib, and does not depend on how its input is cut', async () => {
    const content = fc.uint8Array({ maxLength: 1000 });
    await fc.assert(
      fc.asyncProperty(fc.array(content, { maxLength: 5 }), async (chunks) => {
        const whole = Buffer.concat(chunks);
        const packed = await gather(gzipStored(once(...chunks)));
        expect(gunzipSync(packed).equals(whole)).toBe(true);
        expect(packed.equals(await gather(gzipStored(once(whole))))).toBe(true);
      }),
    );
  });

  it.each([0, 1, 65_534, 65_535, 65_536, 131_070, 200_000])('packs %d bytes', async (length) => {
    const whole = Buffer.alloc(length, 7);
    expect(gunzipSync(await gather(gzipStored(once(whole)))).equals(whole)).toBe(true);
  });
});
