import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Ended, type Event, type ProgramOptions, run, succeed } from './program.ts';

export const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

export interface BuiltFile {
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** Runs scripts/build-importer, as a person does; gives what it wrote. */
export async function buildImporter(args: readonly string[]): Promise<readonly BuiltFile[]> {
  const printed = await succeed(join(CHECKOUT, 'scripts', 'build-importer'), [...args, '--json']);
  return (JSON.parse(printed) as { files: BuiltFile[] }).files;
}

/** A run of an executable with `--json`: what it said in the end. */
export async function resultOf(
  program: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<Ended & { readonly last: Event | undefined }> {
  const ended = await run(program, [...args, '--json'], options);
  const lines = ended.stdout.split('\n').filter((line) => line !== '');
  const last = lines.map((line) => JSON.parse(line) as Event).findLast(({ event }) => event !== 'progress');
  return { ...ended, last };
}
