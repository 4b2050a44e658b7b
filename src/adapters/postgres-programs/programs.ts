import { constants } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import { PortolanError } from '../../core/errors.ts';
import type { FindOptions, PostgresProgram, PostgresPrograms, ProgramSet } from '../../ports/postgres-programs.ts';
import { AdapterError } from '../errors.ts';
import { programOutput } from './program-output.ts';

export interface ProgramSettings {
  /** Looked into alone, where it is given (`--pg-bin`). Absolute. */
  readonly folder?: string;
  /** The PATH. */
  readonly searchPath?: string;
  /** A folder for private, small, short-lived files; in memory where the system has such a place. Absolute. */
  readonly temporaryFolder: string;
}

/** Where distributions put the programs of several versions side by side: the folder above, the name with N for the version. */
const LAYOUTS: readonly { readonly above: string; readonly name: RegExp; readonly below: string }[] = [
  { above: '/usr/lib/postgresql', name: /^\d+$/, below: 'bin' },
  { above: '/usr', name: /^pgsql-\d+$/, below: 'bin' },
  { above: '/usr/libexec', name: /^postgresql\d+$/, below: '.' },
  { above: '/opt/homebrew/opt', name: /^(?:postgresql|libpq)(?:@\d+)?$/, below: 'bin' },
];

const VERSION_TIMEOUT_MS = 30_000;

interface Candidate {
  readonly folder: string;
  readonly major: number;
  readonly version: string;
}

/** What was found once is not looked for again: each look starts every program there is. */
export function createPostgresPrograms(settings: ProgramSettings): PostgresPrograms {
  const known = new Map<string, ProgramSet>();
  return {
    async find(serverMajor, options) {
      const wanted = [serverMajor, ...options.programs].join(' ');
      const set = known.get(wanted) ?? (await findSet(serverMajor, options, settings));
      known.set(wanted, set);
      return set;
    },
  };
}

async function findSet(serverMajor: number, options: FindOptions, settings: ProgramSettings): Promise<ProgramSet> {
  const found: Candidate[] = [];
  for (const folder of await foldersToLookInto(settings)) {
    const candidate = await candidateIn(folder, options, settings.temporaryFolder);
    if (candidate === undefined) continue;
    if (candidate.major === serverMajor) return programSet(candidate, settings);
    found.push(candidate);
  }
  // A program reads servers that are older than itself, never newer ones.
  const [next] = found.filter(({ major }) => major > serverMajor).sort((a, b) => a.major - b.major);
  if (next !== undefined) return programSet(next, settings);
  throw missing(serverMajor, found, options.programs, settings);
}

function programSet({ folder, major, version }: Candidate, { temporaryFolder }: ProgramSettings): ProgramSet {
  return {
    folder,
    major,
    version,
    output: (run, options) => programOutput(join(folder, run.program), run, temporaryFolder, options),
  };
}

async function foldersToLookInto({ folder, searchPath = '' }: ProgramSettings): Promise<readonly string[]> {
  if (folder !== undefined) return [folder];
  const inLayouts: string[] = [];
  for (const { above, name, below } of LAYOUTS) {
    const entries = await readdir(above).catch(() => []);
    for (const entry of entries) if (name.test(entry)) inLayouts.push(join(above, entry, below));
  }
  return [...new Set([...inLayouts, ...searchPath.split(delimiter).filter(isAbsolute)])];
}

/** The version of the programs in a folder; undefined when they are not all there and of one version. */
async function candidateIn(
  folder: string,
  { programs, signal }: FindOptions,
  temporaryFolder: string,
): Promise<Candidate | undefined> {
  const versions = await Promise.all(
    programs.map(async (program) => {
      const path = join(folder, program);
      return (await isExecutable(path)) ? await versionOf(path, program, temporaryFolder, signal) : undefined;
    }),
  );
  const [version] = versions;
  if (version === undefined || versions.some((own) => own !== version)) return undefined;
  return { folder, version, major: Number.parseInt(version, 10) };
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function versionOf(
  path: string,
  program: PostgresProgram,
  temporaryFolder: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  try {
    let text = '';
    const run = { program, arguments: ['--version'], idleTimeoutMs: VERSION_TIMEOUT_MS };
    for await (const bytes of programOutput(path, run, temporaryFolder, signal === undefined ? {} : { signal })) {
      text += Buffer.from(bytes).toString();
    }
    return /^\S+ \(PostgreSQL\) (\d+(?:\.\d+|[a-z]+\d+)?)/.exec(text)?.[1];
  } catch (cause) {
    signal?.throwIfAborted();
    // What cannot tell its version is not used.
    if (cause instanceof PortolanError) return undefined;
    throw cause;
  }
}

function missing(
  serverMajor: number,
  found: readonly Candidate[],
  programs: readonly PostgresProgram[],
  { folder }: ProgramSettings,
): AdapterError {
  return new AdapterError('POSTGRES_PROGRAMS_MISSING', 'There are no client programs of PostgreSQL for this server', {
    expected: `${programs.join(', ')} ${serverMajor} or newer`,
    found: found.map((one) => `${one.version} in ${one.folder}`).join(', ') || 'none',
    ...(folder === undefined ? {} : { at: { file: folder } }),
    hint: `Install the client programs of PostgreSQL ${serverMajor} (Debian: postgresql-client-${serverMajor}), in a container take an image that has them, or name their folder by --pg-bin.`,
  });
}
