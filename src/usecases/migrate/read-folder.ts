import { dirname, join, resolve } from 'node:path';
import { decodeContents, LISTS_MAX_BYTES } from '../../formats/bundle/contents.ts';
import { FormatError } from '../../formats/errors.ts';
import { MODULE_FILE_LIMIT_BYTES } from '../../formats/migration/module-files.ts';
import type { Requiring } from '../../formats/migration/module-order.ts';
import {
  decodeModules,
  isModuleName,
  MODULES_FILE,
  MODULES_FILE_LIMIT_BYTES,
} from '../../formats/migration/modules-json.ts';
import type { ProjectFiles } from '../../ports/project-files.ts';
import { DEFINITION_FILE_NAME, readProject } from '../bundle/lock-definition.ts';
import type { MigrationFile, MigrationModule } from './types.ts';

interface LocatedModule extends Requiring {
  readonly folder: string;
}

/**
 * The modules of a folder. What they require stands in modules.json in it; or beside it in contents.json (the folder `modules`
 * of an unpacked bundle) or in bundle.yaml. One module alone needs none of them.
 *
 * @param folder - Absolute.
 * @throws FormatError MODULES_INVALID, MODULE_INVALID, CONTENTS_INVALID, DEFINITION_INVALID; AdapterError FILE_…
 */
export async function readModuleFolder(
  folder: string,
  files: ProjectFiles,
  options: { readonly signal?: AbortSignal } = {},
): Promise<readonly MigrationModule[]> {
  const located = await locateModules(folder, files);
  const modules: MigrationModule[] = [];
  for (const { name, requires, folder: place } of located) {
    const contents: MigrationFile[] = [];
    for (const entry of await files.list(place)) {
      const path = join(place, entry.name);
      if (entry.kind !== 'file') throw notAMigration(path, 'a file');
      if (entry.sizeBytes > MODULE_FILE_LIMIT_BYTES)
        throw notAMigration(path, `at most ${MODULE_FILE_LIMIT_BYTES} bytes`);
      const { digest } = await files.hash(path, options);
      contents.push({ name: entry.name, digest, read: () => files.read(path, MODULE_FILE_LIMIT_BYTES) });
    }
    modules.push({ name, requires, files: contents });
  }
  return modules;
}

async function locateModules(folder: string, files: ProjectFiles): Promise<readonly LocatedModule[]> {
  const entries = await files.list(folder);
  const found = entries.filter(({ kind, name }) => kind === 'folder' && isModuleName(name)).map(({ name }) => name);
  const inside = (modules: readonly Requiring[], source: string) =>
    matchFolders(
      modules.map((module) => ({ ...module, folder: join(folder, module.name) })),
      found,
      folder,
      source,
    );
  const own = join(folder, MODULES_FILE);
  if ((await files.kind(own)) === 'file') {
    return inside(decodeModules(await files.read(own, MODULES_FILE_LIMIT_BYTES), own), own);
  }
  const contents = join(dirname(folder), 'contents.json');
  if ((await files.kind(contents)) === 'file') {
    return inside(decodeContents(await files.read(contents, LISTS_MAX_BYTES)).modules, contents);
  }
  const definition = join(dirname(folder), DEFINITION_FILE_NAME);
  if ((await files.kind(definition)) === 'file') {
    const { definition: read, folder: base } = await readProject(definition, files);
    const modules = read.modules.map(({ name, requires, path }) => ({ name, requires, folder: resolve(base, path) }));
    return matchFolders(
      modules.filter((module) => dirname(module.folder) === folder),
      found,
      folder,
      definition,
    );
  }
  if (found.length === 1) return found.map((name) => ({ name, requires: [], folder: join(folder, name) }));
  if (found.length === 0) {
    throw new FormatError('MODULES_INVALID', 'The folder holds no modules', {
      expected: 'a folder for each module, with files <digits>_name.sql',
      at: { file: folder },
      hint: entries.some(({ name }) => name.endsWith('.sql'))
        ? 'This is a module itself: name the folder that holds it.'
        : 'Name the folder `modules` of an unpacked bundle, or the one beside bundle.yaml that holds the modules.',
    });
  }
  throw new FormatError('MODULES_INVALID', 'Nothing says in which order the modules belong', {
    expected: `${MODULES_FILE} in the folder, or contents.json or bundle.yaml beside it`,
    found: found.join(', '),
    at: { file: folder },
    hint: `Write ${MODULES_FILE}: {"MODULE": {"requires": ["MODULE", …]}, …}.`,
  });
}

/** Every folder is a module that is named, and the other way round: what is left out by mistake would be missed much later. */
function matchFolders(
  modules: readonly LocatedModule[],
  found: readonly string[],
  folder: string,
  source: string,
): readonly LocatedModule[] {
  const folders = new Set(modules.map((module) => module.folder));
  const unnamed = found.filter((name) => !folders.has(join(folder, name)));
  const absent = modules.filter((module) => !found.some((name) => join(folder, name) === module.folder));
  if (unnamed.length === 0 && absent.length === 0) return modules;
  throw new FormatError('MODULES_INVALID', 'The folders and what is said about the modules differ', {
    expected: modules.map(({ name }) => name).join(', '),
    found: found.join(', '),
    at: { file: source },
    hint:
      unnamed.length > 0
        ? `Name ${unnamed.join(', ')} there, or take the folder away.`
        : `Add the folder of ${absent.map(({ name }) => name).join(', ')}, or take the module out there.`,
  });
}

function notAMigration(file: string, expected: string): FormatError {
  return new FormatError('MODULE_INVALID', 'A module holds something that is not a migration', {
    expected,
    at: { file },
    hint: 'Move it out of the module.',
  });
}
