import { resolve } from 'node:path';
import { canonicalJson } from '../../core/canonical-json.ts';
import { lockChanges } from '../../formats/bundle/lock-changes.ts';
import type { BundleLock } from '../../formats/bundle/lock-types.ts';
import { normaliseReference } from '../../formats/oci/reference.ts';
import { UseCaseError } from '../errors.ts';
import { readLock, withImageBlobs } from './lock.ts';
import { type Project, readProject } from './lock-definition.ts';
import { requireImages } from './lock-image-uses.ts';
import { acquireAll, lockedImage } from './lock-images.ts';
import { collectInputs, imageSettings, type LocalInputs } from './lock-inputs.ts';
import type { LockDependencies, LockOptions, PreparedBundle, Selection } from './lock-types.ts';

/**
 * Everything a build needs, from bundle.lock.json alone: its features, provider, platforms and values files stand in the
 * lock. Nothing is rendered and no tag is asked for; every local input is packed and hashed again and compared, and images
 * are fetched by the digests of the lock.
 *
 * @throws UseCaseError LOCK_MISSING, LOCK_STALE (naming each thing that differs), and what `lockBundle` throws.
 */
export async function prepareFrozen(
  definitionPath: string,
  dependencies: LockDependencies,
  options: LockOptions = {},
): Promise<PreparedBundle> {
  const project = await readProject(definitionPath, dependencies.files);
  const lock = await readLock(project, dependencies.files);
  if (lock === undefined) {
    throw new UseCaseError('LOCK_MISSING', 'There is no lock to build from.', {
      at: { file: project.lockFile },
      hint: 'Run `portolan bundle lock` first, and keep the file with the definition.',
    });
  }
  const inputs = await collectInputs(project, selectionOf(project, lock), dependencies, options);
  requireSame(project, lock, inputs);
  requireImages(
    project,
    inputs,
    lock.images.map(({ reference }) => reference),
  );
  const images = await acquireAll(
    lock.images.map(({ reference, digest, attachments, found }) => ({
      reference,
      found,
      pinned: { digest, attachments },
      platforms: lock.platforms,
    })),
    dependencies.imageSource(imageSettings(project)),
    dependencies,
    options,
  );
  for (const [index, image] of images.entries()) {
    const wanted = lock.images[index] as BundleLock['images'][number];
    const found = lockedImage(image, wanted.found);
    if (canonicalJson(found) === canonicalJson(wanted)) continue;
    throw stale(project, `The image ${wanted.reference} is not what the lock pins.`, wanted.digest, found.digest);
  }
  return { lock, images, blobs: withImageBlobs(inputs.blobs, images) };
}

function selectionOf(project: Project, lock: BundleLock): Selection {
  const features = Object.entries(lock.features).filter(([name]) => project.definition.features.has(name));
  const hasProvider = lock.provider !== undefined && project.definition.providers.has(lock.provider);
  return {
    // What the definition no longer knows shows up as a difference, with its name.
    features: Object.fromEntries(features),
    ...(hasProvider ? { provider: lock.provider as string } : {}),
    valuesFiles: (lock.valuesFiles ?? []).map((path) => resolve(project.folder, path)),
    platforms: lock.platforms,
  };
}

function requireSame(project: Project, lock: BundleLock, inputs: LocalInputs): void {
  const now: BundleLock = { ...inputs.lock, images: lock.images };
  const differences = lockChanges(lock, now).map(({ what, name, from, to }) => {
    const verb = to === undefined ? 'is gone' : from === undefined ? 'is new' : 'has changed';
    const origin = what === 'values' ? ` (merged from ${valuesOrigins(name, inputs)})` : '';
    return stale(
      project,
      `Since the lock was written, ${what} ${name}${origin} ${verb}.`,
      from ?? 'nothing',
      to ?? 'nothing',
      sourceOf(project, what, name, now) ?? sourceOf(project, what, name, lock),
    );
  });
  const listed = new Set(inputs.selected.images.map(({ reference }) => normaliseReference(reference)));
  const locked = new Set(lock.images.filter(({ found }) => found.includes('list')).map(({ reference }) => reference));
  const moved = [...listed, ...locked].filter((reference) => listed.has(reference) !== locked.has(reference));
  for (const reference of moved) {
    const [from, to] = locked.has(reference) ? [reference, 'nothing'] : ['nothing', reference];
    differences.push(stale(project, `Since the lock was written, images.list has changed: ${reference}.`, from, to));
  }
  if (differences.length === 0 && canonicalJson(now) !== canonicalJson(lock)) {
    differences.push(
      stale(
        project,
        'Since the lock was written, the order of entries has changed.',
        'the order of the lock',
        'another',
      ),
    );
  }
  const [first, ...others] = differences;
  if (first === undefined) return;
  if (others.length === 0) throw first;
  const { expected, found, hint, at } = first;
  throw new UseCaseError('LOCK_STALE', first.message, {
    expected: expected as string,
    found: found as string,
    hint: hint as string,
    ...(at === undefined ? {} : { at }),
    others,
  });
}

/** Merged values have no file of their own: these are those that they may come from. */
function valuesOrigins(chart: string, { charts, selected, lock }: LocalInputs): string {
  const own = charts.find((one) => one.chart.name === chart)?.chart.values ?? [];
  const files = [
    ...own.flatMap((layer) => ('file' in layer ? [layer.file] : [])),
    ...(selected.provider === undefined ? [] : selected.providerValues.map(({ file }) => file)),
    ...(lock.valuesFiles ?? []),
  ];
  return [...new Set([...files, 'bundle.yaml'])].join(', ');
}

/** The file or folder behind a difference. */
function sourceOf(project: Project, what: string, name: string, lock: BundleLock): string | undefined {
  const source = (): string | undefined => {
    if (what === 'chart') return lock.charts.find((chart) => chart.name === name)?.source;
    if (what === 'configuration') return lock.configuration.find(({ path }) => path === name)?.source;
    if (what === 'file') return lock.files.find(({ path }) => path === name)?.source;
    if (what !== 'migration') return undefined;
    const module = lock.modules.find((one) => name === one.name || name.startsWith(`${one.name}/`));
    return module === undefined ? undefined : `${module.source}${name.slice(module.name.length)}`;
  };
  const path = source();
  return path === undefined ? undefined : resolve(project.folder, path);
}

function stale(project: Project, message: string, expected: string, found: string, file?: string): UseCaseError {
  return new UseCaseError('LOCK_STALE', message, {
    expected,
    found,
    at: { file: file ?? project.definitionFile },
    hint: 'Run `portolan bundle lock` and look at what changed.',
  });
}
