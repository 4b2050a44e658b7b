/**
 * apk's database of installed packages: `lib/apk/db/installed`, or below `usr/` where that is merged. Paragraphs of lines
 * `X:value` with a letter for the field, separated by empty lines: P name, V version, A architecture, L licence, o origin
 * (apk-tools, "apkdb"). Lines of files (F, R, a, Z) make up most of it.
 */
import { DATABASE_MAX_PACKAGES, type InstalledPackage, type ParsedPackages, toInstalledPackage } from './package.ts';
import { type ByteSource, readLines } from './text-lines.ts';

const WANTED = new Set(['P', 'V', 'A', 'L', 'o']);

export async function parseApkInstalled(source: ByteSource): Promise<ParsedPackages> {
  const packages: InstalledPackage[] = [];
  let malformed = 0;
  let fields = new Map<string, string>();
  let linesSeen = 0;
  const finish = () => {
    if (linesSeen === 0) return;
    const installed = toInstalledPackage('apk', {
      name: fields.get('P'),
      version: fields.get('V'),
      architecture: fields.get('A'),
      license: fields.get('L'),
      source: fields.get('o'),
    });
    if (installed === undefined) malformed += 1;
    else packages.push(installed);
    fields = new Map();
    linesSeen = 0;
  };
  for await (const line of readLines(source)) {
    if (line.trim() === '') {
      finish();
      if (packages.length >= DATABASE_MAX_PACKAGES) return { packages, malformed, truncated: true };
      continue;
    }
    linesSeen += 1;
    const field = line[0] ?? '';
    if (line[1] === ':' && WANTED.has(field)) fields.set(field, line.slice(2).trim());
  }
  finish();
  return { packages, malformed, truncated: false };
}
