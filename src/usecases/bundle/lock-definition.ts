import { dirname, join, resolve } from 'node:path';
import { decodeDefinition, type PlacedDefinition } from '../../formats/bundle/definition.ts';
import { suggestionHint } from '../../formats/bundle/definition-problems.ts';
import type { Switches } from '../../formats/bundle/definition-select.ts';
import type { KeyPath } from '../../formats/bundle/definition-yaml.ts';
import { DEFINITION_LIMIT_BYTES } from '../../formats/bundle/definition-yaml.ts';
import { LOCK_FILE_NAME } from '../../formats/bundle/lock.ts';
import { FormatError } from '../../formats/errors.ts';
import type { ProjectFiles } from '../../ports/project-files.ts';
import { UseCaseError } from '../errors.ts';
import type { Selection } from './lock-types.ts';

export const DEFINITION_FILE_NAME = 'bundle.yaml';

/** A definition that was read, with the folder that its paths are relative to. */
export interface Project extends PlacedDefinition {
  readonly folder: string;
  readonly definitionFile: string;
  readonly lockFile: string;
}

/** `path` is a folder with a bundle.yaml, or the file itself. */
async function locateDefinition(path: string, files: ProjectFiles): Promise<string> {
  const absolute = resolve(path);
  return (await files.kind(absolute)) === 'folder' ? join(absolute, DEFINITION_FILE_NAME) : absolute;
}

/** @throws FormatError DEFINITION_INVALID; AdapterError FILE_MISSING, FILE_UNREADABLE, FILE_TOO_LARGE. */
export async function readProject(path: string, files: ProjectFiles): Promise<Project> {
  const definitionFile = await locateDefinition(path, files);
  const bytes = await files.read(definitionFile, DEFINITION_LIMIT_BYTES);
  const folder = dirname(definitionFile);
  return {
    ...decodeDefinition(decodeText(bytes, definitionFile), definitionFile),
    folder,
    definitionFile,
    lockFile: join(folder, LOCK_FILE_NAME),
  };
}

/** UTF-8, strictly. @throws FormatError DEFINITION_INVALID, VALUES_INVALID or what `code` says. */
export function decodeText(
  bytes: Uint8Array,
  file: string,
  code:
    | 'DEFINITION_INVALID'
    | 'VALUES_INVALID'
    | 'CONFIGURATION_NOT_JSON'
    | 'CHART_INVALID'
    | 'LOCK_INVALID' = 'DEFINITION_INVALID',
): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError(code, 'The file is not text in UTF-8.', { cause, at: { file }, hint: 'Save it as UTF-8.' });
  }
}

/** An existing input of the definition, absolute. @throws FormatError DEFINITION_INVALID, placed at `key`. */
export async function requireInput(
  project: Project,
  path: string,
  key: KeyPath,
  wanted: 'file' | 'folder' | 'file or folder',
  files: ProjectFiles,
): Promise<{ readonly path: string; readonly kind: 'file' | 'folder' }> {
  const absolute = resolve(project.folder, path);
  const kind = await files.kind(absolute);
  if ((kind === 'file' || kind === 'folder') && wanted.includes(kind)) return { path: absolute, kind };
  const words = { absent: 'nothing', other: 'something else', file: 'a file', folder: 'a folder' } as const;
  throw new FormatError('DEFINITION_INVALID', `\`${path}\` is not a ${wanted}.`, {
    expected: `a ${wanted}`,
    found: words[kind],
    at: project.place(key),
    hint: `Paths are relative to ${project.folder}.`,
  });
}

/** Completes what was chosen by the definition's defaults. @throws UseCaseError SELECTION_UNKNOWN. */
export function switchesOf(project: Project, selection: Selection): Switches {
  const { definition } = project;
  const known = [...definition.features.keys()];
  const provider = selection.provider ?? definition.provider;
  const chosen = selection.features ?? {};
  for (const name of Object.keys(chosen)) {
    if (!definition.features.has(name)) throw unknownName('feature', name, known, project);
  }
  if (provider !== undefined && !definition.providers.has(provider)) {
    throw unknownName('provider', provider, [...definition.providers.keys()], project);
  }
  return {
    features: Object.fromEntries(
      [...definition.features].map(([name, feature]) => [
        name,
        Object.hasOwn(chosen, name) ? (chosen[name] ?? feature.default) : feature.default,
      ]),
    ),
    ...(provider === undefined ? {} : { provider }),
    platforms:
      selection.platforms === undefined || selection.platforms.length === 0
        ? definition.platforms
        : selection.platforms,
  };
}

function unknownName(what: string, found: string, known: readonly string[], project: Project): UseCaseError {
  return new UseCaseError('SELECTION_UNKNOWN', `bundle.yaml defines no ${what} \`${found}\`.`, {
    found,
    at: { file: project.definitionFile, key: `${what}s` },
    hint: known.length === 0 ? `It defines no ${what}s at all.` : suggestionHint(found, known),
  });
}
