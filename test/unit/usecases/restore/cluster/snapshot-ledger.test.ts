import { describe, expect, it } from 'vitest';
import type { ChunkReader } from '../../../../../src/ports/chunks.ts';
import { newestRelease, readSnapshotLedger } from '../../../../../src/usecases/restore/cluster/snapshot-ledger.ts';
import type { PostgresSnapshot } from '../../../../../src/usecases/restore/postgres/snapshot-source.ts';

const COLUMNS = [
  ...['module', 'number', 'name', 'digest', 'kind', 'state', 'seen_bundle', 'seen_version', 'seen_sequence'],
  ...['seen_root', 'seen_at', 'applied_bundle', 'applied_version', 'applied_sequence', 'applied_root', 'applied_at'],
];
const line = (...fields: string[]) => `${fields.join('\t')}\n`;
const SEEN = ['cms', '1.0.0', '1', 'sha256:aa', '2026-01-01 00:00:00+00'];
const LATER = ['cms', '1.2.0', '3', 'sha256:bb', '2026-02-01 00:00:00+00'];
const NONE = ['\\N', '\\N', '\\N', '\\N', '\\N'];

/** Each stream is one chunk, whose text is its name in `texts`. */
function snapshotOf(texts: Readonly<Record<string, string>>) {
  const names = Object.keys(texts);
  const snapshot = {
    tables: [
      { entry: 'table', database: 'other', schema: 'portolan', table: 'migrations', streams: [], columns: COLUMNS },
      { entry: 'table', database: 'cms', schema: 'portolan', table: 'migrations', streams: names, columns: COLUMNS },
    ],
    streams: new Map(names.map((name) => [name, { sizeBytes: 1, chunks: Buffer.from(name) }])),
  } as unknown as PostgresSnapshot;
  const reader = {
    async *stream(chunks: Uint8Array) {
      const bytes = Buffer.from(texts[Buffer.from(chunks).toString()] ?? '');
      // In pieces that end anywhere.
      for (let start = 0; start < bytes.length; start += 7) yield bytes.subarray(start, start + 7);
    },
  } as unknown as ChunkReader;
  return { snapshot, reader };
}

const options = { signal: new AbortController().signal };

describe('the ledger of migrations in a snapshot', () => {
  it('is read from the rows of its table, whatever streams hold them', async () => {
    const { snapshot, reader } = snapshotOf({
      b: line('core', '20', '20_b.sql', 'sha256:02', 'contract', 'deferred', ...LATER, ...NONE),
      a:
        line('core', '3', '3_tab\\\\and\\tso.sql', 'sha256:01', 'expand', 'applied', ...SEEN, ...SEEN) +
        line('blog', '1', '1_ä.sql', 'sha256:03', 'expand', 'baseline', ...NONE.slice(0, 4), SEEN[4] ?? '', ...NONE),
    });
    const ledger = await readSnapshotLedger(snapshot, 'cms', reader, options);
    expect(ledger).toEqual([
      expect.objectContaining({ module: 'blog', number: 1n, name: '1_ä.sql', state: 'baseline' }),
      expect.objectContaining({
        ...{ module: 'core', number: 3n, name: '3_tab\\and\tso.sql', digest: 'sha256:01', state: 'applied' },
        seenIn: { name: 'cms', version: '1.0.0', sequence: 1, root: 'sha256:aa' },
      }),
      expect.objectContaining({ number: 20n, kind: 'contract', state: 'deferred' }),
    ]);
    expect(ledger[0]).not.toHaveProperty('seenIn');
    expect(newestRelease(ledger)).toEqual({ name: 'cms', version: '1.2.0', sequence: 3, root: 'sha256:bb' });
  });

  it('is empty where the database has none', async () => {
    const { snapshot, reader } = snapshotOf({});
    expect(await readSnapshotLedger(snapshot, 'shop', reader, options)).toEqual([]);
    expect(newestRelease([])).toBeUndefined();
  });
});
