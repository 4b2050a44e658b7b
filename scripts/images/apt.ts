/**
 * Debian packages without root: apt with folders of its own under the cache, an empty machine as its status, and the
 * sources, keyrings and proxies that this machine is configured with. apt resolves the dependencies and checks every
 * download against the signed lists; nothing is installed and no maintainer script runs.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { writeFileDurable } from '../../src/adapters/files/durable.ts';
import { withLock } from './lock.ts';
import { run } from './process.ts';
import { withWorkFolder } from './work-folder.ts';

export type Architecture = 'amd64' | 'arm64';

export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  readonly sha256: string;
  /** The .deb in the cache. */
  readonly path: string;
}

export interface Apt {
  /** The packages and all that they depend on, but for `absent`; sorted by name. Downloads nothing. */
  resolve(packages: readonly string[]): Promise<Map<string, string>>;
  /** Puts the packages into the cache, as `name → version` from {@link resolve}. */
  download(packages: ReadonlyMap<string, string>): Promise<DebianPackage[]>;
}

/** Lists older than this are fetched again. Until then two builds see the same versions. */
const LISTS_MAX_AGE_MS = 3600_000;

/** Hooks of the machine's apt would clean its own folders; other targets are megabytes that nobody reads here. */
const CLEARED = [
  'APT::Update::Pre-Invoke',
  'APT::Update::Post-Invoke',
  'APT::Update::Post-Invoke-Success',
  'DPkg::Pre-Invoke',
  'DPkg::Post-Invoke',
  'DPkg::Pre-Install-Pkgs',
  'APT::Architectures',
  'APT::Default-Release',
  'Acquire::IndexTargets::deb::DEP-11',
  'Acquire::IndexTargets::deb::DEP-11-icons',
  'Acquire::IndexTargets::deb::DEP-11-icons-small',
  'Acquire::IndexTargets::deb::DEP-11-icons-large',
  'Acquire::IndexTargets::deb::CNF',
];

/**
 * @param absent packages that apt takes for installed, so that neither they nor what only they need come along: what
 *   maintainer scripts, wrappers and init systems would use. `provides` names virtual packages that they stand for.
 */
export async function openApt(
  cacheFolder: string,
  architecture: Architecture,
  absent: readonly { readonly name: string; readonly provides?: string }[],
): Promise<Apt> {
  const folder = join(cacheFolder, 'apt', architecture);
  const debs = join(cacheFolder, 'debs');
  await mkdir(join(folder, 'lists', 'partial'), { recursive: true });
  await mkdir(join(folder, 'archives', 'partial'), { recursive: true });
  await mkdir(debs, { recursive: true });
  const status = absent.map(({ name, provides }) => statusStanza(name, architecture, provides)).join('\n');
  const statusPath = join(folder, `status-${createHash('sha256').update(status).digest('hex').slice(0, 16)}`);
  const configuration = join(folder, 'apt.conf');
  const text = [
    ...CLEARED.map((name) => `#clear ${name};`),
    `Dir::State ${JSON.stringify(folder)};`,
    `Dir::State::status ${JSON.stringify(statusPath)};`,
    `Dir::Cache ${JSON.stringify(folder)};`,
    `APT::Architecture "${architecture}";`,
    `APT::Architectures { "${architecture}"; };`,
    'APT::Install-Recommends "false";',
    'Acquire::Languages "none";',
    'Acquire::Retries "3";',
    // A failed update must be an error here: apt's own default is a warning and old lists.
    'APT::Update::Error-Mode "any";',
    // As root, apt would drop to _apt, who may not enter this user's cache.
    ...(process.getuid?.() === 0 ? ['APT::Sandbox::User "root";'] : []),
    '',
  ].join('\n');
  const apt = (args: readonly string[], cwd?: string) =>
    run('apt-get', ['-c', configuration, ...args], cwd === undefined ? {} : { cwd });
  const stamp = join(folder, 'lists-fetched');
  await withLock(join(folder, 'lock'), async () => {
    // Whole or not at all: another build's apt may be reading them.
    await writeFileDurable(configuration, text);
    await writeFileDurable(statusPath, status);
    if (Date.now() - (await modifiedMs(stamp)) < LISTS_MAX_AGE_MS) return;
    try {
      await apt(['update']);
    } catch (cause) {
      // With lists of before and what was fetched before, a build without network can still go on.
      if ((await modifiedMs(stamp)) === 0) throw cause;
      process.stderr.write(`scripts/image: the package lists are those of before: ${(cause as Error).message}\n`);
      return;
    }
    await writeFile(stamp, '');
  });

  return {
    async resolve(packages) {
      const output = await apt(['install', '--simulate', ...packages]);
      const found = new Map<string, string>();
      for (const line of output.split('\n')) {
        // Inst libpq5 (15.14-0+deb12u1 Debian:12/stable [amd64])
        const match = /^Inst (\S+?)(?::\S+)? (?:\[\S+\] )?\((\S+) /.exec(line);
        if (match) found.set(match[1] ?? '', match[2] ?? '');
      }
      for (const name of packages) {
        if (!found.has(name)) throw new Error(`apt chose nothing for the package ${name}:\n${output.trim()}`);
      }
      return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
    },

    async download(packages) {
      const wanted = [...packages].map(([name, version]) => `${name}=${version}`);
      if (wanted.length === 0) return [];
      const listed = await apt(['download', '--print-uris', ...wanted]);
      const found: DebianPackage[] = [];
      for (const line of listed.split('\n')) {
        // 'URI' dash_0.5.12-2_amd64.deb 91848 SHA256:33ea…
        const match = /^'.+' (([^_\s]+)_[^_\s]+_([a-z0-9]+)\.deb) \d+ SHA256:([0-9a-f]{64})$/.exec(line);
        if (!match) continue;
        const [, file, name, debArchitecture, sha256] = match as unknown as [string, string, string, string, string];
        const version = packages.get(name);
        if (version === undefined) continue;
        found.push({ name, version, architecture: debArchitecture, sha256, path: join(debs, file) });
      }
      if (found.length !== wanted.length) {
        throw new Error(`apt knows the SHA-256 of ${found.length} of ${wanted.length} packages:\n${listed.trim()}`);
      }
      const missing: DebianPackage[] = [];
      for (const item of found) if ((await sha256Of(item.path)) !== item.sha256) missing.push(item);
      if (missing.length > 0) {
        await withWorkFolder(debs, async (arriving) => {
          try {
            await apt(['download', ...missing.map(({ name, version }) => `${name}=${version}`)], arriving);
          } catch (cause) {
            // A mirror drops a version when a newer one comes: the next build asks for the lists again.
            await rm(stamp, { force: true });
            throw cause;
          }
          for (const item of missing) {
            const arrived = join(arriving, basename(item.path));
            if ((await sha256Of(arrived)) !== item.sha256) throw new Error(`${arrived} is not what the lists say.`);
            await rename(arrived, item.path);
          }
        });
      }
      // apt leaves the server's times; what is old here is removed by when it was last used.
      const now = new Date();
      for (const { path } of found) await utimes(path, now, now);
      return found.sort((a, b) => (a.name < b.name ? -1 : 1));
    },
  };
}

function statusStanza(name: string, architecture: string, provides: string | undefined): string {
  return [
    `Package: ${name}`,
    'Status: install ok installed',
    `Architecture: ${architecture}`,
    'Multi-Arch: allowed',
    'Version: 999:0',
    ...(provides === undefined ? [] : [`Provides: ${provides}`]),
    'Maintainer: none',
    'Description: left out of the image',
    '',
  ].join('\n');
}

async function modifiedMs(path: string): Promise<number> {
  return stat(path).then(
    (found) => found.mtimeMs,
    () => 0,
  );
}

async function sha256Of(path: string): Promise<string | undefined> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(path), hash);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
  return hash.digest('hex');
}
