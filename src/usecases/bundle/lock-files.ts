import { join } from 'node:path';
import type { SelectedDefinition } from '../../formats/bundle/definition-select.ts';
import type { LockedConfiguration, LockedFile, LockedModule } from '../../formats/bundle/lock-types.ts';
import { FormatError } from '../../formats/errors.ts';
import { MODULE_FILE_LIMIT_BYTES, sortModuleFiles } from '../../formats/migration/module-files.ts';
import { keyHint, PUBLIC_KEY_FILE_MAX_BYTES, parsePublicKey } from '../../formats/sigstore/public-key.ts';
import type { LocalBlob } from '../../ports/blobs.ts';
import { decodeText, type Project, requireInput } from './lock-definition.ts';
import type { LockDependencies, LockOptions } from './lock-types.ts';

/** Entries of a lock with the files that they speak of. All are hashed where they lie; nothing is copied. */
export interface Collected<Entry> {
  readonly entries: readonly Entry[];
  readonly blobs: readonly LocalBlob[];
}

const JSON_LIMIT_BYTES = 64 * 1024 * 1024;

/** @throws FormatError MODULE_INVALID, DUPLICATE, DEFINITION_INVALID. */
export async function collectModules(
  project: Project,
  selected: SelectedDefinition,
  { files }: LockDependencies,
  options: LockOptions,
): Promise<Collected<LockedModule>> {
  const entries: LockedModule[] = [];
  const blobs: LocalBlob[] = [];
  for (const module of selected.modules) {
    const { path } = await requireInput(project, module.path, [...module.key, 'path'], 'folder', files);
    const listed = await files.list(path);
    const odd = listed.find((entry) => entry.kind !== 'file');
    if (odd !== undefined) throw notAMigration(join(path, odd.name), 'a file');
    const large = listed.find((entry) => entry.sizeBytes > MODULE_FILE_LIMIT_BYTES);
    if (large !== undefined) throw notAMigration(join(path, large.name), `at most ${MODULE_FILE_LIMIT_BYTES} bytes`);
    const names = sortModuleFiles(
      listed.map((entry) => entry.name),
      path,
    );
    const hashed: LocalBlob[] = [];
    for (const { name } of names) hashed.push(await files.hash(join(path, name), options));
    blobs.push(...hashed);
    entries.push({
      name: module.name,
      source: module.path,
      requires: module.requires,
      files: names.map(({ name }, index) => ({ name, ...pinned(hashed[index] as LocalBlob) })),
    });
  }
  return { entries, blobs };
}

/** JSON documents, then the values of the chosen provider (or of each while none is chosen). */
export async function collectConfiguration(
  project: Project,
  selected: SelectedDefinition,
  { files }: LockDependencies,
  options: LockOptions,
): Promise<Collected<LockedConfiguration>> {
  const entries: LockedConfiguration[] = [];
  const blobs: LocalBlob[] = [];
  for (const { source, path, key } of selected.configuration) {
    const input = await requireInput(project, source, key, 'file', files);
    checkJson(
      decodeText(await files.read(input.path, JSON_LIMIT_BYTES), input.path, 'CONFIGURATION_NOT_JSON'),
      input.path,
    );
    const blob = await files.hash(input.path, options);
    blobs.push(blob);
    entries.push({ path, source, kind: 'json', ...pinned(blob) });
  }
  for (const [index, { provider, file, key }] of selected.providerValues.entries()) {
    const input = await requireInput(project, file, key, 'file', files);
    const blob = await files.hash(input.path, options);
    blobs.push(blob);
    const first = selected.providerValues.findIndex((other) => other.provider === provider);
    // The number keeps the order in which they are merged.
    const path = `values/${provider}/${index - first + 1}.yaml`;
    entries.push({ path, source: file, kind: 'values', provider, ...pinned(blob) });
  }
  return { entries, blobs };
}

export async function collectFiles(
  project: Project,
  selected: SelectedDefinition,
  { files, progress }: LockDependencies,
  options: LockOptions,
): Promise<Collected<LockedFile>> {
  const entries: LockedFile[] = [];
  const blobs: LocalBlob[] = [];
  for (const { path, source, mode, key } of selected.files) {
    const input = await requireInput(project, source, [...key, 'source'], 'file', files);
    const task = progress.task(`Reading ${source}`);
    const blob = await files.hash(input.path, { ...options, onBytes: (bytes) => task.advance(bytes) });
    task.done();
    blobs.push(blob);
    entries.push({ path, source, mode, ...pinned(blob) });
  }
  return { entries, blobs };
}

/** Key hints of the publishers that may sign, sorted. */
export async function collectSigners(project: Project, { files }: LockDependencies): Promise<readonly string[]> {
  const hints = new Set<string>();
  for (const { path, key } of project.definition.signers) {
    const input = await requireInput(project, path, key, 'file', files);
    hints.add(keyHint(parsePublicKey(await files.read(input.path, PUBLIC_KEY_FILE_MAX_BYTES), input.path)));
  }
  return [...hints].sort();
}

export function pinned({ digest, sizeBytes }: LocalBlob): Pick<LocalBlob, 'digest' | 'sizeBytes'> {
  return { digest, sizeBytes };
}

function checkJson(text: string, file: string): void {
  try {
    JSON.parse(text);
  } catch (cause) {
    const offset = Number(/at position (\d+)/.exec(String(cause))?.[1] ?? Number.NaN);
    const before = Number.isNaN(offset) ? undefined : text.slice(0, offset).split('\n');
    throw new FormatError('CONFIGURATION_NOT_JSON', 'The file is not JSON.', {
      cause,
      at: { file, ...(before === undefined ? {} : { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 }) },
      hint: 'Correct it at this place: JSON has no comments and no comma before a closing bracket.',
    });
  }
}

function notAMigration(file: string, expected: string): FormatError {
  return new FormatError('MODULE_INVALID', 'A module holds something that is not a migration.', {
    expected,
    at: { file },
    hint: 'Move it out of the module.',
  });
}
