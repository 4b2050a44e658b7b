import { UseCaseError } from '../../errors.ts';

/**
 * Names of a path of the contents, from the outermost; none for `.`, the folder itself. Whoever wrote the contents may want to
 * write elsewhere: only names that lead further down are taken.
 *
 * @throws UseCaseError SNAPSHOT_NOT_RIGHT
 */
export function namesOf(path: string, rawPath?: string): readonly Buffer[] {
  const bytes = rawPath === undefined ? Buffer.from(path) : Buffer.from(rawPath, 'base64');
  if (rawPath !== undefined && bytes.toString('base64') !== rawPath) throw unsafe(path, 'its bytes are not base64');
  if (bytes.equals(ITSELF)) return [];
  const names = split(bytes);
  for (const name of names) {
    if (name.length === 0) throw unsafe(path, 'it is absolute, or has an empty name');
    if (name.equals(ITSELF) || name.equals(PARENT)) throw unsafe(path, 'it leads elsewhere');
    if (name.includes(0)) throw unsafe(path, 'no file can have such a name');
  }
  return names;
}

const ITSELF = Buffer.from('.');
const PARENT = Buffer.from('..');
const SLASH = 0x2f;

function split(bytes: Buffer): Buffer[] {
  const names: Buffer[] = [];
  for (let start = 0; ; ) {
    const end = bytes.indexOf(SLASH, start);
    if (end < 0) return [...names, bytes.subarray(start)];
    names.push(bytes.subarray(start, end));
    start = end + 1;
  }
}

function unsafe(path: string, why: string): UseCaseError {
  return new UseCaseError('SNAPSHOT_NOT_RIGHT', `the contents name a path that is not restored: ${why}`, {
    found: JSON.stringify(path.slice(0, 200)),
    hint: 'Whoever wrote this snapshot is broken or hostile: restore another one, and look into that machine.',
  });
}
