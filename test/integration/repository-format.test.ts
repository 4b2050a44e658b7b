import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { createChunkTableBuilder } from '../../src/formats/repository/chunk-table.ts';
import { streamEntries } from '../../src/formats/repository/contents.ts';
import { createContentsEncoder } from '../../src/formats/repository/contents-file.ts';
import { encodePackTail } from '../../src/formats/repository/pack.ts';
import { encodeRoster } from '../../src/formats/repository/roster.ts';
import { compressFrame } from '../../src/formats/repository/zstd-frames.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { newSigningKey, sampleRoster } from '../unit/formats/repository/repository-fixture.ts';
import { publicPem } from '../unit/formats/sigstore/key-material.ts';

const run = promisify(execFile);
const options = { timeout: 30_000, maxBuffer: 64 * 1024 * 1024, encoding: 'buffer' } as const;

/** As docs/format-repository.md prints it. */
const CHECK_SIGNATURE = `
jq -j .payload d.json | base64 -d > payload
t=$(jq -j .payloadType d.json)
{ printf 'DSSEv1 %d %s %d ' \${#t} "$t" "$(wc -c < payload)"; cat payload; } > message
jq -j '.signatures[0].sig' d.json | base64 -d > signature
openssl dgst -sha256 -verify cosign.pub -signature signature message
`;

test('openssl and jq check a signed document by the lines that the format prints', async () => {
  const folder = await temporaryFolder();
  const [ada, eve] = [newSigningKey(), newSigningKey()];
  await writeFile(join(folder, 'cosign.pub'), publicPem(ada.publicKey));
  const check = async (bytes: Uint8Array) => {
    await writeFile(join(folder, 'd.json'), bytes);
    const { stdout } = await run('sh', ['-ec', CHECK_SIGNATURE], { ...options, cwd: folder });
    return stdout.toString();
  };
  expect(await check(encodeRoster(sampleRoster(ada), [ada]))).toBe('Verified OK\n');
  await expect(check(encodeRoster(sampleRoster(ada), [eve]))).rejects.toThrow();
});

test('zstd opens a whole pack and the whole of the contents', async () => {
  const folder = await temporaryFolder();
  const open = async (bytes: Uint8Array) => {
    await writeFile(join(folder, 'it'), bytes);
    return (await run('zstd', ['-dc', join(folder, 'it')], options)).stdout;
  };
  const chunks = [randomBytes(300_000), Buffer.alloc(1_000_000, 'text'), Buffer.from('last')];
  const table = createChunkTableBuilder();
  const frames: Uint8Array[] = [];
  let offsetBytes = 0;
  for (const chunk of chunks) {
    const frame = compressFrame(chunk, 2);
    table.add({ id: randomBytes(32), pack: 0, offsetBytes, lengthBytes: frame.length, sizeBytes: chunk.length });
    frames.push(frame);
    offsetBytes += frame.length;
  }
  const pack = Buffer.concat([...frames, encodePackTail(table.table(), offsetBytes)]);
  expect((await open(pack)).equals(Buffer.concat(chunks))).toBe(true);

  const parts: Uint8Array[] = [];
  const encoder = createContentsEncoder({ onPart: async (_, bytes) => void parts.push(bytes) });
  const sizeBytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const many = Array.from({ length: 20_000 }, (_, oid) => ({
    entry: 'table' as const,
    source: 'app',
    database: 'app',
    schema: 'public',
    table: `table ${oid}`,
    oid,
    columns: ['id', 'text of the row'],
    streams: [],
    rows: 0,
  }));
  await encoder.write({ entry: 'source', source: 'app', kind: 'postgres', name: 'db:5432', record: {} });
  await encoder.write(...streamEntries('app', 'app/globals.sql', { sizeBytes, chunks: table.table() }));
  await encoder.write(...many);
  await encoder.write({ entry: 'end', source: 'app', record: {} });
  await encoder.end();
  const lines = (await open(Buffer.concat(parts))).toString().trimEnd().split('\n');
  expect(lines).toHaveLength(many.length + 3);
  expect(JSON.parse(lines[1] ?? '')).toMatchObject({ entry: 'stream', name: 'app/globals.sql', last: true, sizeBytes });
  expect(JSON.parse(lines.at(-2) ?? '')).toEqual(many.at(-1));
});
