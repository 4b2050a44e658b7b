import { readFile } from 'node:fs/promises';
import { fileError, isErrno } from '../files/file-error.ts';

interface Accounts {
  readonly byId: ReadonlyMap<number, string>;
  readonly byName: ReadonlyMap<string, number>;
}

/** `/etc/passwd` or `/etc/group`: NAME:x:ID:… Accounts of a directory service are not in it, and stay numbers. */
export async function readAccounts(file: '/etc/passwd' | '/etc/group'): Promise<Accounts> {
  const text = await readFile(file, 'utf8').catch((cause) => {
    if (isErrno(cause) && cause.code === 'ENOENT') return '';
    throw fileError(cause, file, 'read');
  });
  const byId = new Map<number, string>();
  const byName = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [name, , digits] = line.split(':');
    if (name === undefined || name === '' || digits === undefined || !/^\d{1,10}$/.test(digits)) continue;
    const id = Number(digits);
    // Several names of one number: the first counts, as for getpwuid(3).
    if (!byId.has(id)) byId.set(id, name);
    if (!byName.has(name)) byName.set(name, id);
  }
  return { byId, byName };
}
