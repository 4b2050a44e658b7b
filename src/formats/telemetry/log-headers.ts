import { FormatError } from '../errors.ts';

export const LOG_HEADERS_MAX_BYTES = 64 * 1024;

/** Those by which the request itself is made. */
const OWN = /^(?:content-.*|host|connection|keep-alive|transfer-encoding|te|trailer|upgrade|expect|user-agent)$/i;

/**
 * A file of headers, such as a receiver's access token: `NAME: VALUE`, one a line; empty lines and those with `#` are passed over.
 *
 * @throws FormatError LOG_HEADERS_INVALID, without any of the file in it
 */
export function parseLogHeaders(text: string, file: string): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [, name, value] =
      /^([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)[ \t]*$/.exec(line) ?? [];
    if (name === undefined || value === undefined || OWN.test(name)) {
      throw new FormatError('LOG_HEADERS_INVALID', 'a line of the file is no header that may be sent', {
        expected: 'NAME: VALUE, such as signoz-ingestion-key: …',
        at: { file, line: index + 1 },
        hint: 'One header a line; those of the request itself, such as Content-Type, cannot be changed.',
      });
    }
    headers[name.toLowerCase()] = value;
  }
  return headers;
}
