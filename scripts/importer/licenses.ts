import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const LICENSE_FILE = /^(licen[cs]e|copying|notice)([.-].*)?$/i;

export interface LicenseSources {
  readonly repositoryFolder: string;
  /** Holds Node's LICENSE. */
  readonly nodeFolder: string;
  readonly nodeVersion: string;
  /** Folders of npm packages, relative to the repository. */
  readonly packages: readonly string[];
}

/** The licences of everything that is inside an executable, one after the other: most ask to be passed on with the code. */
export async function licensesOf(sources: LicenseSources): Promise<string> {
  const { repositoryFolder, nodeFolder, nodeVersion, packages } = sources;
  const parts = [
    section('Portolan', await readFile(join(repositoryFolder, 'LICENSE'), 'utf8')),
    section(`Node.js ${nodeVersion}`, await readFile(join(nodeFolder, 'LICENSE'), 'utf8')),
  ];
  for (const folder of packages) {
    const path = join(repositoryFolder, folder);
    const manifest = JSON.parse(await readFile(join(path, 'package.json'), 'utf8')) as {
      readonly name: string;
      readonly version: string;
      readonly license?: string;
    };
    const files = (await readdir(path)).filter((name) => LICENSE_FILE.test(name)).sort();
    const texts = await Promise.all(files.map((name) => readFile(join(path, name), 'utf8')));
    if (texts.length === 0 && manifest.license === undefined) throw new Error(`${folder} names no licence`);
    parts.push(section(`${manifest.name} ${manifest.version} (${manifest.license ?? 'see below'})`, texts.join('\n')));
  }
  return parts.join('\n');
}

function section(title: string, text: string): string {
  return `${title}\n${'='.repeat(title.length)}\n\n${text.trim()}\n`;
}
