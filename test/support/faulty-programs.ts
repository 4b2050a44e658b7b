import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PostgresProgram } from '../../src/ports/postgres-programs.ts';

/**
 * - `killed`, `killed-midway`: SIGKILL before it did anything, or when it had printed a part and done all
 * - `fails`: prints an error, and ends with status 1
 * - `cut`: half of what it prints, and status 0
 * - `nothing`: status 0, and nothing was done
 * - `hangs`: until somebody ends it
 */
export type ProgramFault = 'killed' | 'killed-midway' | 'fails' | 'cut' | 'nothing' | 'hangs';

export const PROGRAM_FAULTS: readonly ProgramFault[] = ['killed', 'killed-midway', 'fails', 'cut', 'nothing', 'hangs'];

export interface FaultyPrograms {
  /** Of wrappers round the real ones. */
  readonly folder: string;
  /** How the programs were called since the last `arm`: name and arguments. */
  calls(): Promise<readonly string[]>;
  /** Has the `call`-th call (from 1) go wrong; without arguments, none. */
  arm(call?: number, fault?: ProgramFault): Promise<void>;
}

const PROGRAMS: readonly PostgresProgram[] = ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql'];

/** Stands before the programs in `real`. One call at a time is counted right. */
export async function createFaultyPrograms(folder: string, real: string): Promise<FaultyPrograms> {
  await mkdir(folder, { recursive: true });
  const at = (name: string) => join(folder, name);
  for (const program of PROGRAMS) {
    await writeFile(at(program), wrapper(folder, join(real, program)));
    await chmod(at(program), 0o755);
  }
  const programs: FaultyPrograms = {
    folder,
    calls: async () => (await readFile(at('calls'), 'utf8')).split('\n').slice(0, -1),
    async arm(call, fault) {
      await writeFile(at('calls'), '');
      await writeFile(at('plan'), call === undefined ? '' : `${call} ${fault}`);
    },
  };
  await programs.arm();
  return programs;
}

function wrapper(folder: string, real: string): string {
  return `#!/bin/sh
echo "$(basename "$0") $*" >> ${folder}/calls
read -r call fault < ${folder}/plan
if [ "$call" != "$(wc -l < ${folder}/calls | tr -d ' ')" ]; then exec ${real} "$@"; fi
case $fault in
  killed) kill -9 $$ ;;
  killed-midway) ${real} "$@" | head -c 2000; kill -9 $$ ;;
  fails) echo "$(basename "$0"): error: a planned fault" >&2; exit 1 ;;
  cut) out=$(mktemp ./cut.XXXXXX); ${real} "$@" > "$out"; head -c $(($(wc -c < "$out") / 2)) "$out"; exit 0 ;;
  nothing) exit 0 ;;
  hangs) exec sleep 600 ;;
esac
`;
}
