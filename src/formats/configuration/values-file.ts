import { stringify } from 'yaml';

/** Values of a release as a file that helm, and `bundle build --values`, read back to the same. */
export function stringifyValues(values: Readonly<Record<string, unknown>>): string {
  // Every text is quoted: helm reads YAML 1.1 and more (`0o17`), where a bare `yes` or `0755` is no text.
  return stringify(values, {
    defaultStringType: 'QUOTE_DOUBLE',
    defaultKeyType: 'QUOTE_DOUBLE',
    lineWidth: 0,
    aliasDuplicateObjects: false,
    sortMapEntries: true,
  });
}
