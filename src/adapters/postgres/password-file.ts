/**
 * A file of passwords as psql reads it (PostgreSQL, "The Password File"): `host:port:database:user:password`, `*` for any,
 * a backslash before `:` and `\`; the first line that fits wins. A Unix socket counts as `localhost`.
 */
import type { DatabaseAddress } from './database-url.ts';

export function passwordFromFile(text: string, address: DatabaseAddress): string | undefined {
  const host = address.host.startsWith('/') ? 'localhost' : address.host;
  const wanted = [host, String(address.port), address.name, address.user];
  for (const line of text.split(/\r?\n/)) {
    if (line === '' || line.startsWith('#')) continue;
    const fields = splitFields(line);
    if (fields.length < 5) continue;
    if (wanted.every((value, index) => fields[index]?.raw === '*' || fields[index]?.value === value)) {
      return fields[4]?.value;
    }
  }
  return undefined;
}

function splitFields(line: string): readonly { readonly raw: string; readonly value: string }[] {
  const fields = [{ raw: '', value: '' }];
  for (let at = 0; at < line.length; at += 1) {
    const field = fields.at(-1) as { raw: string; value: string };
    const character = line[at] as string;
    if (character === '\\' && at + 1 < line.length) {
      at += 1;
      field.raw += `\\${line[at]}`;
      field.value += line[at];
    } else if (character === ':' && fields.length < 5) fields.push({ raw: '', value: '' });
    else {
      field.raw += character;
      field.value += character;
    }
  }
  return fields;
}
