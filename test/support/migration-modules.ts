import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOf } from '../../src/core/digest.ts';
import type { MigrationBundle, MigrationModule } from '../../src/usecases/migrate/types.ts';

/** File names and SQL of one module. */
export type ModuleFiles = Readonly<Record<string, string>>;

export function moduleOf(name: string, files: ModuleFiles, requires: readonly string[] = []): MigrationModule {
  return {
    name,
    requires,
    files: Object.entries(files).map(([file, sql]) => {
      const bytes = new TextEncoder().encode(sql);
      return { name: file, digest: digestOf(bytes), read: async () => bytes };
    }),
  };
}

/** Writes modules as a folder with modules.json. */
export async function writeModules(
  folder: string,
  modules: Readonly<Record<string, { readonly requires?: readonly string[]; readonly files: ModuleFiles }>>,
): Promise<string> {
  for (const [name, { files }] of Object.entries(modules)) {
    await mkdir(join(folder, name), { recursive: true });
    for (const [file, sql] of Object.entries(files)) await writeFile(join(folder, name, file), sql);
  }
  const described = Object.entries(modules).map(([name, { requires = [] }]) => [name, { requires }]);
  await writeFile(join(folder, 'modules.json'), JSON.stringify(Object.fromEntries(described)));
  return folder;
}

export function release(sequence: number, name = 'cms'): MigrationBundle {
  return { name, version: `1.${sequence}.0`, sequence, root: digestOf(`${name} ${sequence}`) };
}
