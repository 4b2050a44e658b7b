/** os-release(5): `NAME=value` lines, the value possibly in quotes. Says which distribution a database of packages is of. */
import { fitText } from './package.ts';
import { type ByteSource, readLines } from './text-lines.ts';

export interface Distribution {
  /** `debian`, `alpine`, … */
  readonly id: string;
  /** `12`, `3.22.1`; rolling distributions have none. */
  readonly versionId?: string;
}

/** `undefined` when there is no usable ID. */
export async function parseOsRelease(source: ByteSource): Promise<Distribution | undefined> {
  let id: string | undefined;
  let versionId: string | undefined;
  for await (const line of readLines(source)) {
    const [, name, value = ''] = /^(ID|VERSION_ID)=(.*)$/.exec(line.trim()) ?? [];
    if (name === 'ID') id = unquote(value);
    if (name === 'VERSION_ID') versionId = unquote(value);
  }
  if (id === undefined || !/^[a-z0-9._-]+$/.test(id)) return undefined;
  return versionId === undefined || !/^[A-Za-z0-9._+~-]+$/.test(versionId) ? { id } : { id, versionId };
}

function unquote(value: string): string | undefined {
  return fitText(/^(["'])(.*)\1$/.exec(value)?.[2] ?? value, 64);
}
