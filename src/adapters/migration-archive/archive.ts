import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { MODULE_FILE_LIMIT_BYTES } from '../../formats/migration/module-files.ts';
import { isModuleName, MODULES_FILE, MODULES_FILE_LIMIT_BYTES } from '../../formats/migration/modules-json.ts';
import { AdapterError } from '../errors.ts';
import { fileError, isErrno } from '../files/file-error.ts';

/** What a hostile archive may write to the disk at most. */
const TOTAL_LIMIT_BYTES = 1024 * 1024 * 1024;
const ENTRIES_LIMIT = 100_000;

export interface OpenedArchive extends AsyncDisposable {
  /** A folder of modules, removed with the archive. */
  readonly folder: string;
}

/**
 * Unpacks a tar archive of modules (gzip or plain), whose parts are files in their order, into a new private folder below
 * `temporaryFolder`. Only `MODULE/FILE.sql` and modules.json are taken: no path of the archive leads anywhere else.
 *
 * @throws AdapterError ARCHIVE_INVALID, FILE_MISSING, FILE_UNREADABLE, NO_SPACE
 */
export async function openModuleArchive(
  parts: readonly string[],
  temporaryFolder: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<OpenedArchive> {
  const home = await mkdtemp(join(temporaryFolder, 'portolan-modules-')).catch((cause) => {
    throw fileError(cause, temporaryFolder, 'write');
  });
  const remove = () => rm(home, { recursive: true, force: true });
  // A folder of its own: what lies beside it is asked for what the modules require.
  const folder = join(home, 'modules');
  try {
    await mkdir(folder);
    await unpack(parts, folder, options);
  } catch (cause) {
    await remove();
    options.signal?.throwIfAborted();
    if (cause instanceof AdapterError) throw cause;
    if (isErrno(cause)) throw fileError(cause, folder, 'write');
    throw invalid('The archive is no tar file, or is cut', parts, cause);
  }
  return { folder, [Symbol.asyncDispose]: remove };
}

async function unpack(
  parts: readonly string[],
  folder: string,
  { signal }: { readonly signal?: AbortSignal },
): Promise<void> {
  const unpacker = extract();
  let totalBytes = 0;
  let entries = 0;
  let ended = false;
  unpacker.on('entry', (header, stream, next) => {
    const take = async () => {
      const path = header.name.replace(/^\.\//, '').replace(/\/$/, '');
      if (header.type === 'directory') return;
      entries += 1;
      totalBytes += header.size ?? 0;
      const limitBytes = path === MODULES_FILE ? MODULES_FILE_LIMIT_BYTES : MODULE_FILE_LIMIT_BYTES;
      if (header.type !== 'file' || !isExpected(path)) {
        throw invalid(`The archive holds ${JSON.stringify(path.slice(0, 200))}, which is not a migration`, parts);
      }
      if ((header.size ?? 0) > limitBytes || totalBytes > TOTAL_LIMIT_BYTES || entries > ENTRIES_LIMIT) {
        throw invalid('The archive is larger than modules ever are', parts);
      }
      const target = join(folder, path);
      await mkdir(dirname(target), { recursive: true });
      // `wx`: an archive that names a file twice is refused.
      await pipeline(
        stream as unknown as NodeJS.ReadableStream,
        createWriteStream(target, { flags: 'wx', mode: 0o600 }),
      );
    };
    take().then(
      () => {
        stream.resume();
        next();
      },
      (cause) => unpacker.destroy(cause),
    );
  });
  unpacker.on('finish', () => {
    ended = true;
  });
  await pipeline(
    Readable.from(bytesOf(parts)),
    (await isGzip(parts[0])) ? createGunzip() : new PassThrough(),
    unpacker as unknown as NodeJS.WritableStream,
    signal === undefined ? {} : { signal },
  );
  if (!ended || entries === 0) throw invalid('The archive holds nothing, or is cut', parts);
}

function isExpected(path: string): boolean {
  if (path === MODULES_FILE) return true;
  const [module = '', file = '', ...rest] = path.split('/');
  return rest.length === 0 && isModuleName(module) && isModuleName(file);
}

async function* bytesOf(parts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    try {
      yield* createReadStream(part);
    } catch (cause) {
      throw fileError(cause, part, 'read');
    }
  }
}

async function isGzip(first = ''): Promise<boolean> {
  try {
    for await (const chunk of createReadStream(first, { end: 1 })) {
      return (chunk as Buffer)[0] === 0x1f && (chunk as Buffer)[1] === 0x8b;
    }
    return false;
  } catch (cause) {
    throw fileError(cause, first, 'read');
  }
}

function invalid(message: string, parts: readonly string[], cause?: unknown): AdapterError {
  return new AdapterError('ARCHIVE_INVALID', message, {
    ...(cause === undefined ? {} : { cause }),
    expected: `a tar archive of MODULE/FILE.sql and ${MODULES_FILE}`,
    at: { file: parts.join(', ') },
    hint: 'Pack it with tar -czf modules.tar.gz -C MODULES . and give all its parts in their order.',
  });
}
