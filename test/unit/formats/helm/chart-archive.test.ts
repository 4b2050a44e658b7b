import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../../../src/formats/errors.ts';
import { type ChartArchiveLimits, inspectChartArchive } from '../../../../src/formats/helm/chart-archive.ts';
import { raisedCodes } from '../../../support/raised.ts';

interface Entry {
  readonly name: string;
  readonly type?: 'file' | 'directory' | 'symlink' | 'link' | 'character-device' | 'fifo';
  readonly linkname?: string;
  readonly text?: string | Buffer;
}

const CHART_YAML: Entry = { name: 'web/Chart.yaml', text: 'apiVersion: v2\nname: web\nversion: 1.2.3\n' };

async function archive(entries: readonly Entry[]): Promise<Buffer> {
  const tar = pack();
  for (const { name, type = 'file', linkname, text } of entries) {
    tar.entry({ name, type, ...(linkname === undefined ? {} : { linkname }) }, Buffer.from(text ?? ''));
  }
  tar.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar as AsyncIterable<Uint8Array>) chunks.push(chunk);
  return gzipSync(Buffer.concat(chunks));
}

async function* cut(bytes: Uint8Array, sizeBytes = 1 << 16): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.length; offset += sizeBytes) yield bytes.subarray(offset, offset + sizeBytes);
}

const inspect = (bytes: Uint8Array, sizeBytes?: number, limits?: ChartArchiveLimits) =>
  inspectChartArchive(cut(bytes, sizeBytes), 'web.tgz', limits === undefined ? {} : { limits });

describe('a packaged chart', () => {
  it('tells its name and version, whole and byte by byte', async () => {
    const bytes = await archive([
      { name: 'web', type: 'directory' },
      CHART_YAML,
      { name: 'web/templates/a.yaml', text: 'a' },
    ]);
    expect(await inspect(bytes)).toEqual({ name: 'web', version: '1.2.3', dependencies: [] });
    expect(await inspect(bytes, 1)).toMatchObject({ name: 'web' });
  });

  it.each<[string, Entry]>([
    ['a path that climbs', { name: 'web/../../etc/passwd' }],
    ['an absolute path', { name: '/etc/passwd' }],
    ['a backslash', { name: 'web\\..\\a' }],
    ['a drive', { name: 'c:/web/a' }],
    ['a file outside the folder', { name: 'a.txt' }],
    ['a symbolic link', { name: 'web/a', type: 'symlink', linkname: '/etc/passwd' }],
    ['a hard link', { name: 'web/a', type: 'link', linkname: 'web/Chart.yaml' }],
    ['a device', { name: 'web/a', type: 'character-device' }],
    ['a pipe', { name: 'web/a', type: 'fifo' }],
  ])('is refused with %s', async (_, entry) => {
    expect(await raisedCodes(async () => inspect(await archive([CHART_YAML, entry])))).toEqual([
      'FormatError CHART_UNSAFE',
    ]);
  });

  it('is refused as a bomb of bytes, of entries, and of archives in archives', async () => {
    const limits = { entries: 10, unpackedBytes: 1_000_000 };
    const zeros = { name: 'web/zeros', text: Buffer.alloc(2_000_000) };
    const many = Array.from({ length: 20 }, (_, index) => ({ name: `web/${index}` }));
    const inner = await archive([
      { ...CHART_YAML, name: 'sub/Chart.yaml' },
      { name: 'sub/zeros', text: zeros.text },
    ]);
    const nested = { name: 'web/charts/sub-1.0.0.tgz', text: inner };
    for (const entries of [[zeros], many, [nested]]) {
      const bytes = await archive([CHART_YAML, ...entries]);
      expect(await raisedCodes(() => inspect(bytes, undefined, limits))).toEqual(['FormatError CHART_UNSAFE']);
    }
  });

  it('is refused when a subchart in it is not safe', async () => {
    const inner = await archive([{ name: 'sub/Chart.yaml', text: CHART_YAML.text ?? '' }, { name: 'sub/../../a' }]);
    const bytes = await archive([CHART_YAML, { name: 'web/charts/sub-1.0.0.tgz', text: inner }]);
    expect(await raisedCodes(() => inspect(bytes))).toEqual(['FormatError CHART_UNSAFE']);
  });

  it.each<[string, () => Promise<Buffer> | Buffer]>([
    ['no archive', () => Buffer.from('hello')],
    ['nothing', () => Buffer.alloc(0)],
    ['gzip around no tar', () => gzipSync(Buffer.from('hello '.repeat(300)))],
    ['no Chart.yaml', () => archive([{ name: 'web/values.yaml' }])],
    ['a Chart.yaml that is a list', () => archive([{ name: 'web/Chart.yaml', text: '- a' }])],
    ['a Chart.yaml without a version', () => archive([{ name: 'web/Chart.yaml', text: 'apiVersion: v2\nname: web' }])],
    [
      'a name that is a path',
      () => archive([{ name: 'web/Chart.yaml', text: 'apiVersion: v2\nname: ../x\nversion: 1.0.0' }]),
    ],
  ])('is refused when it is %s', async (_, make) => {
    expect(await raisedCodes(async () => inspect(await make()))).toEqual(['FormatError CHART_INVALID']);
  });

  it('is refused, by our own error, cut at every length and with bits flipped', async () => {
    const bytes = await archive([CHART_YAML, { name: 'web/templates/a.yaml', text: 'kind: Pod' }]);
    for (let length = 0; length < bytes.length; length++) {
      await expect(inspect(bytes.subarray(0, length))).rejects.toBeInstanceOf(FormatError);
    }
    for (let bit = 0; bit < bytes.length * 8; bit += 7) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      // Some bits say nothing, such as the time in the gzip header; what is refused is refused by name.
      await inspect(flipped).catch((error) => expect(error).toBeInstanceOf(FormatError));
    }
  });

  it('stops at the abort signal', async () => {
    const bytes = await archive([CHART_YAML]);
    const stopped = new AbortController();
    stopped.abort(new Error('stopped'));
    await expect(inspectChartArchive(cut(bytes), 'web.tgz', { signal: stopped.signal })).rejects.toThrow('stopped');
  });
});
