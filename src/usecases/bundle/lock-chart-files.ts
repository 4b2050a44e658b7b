import { isAbsolute, join, relative } from 'node:path';
import type { TarFile } from '../../formats/archive/tar.ts';
import { FormatError } from '../../formats/errors.ts';
import type { ChartMetadata } from '../../formats/helm/chart-yaml.ts';
import { decodeHelmignore, type IgnoreRules } from '../../formats/helm/helmignore.ts';
import type { ProjectFiles } from '../../ports/project-files.ts';
import { checkDependency, localFolder, missingDependency, readMetadata } from './lock-chart-metadata.ts';
import { decodeText } from './lock-definition.ts';

/** A chart folder as the files of its archive, sorted, local dependencies under `charts/`. */
export interface ChartFiles {
  readonly metadata: ChartMetadata;
  /** Paths begin with the chart's name. */
  readonly files: readonly TarFile[];
}

interface Limits {
  readonly files: number;
  readonly sizeBytes: number;
}

/** helm's own limit on the size of an unpacked chart, and more files than any chart has. */
const LIMITS: Limits = { files: 20_000, sizeBytes: 100 * 1024 * 1024 };
const DEPTH_LIMIT = 64;

interface Walk {
  readonly source: ProjectFiles;
  /** By path in the archive, without the chart's name. */
  readonly found: Map<string, TarFile>;
  readonly signal?: AbortSignal;
}

interface Ancestor {
  readonly folder: string;
  readonly name: string;
}

/**
 * Collects a chart as helm packs it: .helmignore honoured, links followed as long as they stay inside the chart, `file://`
 * dependencies of Chart.yaml taken from their folders, with theirs.
 *
 * @throws FormatError CHART_INVALID, CHART_UNSAFE, DEPENDENCY_CYCLE, DEPENDENCY_MISSING.
 */
export async function collectChart(
  folder: string,
  source: ProjectFiles,
  options: { readonly signal?: AbortSignal } = {},
): Promise<ChartFiles> {
  const walk: Walk = { source, found: new Map(), ...options };
  const metadata = await addChart(folder, '', [], walk);
  checkLimits(walk, folder);
  // Code units, not the locale's order: the same everywhere.
  const paths = [...walk.found.keys()].sort();
  return {
    metadata,
    files: paths.map((path) => ({ ...(walk.found.get(path) as TarFile), path: `${metadata.name}/${path}` })),
  };
}

async function addChart(
  folder: string,
  prefix: string,
  trail: readonly Ancestor[],
  walk: Walk,
): Promise<ChartMetadata> {
  const real = await walk.source.realPath(folder);
  const metadata = await readMetadata(folder, walk.source);
  const start = trail.findIndex((ancestor) => ancestor.folder === real);
  if (start >= 0) {
    const loop = [...trail.slice(start).map((ancestor) => ancestor.name), metadata.name].join(' → ');
    throw new FormatError('DEPENDENCY_CYCLE', `Charts depend on one another in a circle: ${loop}.`, {
      at: { file: join(folder, 'Chart.yaml'), key: 'dependencies' },
      hint: 'Remove one of these dependencies.',
    });
  }
  const ignoreFile = join(folder, '.helmignore');
  const hasRules = (await walk.source.kind(ignoreFile)) === 'file';
  const rulesText = hasRules
    ? decodeText(await walk.source.read(ignoreFile, 1024 * 1024), ignoreFile, 'CHART_INVALID')
    : '';
  const rules = decodeHelmignore(rulesText, ignoreFile);
  await addFolder({ root: real, rules, prefix, path: '', folder, parents: [real] }, walk);
  await addDependencies(folder, prefix, metadata, [...trail, { folder: real, name: metadata.name }], walk);
  return metadata;
}

interface FolderWalk {
  /** The chart's real path: nothing outside it is packed. */
  readonly root: string;
  readonly rules: IgnoreRules;
  readonly prefix: string;
  /** In the chart. */
  readonly path: string;
  readonly folder: string;
  /** Real paths of the folders above, to see a link that leads back up. */
  readonly parents: readonly string[];
}

async function addFolder(at: FolderWalk, walk: Walk): Promise<void> {
  walk.signal?.throwIfAborted();
  for (const entry of await walk.source.list(at.folder)) {
    const path = at.path === '' ? entry.name : `${at.path}/${entry.name}`;
    if (at.rules.ignores(path, entry.kind === 'folder')) continue;
    const whole = join(at.folder, entry.name);
    const real = entry.isLink
      ? await realTarget(whole, entry.kind, at, walk)
      : join(at.parents.at(-1) ?? at.root, entry.name);
    if (entry.kind === 'folder') {
      if (at.parents.includes(real)) throw unsafe('A link leads back to a folder above it.', whole);
      if (at.parents.length >= DEPTH_LIMIT) throw unsafe('Its folders are nested too deeply.', whole);
      await addFolder({ ...at, path, folder: whole, parents: [...at.parents, real] }, walk);
    } else if (entry.kind === 'file') {
      const open = () => walk.source.open(whole, walk.signal === undefined ? {} : { signal: walk.signal });
      const name = `${at.prefix}${path}`;
      walk.found.set(name, { path: name, sizeBytes: entry.sizeBytes, executable: entry.executable, open });
      if (walk.found.size > LIMITS.files) checkLimits(walk, at.root);
    } else throw unsafe('It holds something that is neither a file nor a folder.', whole);
  }
}

async function realTarget(path: string, kind: string, at: FolderWalk, walk: Walk): Promise<string> {
  if (kind === 'absent') throw unsafe('A link in it leads nowhere.', path);
  const real = await walk.source.realPath(path);
  // A chart that somebody else wrote could otherwise pack a file of this machine.
  if (!isInside(at.root, real)) throw unsafe('A link in it leads out of the chart.', path);
  return real;
}

async function addDependencies(
  folder: string,
  prefix: string,
  metadata: ChartMetadata,
  trail: readonly Ancestor[],
  walk: Walk,
): Promise<void> {
  if (trail.length > DEPTH_LIMIT) throw unsafe('Its dependencies are nested too deeply.', folder);
  const present = await presentSubcharts(folder, prefix, walk);
  const local = new Set<string>();
  for (const [index, dependency] of metadata.dependencies.entries()) {
    const place = { file: join(folder, 'Chart.yaml'), key: `dependencies[${index}]` };
    const from = localFolder(folder, dependency);
    if (from === undefined || (await walk.source.kind(join(from, 'Chart.yaml'))) !== 'file') {
      if (present.some(({ name }) => name === dependency.name)) continue;
      throw missingDependency(dependency, from, folder, place);
    }
    const found = await readMetadata(from, walk.source);
    checkDependency(dependency, found, place);
    const target = `${prefix}charts/${dependency.name}/`;
    // Two aliases of one chart are one folder.
    if (local.has(target)) continue;
    local.add(target);
    // What `helm dependency update` left there before is older than its source.
    for (const old of present.filter(({ name }) => name === dependency.name)) remove(old.path, walk);
    await addChart(from, target, trail, walk);
  }
  for (const { path, chartFolder, metadata: inner } of present) {
    if (chartFolder === undefined || inner === undefined || local.has(`${path}/`)) continue;
    const real = await walk.source.realPath(chartFolder);
    await addDependencies(chartFolder, `${path}/`, inner, [...trail, { folder: real, name: inner.name }], walk);
  }
}

interface Subchart {
  readonly name: string;
  /** In the archive: a folder or a .tgz file. */
  readonly path: string;
  readonly chartFolder?: string;
  readonly metadata?: ChartMetadata;
}

/** What already lies in `charts/`. */
async function presentSubcharts(folder: string, prefix: string, walk: Walk): Promise<readonly Subchart[]> {
  const base = `${prefix}charts/`;
  const found = new Map<string, Subchart>();
  for (const path of [...walk.found.keys()]) {
    if (!path.startsWith(base)) continue;
    const [first = '', second, ...more] = path.slice(base.length).split('/');
    // helm passes over these.
    if (first.startsWith('_') || first.startsWith('.')) continue;
    if (second === undefined && first.endsWith('.tgz')) {
      const name = /^(.+)-v?\d+\.\d+\.\d+[^/]*\.tgz$/.exec(first)?.[1] ?? first.slice(0, -'.tgz'.length);
      found.set(first, { name, path: `${base}${first}` });
    } else if (second === 'Chart.yaml' && more.length === 0) {
      const chartFolder = join(folder, 'charts', first);
      const metadata = await readMetadata(chartFolder, walk.source);
      found.set(first, { name: metadata.name, path: `${base}${first}`, chartFolder, metadata });
    }
  }
  return [...found.values()];
}

function remove(path: string, walk: Walk): void {
  for (const name of [...walk.found.keys()]) if (name === path || name.startsWith(`${path}/`)) walk.found.delete(name);
}

function checkLimits(walk: Walk, folder: string): void {
  let sizeBytes = 0;
  for (const file of walk.found.values()) sizeBytes += file.sizeBytes;
  if (walk.found.size <= LIMITS.files && sizeBytes <= LIMITS.sizeBytes) return;
  throw new FormatError('CHART_UNSAFE', 'The folder is larger than a chart may be.', {
    expected: `at most ${LIMITS.files} files and ${LIMITS.sizeBytes} bytes`,
    found: `${walk.found.size} files and ${sizeBytes} bytes`,
    at: { file: folder },
    hint: 'Leave out what does not belong to the chart in its .helmignore.',
  });
}

function unsafe(message: string, file: string): FormatError {
  return new FormatError('CHART_UNSAFE', `The chart's folder cannot be packed. ${message}`, {
    at: { file },
    hint: 'Remove it, or name it in the .helmignore of the chart.',
  });
}

function isInside(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== '..' && !way.startsWith('../') && !isAbsolute(way);
}
