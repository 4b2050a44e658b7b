import { chmod, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('./browser-program-main.ts', import.meta.url));

/** Writes a program that BROWSER may name: it logs in as a person of the provider at the address that it is given. */
export async function writeBrowserProgram(file: string, person: { readonly id: string }): Promise<string> {
  await writeFile(file, `#!/bin/sh\nLOGIN_AS='${person.id}' exec '${process.execPath}' '${MAIN}' "$1"\n`);
  await chmod(file, 0o755);
  return file;
}
