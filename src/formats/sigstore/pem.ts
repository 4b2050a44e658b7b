/**
 * PEM text (RFC 7468): `-----BEGIN LABEL-----`, base64 in lines, `-----END LABEL-----`. Text outside of the blocks is
 * commentary, as in RFC 7468 section 2. A linear scan, since the text comes from outside.
 */

export interface PemBlock {
  readonly label: string;
  readonly der: Uint8Array;
}

const BEGIN = '-----BEGIN ';
const DASHES = '-----';

/** The blocks in order. `undefined` when a block is not closed, has another end label, or holds something that is not base64. */
export function decodePem(text: string): readonly PemBlock[] | undefined {
  const blocks: PemBlock[] = [];
  let from = 0;
  for (;;) {
    const begin = text.indexOf(BEGIN, from);
    if (begin < 0) return blocks;
    const labelEnd = text.indexOf(DASHES, begin + BEGIN.length);
    if (labelEnd < 0) return undefined;
    const label = text.slice(begin + BEGIN.length, labelEnd);
    const endMark = `-----END ${label}-----`;
    const end = text.indexOf(endMark, labelEnd);
    if (end < 0 || label.includes('\n')) return undefined;
    const der = decodeBase64(text.slice(labelEnd + DASHES.length, end).replaceAll(/[\r\n\t ]/g, ''));
    if (der === undefined || der.length === 0) return undefined;
    blocks.push({ label, der });
    from = end + endMark.length;
  }
}

/** Standard base64 with padding and without a second spelling: bits that count for nothing must be zero. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}
