/** The thread that asks the system about files: synchronously, since for each of many small files a turn of the event loop costs more. */
import { accessSync, constants, lstatSync } from 'node:fs';
import { serveJobs } from '../../core/worker-pool.ts';
import { fileError, isErrno } from '../files/file-error.ts';
import { encodeFailure } from '../sealing/failure.ts';
import { createFactsTable, type Presence, putFacts } from './file-facts.ts';
import { isGone } from './open-names.ts';

export interface LookRequest {
  /** Of the open folder, with a slash. */
  readonly folder: string;
  /** For messages. */
  readonly place: string;
  /** Joined by NUL, which no name has. */
  readonly names: Uint8Array;
  readonly count: number;
  readonly rights: boolean;
}

serveJobs<LookRequest, Uint8Array>(look, encodeFailure);

function look({ folder, place, names, count, rights }: LookRequest): Uint8Array {
  const table = createFactsTable(count);
  const prefix = Buffer.from(folder);
  const bytes = Buffer.from(names.buffer, names.byteOffset, names.length);
  let start = 0;
  for (let index = 0; index < count; index += 1) {
    const found = bytes.indexOf(0, start);
    const end = found < 0 ? bytes.length : found;
    const path = Buffer.concat([prefix, bytes.subarray(start, end)]);
    start = end + 1;
    try {
      const stats = lstatSync(path, { bigint: true });
      putFacts(table, index, stats, rights ? presenceOf(path, stats) : 1);
    } catch (cause) {
      if (!isGone(cause)) throw fileError(cause, `${place}/${path.subarray(prefix.length)}`, 'read');
    }
  }
  return new Uint8Array(table.buffer);
}

function presenceOf(path: Buffer, stats: { isFile(): boolean; isDirectory(): boolean }): Presence {
  if (!stats.isFile() && !stats.isDirectory()) return 1;
  try {
    accessSync(path, stats.isFile() ? constants.R_OK : constants.R_OK | constants.X_OK);
    return 1;
  } catch (cause) {
    return isErrno(cause) && (cause.code === 'EACCES' || cause.code === 'EPERM') ? 2 : 1;
  }
}
