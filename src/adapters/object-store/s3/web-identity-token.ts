import { AdapterError } from '../../errors.ts';
import { readSmallFile } from '../../files/small-file.ts';

/** A JSON web token that says who this is; asked for each time, since it lives minutes. */
export type WebIdentityToken = (options: { readonly signal?: AbortSignal }) => Promise<string>;

const MAX_TOKEN_BYTES = 20_000;

/**
 * The token in a file that somebody else renews, as Kubernetes does for a Pod. Read afresh each time.
 *
 * @throws AdapterError STORE_CREDENTIALS_MISSING
 */
export function tokenOfFile(file: string): WebIdentityToken {
  return async () => {
    const bytes = await readSmallFile(file, MAX_TOKEN_BYTES, { followLinks: true });
    const token = bytes === undefined ? '' : new TextDecoder().decode(bytes).trim();
    if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return token;
    throw new AdapterError('STORE_CREDENTIALS_MISSING', 'The file of AWS_WEB_IDENTITY_TOKEN_FILE holds no token', {
      expected: 'a JSON web token',
      found: bytes === undefined ? 'no file' : token === '' ? 'an empty file' : 'something else',
      at: { file },
      hint: "Check the Pod's service account and its volume, or whatever else writes this file.",
    });
  };
}
