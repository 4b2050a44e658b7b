import { createWriteStream } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createPostgresPrograms } from '../../src/adapters/postgres-programs/programs.ts';
import type { ContentsEntry } from '../../src/formats/repository/contents.ts';
import type { SourceWriter } from '../../src/ports/backup-source.ts';
import type { CopyOutJob } from '../../src/ports/chunks.ts';

export interface CollectingWriter extends SourceWriter {
  readonly entries: readonly ContentsEntry[];
  /** Names, in the order in which they were begun. */
  readonly begun: readonly string[];
  path(name: string): string;
  read(name: string): Promise<Buffer>;
}

export interface CollectingOptions {
  /** Of psql. */
  readonly programs: string;
  readonly workers?: number;
  /** Runs before each stream and each table; what it throws is the stream's failure. */
  readonly onBegin?: (name: string) => void | Promise<void>;
}

/** A writer that keeps every stream as a file below a folder, and copies with psql. */
export function createCollectingWriter(folder: string, options: CollectingOptions): CollectingWriter {
  const entries: ContentsEntry[] = [];
  const begun: string[] = [];
  const path = (name: string) => join(folder, name);
  const keep = async (name: string, input: AsyncIterable<Uint8Array>) => {
    if (begun.includes(name)) throw new Error(`the stream ${name} was written twice`);
    begun.push(name);
    await options.onBegin?.(name);
    await mkdir(dirname(path(name)), { recursive: true });
    let sizeBytes = 0;
    let lines = 0;
    async function* counted() {
      for await (const bytes of input) {
        sizeBytes += bytes.length;
        for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) lines += 1;
        yield bytes;
      }
    }
    await pipeline(counted, createWriteStream(path(name)));
    return { sizeBytes, lines, chunks: new Uint8Array(0) };
  };
  return {
    workers: options.workers ?? 2,
    entries,
    begun,
    path,
    read: (name) => readFile(path(name)),
    stream: keep,
    file: () => Promise.reject(new Error('a database has no files')),
    smallFiles: () => Promise.reject(new Error('a database has no files')),
    known: () => Promise.reject(new Error('a database has no files')),
    async copy(name, job) {
      const { lines, ...record } = await keep(name, copyOut(job, options.programs));
      return { ...record, rows: lines };
    },
    async entry(entry) {
      entries.push(entry);
    },
  };
}

async function* copyOut(job: CopyOutJob, folder: string): AsyncGenerator<Uint8Array> {
  const programs = createPostgresPrograms({ folder, temporaryFolder: tmpdir() });
  const found = await programs.find(0, { programs: ['psql'] });
  const statements = [...job.session, job.copy].flatMap((statement) => ['-c', statement]);
  yield* found.output({
    program: 'psql',
    arguments: ['-X', '-q', '-v', 'ON_ERROR_STOP=1', ...statements],
    connection: job.connection,
  });
}
