/**
 * dpkg's database of installed packages: `var/lib/dpkg/status`, and one file a package in `var/lib/dpkg/status.d/` in
 * distroless images. Paragraphs of `Field: value` lines, separated by empty lines; a line that starts with a space goes
 * on with the field before (deb822(5), dpkg(1) "Package states"). The licence is not in it.
 */
import { DATABASE_MAX_PACKAGES, type InstalledPackage, type ParsedPackages, toInstalledPackage } from './package.ts';
import { type ByteSource, readLines } from './text-lines.ts';

const WANTED = new Set(['package', 'version', 'architecture', 'source', 'status']);
/** States in which none of the package's files are there. */
const ABSENT = new Set(['not-installed', 'config-files']);

export async function parseDpkgStatus(source: ByteSource): Promise<ParsedPackages> {
  const packages: InstalledPackage[] = [];
  let malformed = 0;
  let fields = new Map<string, string>();
  const finish = () => {
    if (fields.size === 0) return;
    const found = fields;
    fields = new Map();
    // "want flag state"; distroless images leave the field out.
    const state = found.get('status')?.split(/\s+/)[2];
    if (state !== undefined && ABSENT.has(state)) return;
    const installed = toInstalledPackage('dpkg', {
      name: found.get('package'),
      version: found.get('version'),
      architecture: found.get('architecture'),
      // "name (version)": the version in brackets when it differs from the binary package's.
      source: found.get('source')?.replace(/\s*\(.*$/, ''),
    });
    if (installed === undefined) malformed += 1;
    else packages.push(installed);
  };
  for await (const line of readLines(source)) {
    if (line.trim() === '') {
      finish();
      if (packages.length >= DATABASE_MAX_PACKAGES) return { packages, malformed, truncated: true };
      continue;
    }
    if (line.startsWith(' ') || line.startsWith('\t')) continue;
    const colon = line.indexOf(':');
    const field = colon < 0 ? '' : line.slice(0, colon).toLowerCase();
    if (WANTED.has(field)) fields.set(field, line.slice(colon + 1).trim());
    else if (fields.size === 0) fields.set('', '');
  }
  finish();
  return { packages, malformed, truncated: false };
}
