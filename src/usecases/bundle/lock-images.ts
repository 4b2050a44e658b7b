import type { Digest } from '../../core/digest.ts';
import { type ErrorDetails, PortolanError } from '../../core/errors.ts';
import type { LockedImage } from '../../formats/bundle/lock-types.ts';
import { FormatError } from '../../formats/errors.ts';
import { discoverImages } from '../../formats/helm/discovery.ts';
import { formatReference, isFloating, parseReference } from '../../formats/oci/reference.ts';
import type { AcquiredImage, AcquireRequest, ImageSource } from '../../ports/images.ts';
import { UseCaseError } from '../errors.ts';
import type { Project } from './lock-definition.ts';
import type { LocalInputs, RenderableChart } from './lock-inputs.ts';
import type { LockDependencies, LockOptions } from './lock-types.ts';

type Place = LockedImage['found'][number];

/** A normalised reference with every place that names it. */
export interface WantedImage {
  readonly reference: string;
  readonly found: readonly Place[];
}

const PARALLEL_IMAGES = 3;

/** No image is to blame: the same would be said of each. */
const OF_THE_SETTINGS = new Set<string>(['CA_FILE_INVALID', 'PROXY_INVALID']);

/**
 * Renders the charts, as an installation and as an upgrade, and finds their images; adds the explicit list. Sorted by
 * reference.
 *
 * @throws FormatError RENDERED_INVALID, REFERENCE_INVALID, IMAGE_FLOATING (all of them at once); AdapterError HELM_….
 */
export async function findImages(
  project: Project,
  inputs: LocalInputs,
  dependencies: LockDependencies,
  options: LockOptions,
): Promise<readonly WantedImage[]> {
  const collected = new Map<string, Place[]>();
  const problems: FormatError[] = [];
  const add = (written: string, place: Place, at: { file: string; line?: number; column?: number; key?: string }) => {
    try {
      const reference = parseReference(written);
      if (!project.definition.images.allowFloating && isFloating(reference)) {
        problems.push(floating(written, place, at));
        return;
      }
      const places = collected.get(formatReference(reference)) ?? [];
      if (!places.some((one) => samePlace(one, place))) places.push(place);
      collected.set(formatReference(reference), places);
    } catch (cause) {
      if (!(cause instanceof FormatError)) throw cause;
      const { expected, found, hint } = cause;
      problems.push(
        new FormatError(cause.code, cause.message, {
          ...(expected === undefined ? {} : { expected }),
          ...(found === undefined ? {} : { found }),
          ...(hint === undefined ? {} : { hint }),
          at,
        }),
      );
    }
  };
  for (const chart of inputs.charts) {
    for (const rendered of await renderAll(project, chart, dependencies, options)) {
      const { name } = chart.chart;
      for (const { reference, template, path } of discoverImages(rendered, name, project.definition.images.paths)) {
        add(reference, { chart: name, template, path }, { file: template === '' ? name : template, key: path });
      }
    }
  }
  for (const { reference, key } of inputs.selected.images) {
    add(reference, 'list', { file: project.definitionFile, ...project.place(key) });
  }
  throwTogether(distinct(problems));
  return [...collected]
    .map(([reference, found]) => ({ reference, found }))
    .sort((a, b) => (a.reference < b.reference ? -1 : 1));
}

async function renderAll(
  { definition: { kubernetes } }: Project,
  { chart, archive, values }: RenderableChart,
  { renderer, progress }: LockDependencies,
  options: LockOptions,
): Promise<readonly string[]> {
  const rendered: string[] = [];
  const task = progress.task(`Rendering ${chart.name}`);
  for (const set of values) {
    const request = {
      chartPath: archive.path,
      release: chart.release,
      namespace: chart.namespace,
      values: set,
      ...(kubernetes.version === undefined ? {} : { kubeVersion: kubernetes.version }),
      apiVersions: kubernetes.apiVersions,
    };
    const installation = await renderer.render(request, options);
    rendered.push(installation);
    try {
      const upgrade = await renderer.render({ ...request, upgrade: true }, options);
      if (upgrade !== installation) rendered.push(upgrade);
    } catch (cause) {
      options.signal?.throwIfAborted();
      if (!(cause instanceof PortolanError) || cause.code !== 'HELM_FAILED') throw cause;
      // Some charts refuse to render an upgrade without a cluster to look into.
      progress.warn(
        `The chart ${chart.name} does not render as an upgrade without a cluster: images that only an upgrade uses are not found. Name them under images.list.`,
      );
    }
  }
  task.done();
  return rendered;
}

/** Fetches what is wanted, a few at a time; in the order of `requests`. @throws every failure, the first with the others. */
export async function acquireAll(
  requests: readonly (AcquireRequest & { readonly found: readonly Place[] })[],
  source: ImageSource,
  { progress }: LockDependencies,
  options: LockOptions,
): Promise<readonly AcquiredImage[]> {
  const images: AcquiredImage[] = [];
  const failures: PortolanError[] = [];
  const queue = requests.entries();
  // A failure that nobody foresaw ends the other transfers; one that was foreseen lets them go on, to be told of all.
  const broken = new AbortController();
  const signal = options.signal === undefined ? broken.signal : AbortSignal.any([options.signal, broken.signal]);
  const work = async () => {
    for (const [index, { found, ...request }] of queue) {
      signal.throwIfAborted();
      const task = progress.task(request.reference);
      try {
        const image = await source.acquire(request, { signal, onBytes: (bytes) => task.advance(bytes) });
        if (image === undefined) failures.push(notFound(request.reference, found));
        else images[index] = image;
      } catch (cause) {
        signal.throwIfAborted();
        if (!(cause instanceof PortolanError) || OF_THE_SETTINGS.has(cause.code)) {
          broken.abort(cause);
          throw cause;
        }
        failures.push(namedBy(cause, found));
      } finally {
        task.done();
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL_IMAGES, requests.length) }, work));
  const [first, ...others] = failures;
  if (first === undefined) return images;
  if (others.length === 0) throw first;
  throw new UseCaseError('IMAGES_MISSING', `${failures.length} of ${requests.length} images could not be fetched.`, {
    others: failures,
    hint: 'Each is named below with its reason.',
  });
}

export function lockedImage(image: AcquiredImage, found: readonly Place[]): LockedImage {
  return {
    reference: image.reference,
    digest: image.root.digest,
    mediaType: image.root.mediaType,
    platforms: [...new Set(image.manifests.map(({ platform }) => platformText(platform)))].sort(),
    attachments: [...new Set(image.attachments.map(({ descriptor }) => descriptor.digest))].sort() as readonly Digest[],
    found,
  };
}

function platformText({ os, architecture, variant }: { os: string; architecture: string; variant?: string }): string {
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

/** Each rendering of a chart finds the same fault again. */
function distinct(problems: readonly FormatError[]): FormatError[] {
  const keyOf = ({ message, at }: FormatError) => JSON.stringify([message, at?.file, at?.key, at?.line]);
  return [...new Map(problems.map((problem) => [keyOf(problem), problem])).values()];
}

function samePlace(a: Place, b: Place): boolean {
  if (a === 'list' || b === 'list') return a === b;
  return a.chart === b.chart && a.template === b.template && a.path === b.path;
}

function placeText(place: Place): string {
  return place === 'list' ? 'images.list of bundle.yaml' : `chart ${place.chart}, ${place.template}, ${place.path}`;
}

function floating(reference: string, place: Place, at: { file: string }): FormatError {
  return new FormatError('IMAGE_FLOATING', `The image \`${reference}\` has no fixed tag (${placeText(place)}).`, {
    expected: 'a tag other than latest, or a digest',
    found: reference,
    at,
    hint: 'Set its tag in the values of the chart, or allow it by `images.allowFloating: true`.',
  });
}

/** The same error, with the places that name the image: a digest or an address alone does not lead a person there. */
function namedBy(error: PortolanError, found: readonly Place[]): PortolanError {
  const Same = error.constructor as new (code: string, message: string, details: ErrorDetails) => PortolanError;
  const { code, message, cause, expected, found: seen, hint, at, others } = error;
  return new Same(code, `${message}; named by ${placesText(found)}`, {
    ...(cause === undefined ? {} : { cause }),
    ...(expected === undefined ? {} : { expected }),
    ...(seen === undefined ? {} : { found: seen }),
    ...(hint === undefined ? {} : { hint }),
    ...(at === undefined ? {} : { at }),
    others,
  });
}

/** The first few are enough to find it. */
function placesText(found: readonly Place[]): string {
  const shown = found.slice(0, 3).map(placeText).join('; ');
  return found.length > 3 ? `${shown}; and ${found.length - 3} more` : shown;
}

function notFound(reference: string, found: readonly Place[]): UseCaseError {
  return new UseCaseError('IMAGE_WITHOUT_SOURCE', `No source has the image ${reference}.`, {
    found: reference,
    hint: `It is named by ${placesText(found)}. Add an image layout under images.layouts, or correct the reference.`,
  });
}

function throwTogether(problems: readonly FormatError[]): void {
  const [first, ...others] = problems;
  if (first === undefined) return;
  if (others.length === 0) throw first;
  const { expected, found, hint, at } = first;
  throw new FormatError(first.code, first.message, {
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
    ...(hint === undefined ? {} : { hint }),
    ...(at === undefined ? {} : { at }),
    others,
  });
}
