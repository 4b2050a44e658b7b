/** Extensions of plain SQL that one server has and another lacks (PostgreSQL 18, `extension_control_path`). */
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface OwnExtension {
  readonly name: string;
  /** By version, what makes it. The last one is the default. */
  readonly versions: Readonly<Record<string, string>>;
  readonly isTrusted: boolean;
}

export interface ExtensionFolder extends AsyncDisposable {
  /** Of postgresql.conf. */
  readonly settings: Readonly<Record<string, string>>;
}

export async function createExtensions(extensions: readonly OwnExtension[]): Promise<ExtensionFolder> {
  const root = await mkdtemp('/tmp/portolan-extensions-');
  // The server runs as another account.
  await chmod(root, 0o755);
  await mkdir(join(root, 'extension'));
  for (const { name, versions, isTrusted } of extensions) {
    const [version] = Object.keys(versions).slice(-1);
    const control = `default_version = '${version}'\nsuperuser = true\ntrusted = ${isTrusted}\nrelocatable = true\n`;
    await writeFile(join(root, 'extension', `${name}.control`), control);
    for (const [each, sql] of Object.entries(versions)) {
      await writeFile(join(root, 'extension', `${name}--${each}.sql`), sql);
    }
  }
  return {
    settings: { extension_control_path: `$system:${root}` },
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}
