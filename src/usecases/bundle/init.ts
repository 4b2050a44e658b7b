import { basename, dirname, join, resolve } from 'node:path';
import type { ProjectFiles } from '../../ports/project-files.ts';
import { UseCaseError } from '../errors.ts';
import { type ExampleFile, exampleFiles } from './init-example.ts';
import { DEFINITION_FILE_NAME } from './lock-definition.ts';

export interface InitReport {
  readonly folder: string;
  /** Relative to the folder, in the order in which they were written. */
  readonly written: readonly string[];
}

/**
 * Writes the example. Nothing is overwritten: a file that is there already stops it before anything is written, unless it
 * holds exactly what would be written and bundle.yaml is missing (a run that was interrupted goes on).
 *
 * @throws UseCaseError ALREADY_THERE, naming every such file.
 */
export async function initBundle(
  folder: string,
  files: ProjectFiles,
  options: { readonly signal?: AbortSignal } = {},
): Promise<InitReport> {
  const root = resolve(folder);
  const example = exampleFiles(nameFor(root));
  const definition = join(root, DEFINITION_FILE_NAME);
  if ((await files.kind(definition)) !== 'absent') throw alreadyThere(definition);
  const conflicts: UseCaseError[] = [];
  const missing: ExampleFile[] = [];
  for (const file of example) {
    const path = join(root, file.path);
    if ((await files.kind(path)) === 'absent') missing.push(file);
    else if (!(await holds(path, file.text, files))) conflicts.push(alreadyThere(path));
  }
  const [first, ...others] = conflicts;
  if (first !== undefined) throw others.length === 0 ? first : alreadyThere(first.at?.file ?? root, others);
  for (const file of missing) {
    options.signal?.throwIfAborted();
    const path = join(root, file.path);
    await files.makeFolder(dirname(path));
    await files.write(path, file.text);
  }
  return { folder: root, written: missing.map(({ path }) => path) };
}

async function holds(path: string, text: string, files: ProjectFiles): Promise<boolean> {
  if ((await files.kind(path)) !== 'file') return false;
  const bytes = Buffer.from(text);
  const [entry] = (await files.list(dirname(path))).filter(({ name }) => name === basename(path));
  return entry?.sizeBytes === bytes.length && bytes.equals(await files.read(path, bytes.length));
}

/** The folder's name, if a bundle can have it. */
function nameFor(folder: string): string {
  const name = basename(folder)
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 40)
    .replace(/-+$/, '');
  return name === '' ? 'example' : name;
}

function alreadyThere(path: string, others: readonly UseCaseError[] = []): UseCaseError {
  return new UseCaseError('ALREADY_THERE', 'The file is there already, and nothing is overwritten.', {
    at: { file: path },
    hint: 'Choose another folder.',
    others,
  });
}
