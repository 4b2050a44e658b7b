import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { encodeTar, type TarFile } from '../../formats/archive/tar.ts';
import { encodeModules, MODULES_FILE } from '../../formats/migration/modules-json.ts';
import { UseCaseError } from '../errors.ts';
import type { MigrationModule } from './types.ts';

/** A ConfigMap holds 1 MiB in all; the object around it and its text form need room too. */
const PART_BYTES = 768 * 1024;
/** More ConfigMaps than this say that a cluster's state is the wrong place for it. */
const ARCHIVE_LIMIT_BYTES = 16 * 1024 * 1024;

export interface ModuleArchive {
  /** tar, gzip, cut: to be joined in this order. */
  readonly parts: readonly Uint8Array[];
  /** Of the files, in hexadecimal: the same modules give the same, whatever packed them. */
  readonly contentHash: string;
}

/** @throws UseCaseError MIGRATIONS_TOO_LARGE */
export async function packModules(
  modules: readonly MigrationModule[],
  options: { readonly signal?: AbortSignal } = {},
): Promise<ModuleArchive> {
  const described = encodeModules(modules);
  const hash = createHash('sha256').update(described);
  const files = modules.flatMap(({ name, files: own }) => own.map((file) => ({ path: `${name}/${file.name}`, file })));
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  for (const { path, file } of files) hash.update(`${path}\0${file.digest}\0`);
  // One file after the other is read, and only its compressed form is kept.
  async function* entries(): AsyncGenerator<TarFile> {
    yield tarFile(MODULES_FILE, described);
    for (const { path, file } of files) yield tarFile(path, await file.read(options));
  }
  const chunks: Buffer[] = [];
  const compress = async (source: AsyncIterable<Buffer>) => {
    let sizeBytes = 0;
    for await (const chunk of source) {
      chunks.push(chunk);
      sizeBytes += chunk.length;
      if (sizeBytes > ARCHIVE_LIMIT_BYTES) throw tooLarge();
    }
  };
  await pipeline(Readable.from(encodeTar(entries())), createGzip(), compress, options);
  const archive = Buffer.concat(chunks);
  const parts: Uint8Array[] = [];
  for (let at = 0; at < archive.length; at += PART_BYTES) parts.push(archive.subarray(at, at + PART_BYTES));
  return { parts, contentHash: hash.digest('hex') };
}

function tarFile(path: string, content: Uint8Array): TarFile {
  return { path, sizeBytes: content.length, executable: false, open: () => [content] };
}

function tooLarge(): UseCaseError {
  return new UseCaseError('MIGRATIONS_TOO_LARGE', 'The modules are too large to be handed to a Pod', {
    expected: `at most ${ARCHIVE_LIMIT_BYTES / 1024 / 1024} MiB compressed`,
    hint: 'Run them with --database from a machine that reaches the database: kubectl port-forward makes it reach.',
  });
}
