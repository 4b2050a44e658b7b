/**
 * A single executable (Node.js, "Single executable applications"): Node itself, with a program in a note of the ELF file and a
 * switch turned on that makes Node look for it.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../images/process.ts';
import { readElf, withoutSymbols } from './elf.ts';

/** The note in which Node looks for its program. */
const NOTE = 'NODE_SEA_BLOB';
/** In Node's sources, src/node_sea_bin.cc; Node has it with `:0` behind, and postject makes it `:1`. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

export interface ExecutableParts {
  /** The program, CommonJS. */
  readonly text: string;
  /** Node for the machine on which the executable will run. */
  readonly node: string;
  readonly machine: 'x64' | 'arm64';
  readonly workFolder: string;
}

/**
 * Makes the executable; the same bytes for the same parts. For this machine's kind it also holds the program compiled, which
 * saves a third of the start; V8 compiles for one processor only.
 */
export async function makeExecutable({ text, node, machine, workFolder }: ExecutableParts): Promise<Buffer> {
  const isNative = machine === process.arch;
  // Relative names: what Node writes into the executable tells nothing of this machine.
  const names = { main: 'portolan.cjs', output: 'portolan.blob' };
  const configuration = {
    ...names,
    disableExperimentalSEAWarning: true,
    useCodeCache: isNative,
    // As scripts/portolan does: young objects are few, and a small space for them saves 30 MiB.
    execArgv: ['--max-semi-space-size=1'],
  };
  await writeFile(join(workFolder, names.main), text);
  await writeFile(join(workFolder, 'sea.json'), JSON.stringify(configuration));
  // Compiled code holds hashes of names: from a fixed seed they are the same in each build. It does not travel with them.
  const flags = ['--random-seed=1', '--experimental-sea-config', 'sea.json'];
  const environment = { NODE_OPTIONS: '', NODE_COMPILE_CACHE: '' };
  // A program compiled by another version of Node would be refused at each start.
  await run(isNative ? node : process.execPath, flags, { cwd: workFolder, env: environment });
  const path = join(workFolder, 'portolan');
  await writeFile(path, withoutSymbols(await readFile(node)), { mode: 0o755 });
  // A process of its own: it says a lot, and keeps the memory.
  const postject = [join(dirname(fileURLToPath(import.meta.resolve('postject'))), 'cli.js'), path, NOTE, names.output];
  await run(process.execPath, [...postject, '--sentinel-fuse', FUSE], { cwd: workFolder, env: environment });
  const executable = await readFile(path);
  assertWhole(executable, machine);
  return executable;
}

function assertWhole(executable: Buffer, machine: ExecutableParts['machine']): void {
  const found = readElf(executable);
  if (found.machine !== machine) throw new Error(`the executable is for ${found.machine}, not for ${machine}`);
  if (!found.notes.includes(NOTE)) throw new Error('the executable has no program in it');
  if (!executable.includes(`${FUSE}:1`)) throw new Error('the executable would start as Node itself');
}
