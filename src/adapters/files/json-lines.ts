import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { canonicalJson } from '../../core/canonical-json.ts';
import { writeFileDurable } from './durable.ts';
import { fileError, isErrno } from './file-error.ts';

/**
 * A cache that is a file of JSON lines: appended to, so that what was found out survives a kill, and never trusted to be
 * whole. The caller's decoder passes over what it cannot read.
 */

/** The lines, oldest first; none when there is no file. A file of more than `maxLines` is cut to the newest half. */
export async function readLines(file: string, maxLines: number): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch((cause) => {
    if (isErrno(cause) && cause.code === 'ENOENT') return '';
    throw fileError(cause, file, 'read');
  });
  const lines = text.split('\n').filter((line) => line !== '');
  if (lines.length <= maxLines) return lines;
  const newest = lines.slice(-Math.ceil(maxLines / 2));
  await writeFileDurable(file, `${newest.join('\n')}\n`);
  return newest;
}

/** Appends one value; the folder is made when it is missing. */
export async function appendLine(file: string, value: unknown): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true });
    // The leading line break ends a line that a crash may have cut short.
    await appendFile(file, `\n${canonicalJson(value)}\n`);
  } catch (cause) {
    throw fileError(cause, file, 'write');
  }
}
