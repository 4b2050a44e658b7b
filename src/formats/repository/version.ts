import { FormatError } from '../errors.ts';

/** Of the repository's formats, all together. */
export const REPOSITORY_VERSION = 1;

/** Apart from the documents, whose schemas a worker thread should not have to load. */
export function unsupportedVersion(what: string, found: string | number, at: string | undefined): FormatError {
  return new FormatError('REPOSITORY_VERSION_UNSUPPORTED', `${what} has a version that this program does not know`, {
    expected: REPOSITORY_VERSION,
    found,
    hint: 'Use a newer release of Portolan.',
    ...(at === undefined ? {} : { at: { file: at } }),
  });
}
