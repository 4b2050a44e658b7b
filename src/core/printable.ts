/**
 * Text from outside, for an error or a table: control and format characters (which could steer a terminal or turn the
 * direction of writing) become spaces, and it is cut at `maxLength` characters.
 */
export function printable(text: string, maxLength = 300): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]+/gu, ' ').trim();
  return clean.length > maxLength ? `${clean.slice(0, maxLength)}…` : clean;
}
