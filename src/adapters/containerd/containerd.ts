import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Digest } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import { runtimeName } from '../../formats/oci/archive.ts';
import type { ImageTarget, SpaceNeed, TargetImage, TargetSurvey } from '../../ports/image-target.ts';
import { AdapterError } from '../errors.ts';
import { fileError } from '../files/file-error.ts';
import { freeBytes } from '../files/free-bytes.ts';
import {
  type ListedImage,
  parseDigests,
  parseImages,
  parseNames,
  parsePluginRoots,
  parseVersions,
} from './ctr-listing.ts';
import { type Ctr, runCtr } from './ctr-process.ts';
import { type ContainerdLimits, importImages, isNeeded, PINNED } from './import-images.ts';

export interface ContainerdOptions {
  /** How `ctr` is called: `['k3s', 'ctr']` or `['ctr']`, as findCtr (ctr-command.ts) finds it. */
  readonly ctr: readonly string[];
  /** The whole environment of `ctr`. */
  readonly environment: Readonly<Record<string, string>>;
  /** The socket; by default the one that `ctr` knows. */
  readonly address?: string;
  /** Default `k8s.io`, which is the kubelet's. */
  readonly namespace?: string;
  /** Where images are unpacked; by default the snapshotter that containerd names as its own. */
  readonly snapshotter?: string;
  /** Of this node, such as `linux/arm64`; by default that of this process. */
  readonly platform?: string;
  readonly limits?: Partial<ContainerdLimits>;
}

const LIMITS: ContainerdLimits = { answerMs: 60_000, stallMs: 300_000, unpackMs: 1_800_000 };
const PINNED_FILTER = `labels."${PINNED}"==pinned`;
/** Names on one command line: far below what the system allows. */
const NAMES_AT_ONCE = 200;

type Named = { readonly reference: string; readonly digest: Digest };

/**
 * The containerd of this node, reached through its `ctr`. Images go in as one stream, an archive that holds only the blobs
 * which the content store lacks; containerd hashes them, unpacks the images for this node's platform and names them last.
 * They are pinned, so that the kubelet's garbage collection leaves them, and named as the kubelet looks for them: a
 * reference with a digest by its digest alone. Attachments (SBOMs, signatures) and other platforms' blobs are of no use to a
 * container engine: an image is complete without them.
 */
export function createContainerdTarget(options: ContainerdOptions): ImageTarget {
  const limits = { ...LIMITS, ...options.limits };
  const ctr: Ctr = {
    command: options.ctr,
    globalArguments: [
      ...(options.address === undefined ? [] : ['--address', options.address]),
      ...['--namespace', options.namespace ?? 'k8s.io', '--connect-timeout', '10s'],
    ],
    environment: options.environment,
  };
  const platform = options.platform ?? ownPlatform();
  const snapshotter = options.snapshotter === undefined ? [] : ['--snapshotter', options.snapshotter];
  const ask = async (args: readonly string[], signal?: AbortSignal, timeoutMs = limits.answerMs) =>
    (await runCtr(ctr, { arguments: args, timeoutMs, ...(signal === undefined ? {} : { signal }) })).stdout;

  const surveyed = async (images: readonly TargetImage[], signal?: AbortSignal): Promise<TargetSurvey> => {
    if (images.length === 0) return { blobs: new Set(), images: new Set() };
    // Each `ctr` takes 40 MiB: never more than two at once.
    const [content, pinned] = await Promise.all([
      ask(['content', 'ls', '--quiet'], signal).then(parseDigests),
      ask(['images', 'ls', PINNED_FILTER], signal).then(parseImages),
    ]);
    // Whole and unpacked, for this node's platform.
    const whole = parseNames(await ask(['images', 'check', '--quiet', ...snapshotter, PINNED_FILTER], signal));
    return surveyOf(images, content, new Set(pinned.filter(({ name }) => whole.has(name)).map(keyOf)));
  };

  return {
    name: 'containerd',
    checksDigests: true,
    ...(platform === undefined ? {} : { platform }),
    async check({ signal } = {}) {
      try {
        const versions = parseVersions(await ask(['version'], signal));
        assertSameVersion(options.ctr, versions);
        // A socket that answers does not mean that this user may look into it.
        await ask(['images', 'ls', '--quiet', 'name==portolan.local/none'], signal);
        return [];
      } catch (cause) {
        if (cause instanceof PortolanError) return [cause];
        throw cause;
      }
    },
    survey: (images, { signal } = {}) => surveyed(images, signal),
    async space(missingBytes, unpackedBytes) {
      const roots = parsePluginRoots(await ask(['plugins', 'ls', '--detailed']));
      return spaceOf(roots, options.snapshotter ?? 'overlayfs', missingBytes, unpackedBytes);
    },
    async write(images, blobs, { signal } = {}) {
      signal?.throwIfAborted();
      if (images.length === 0) return;
      await importImages({ ctr, limits, platform, snapshotter, surveyed }, images, blobs, signal);
    },
    async remove(images, { signal } = {}) {
      signal?.throwIfAborted();
      if (images.length === 0) return [];
      const listed = parseImages(await ask(['images', 'ls'], signal));
      const leaving = leavingNames(listed, images);
      for (let at = 0; at < leaving.all.length; at += NAMES_AT_ONCE) {
        // Once it returns, what nothing needs any more is gone from the disk.
        const names = leaving.all.slice(at, at + NAMES_AT_ONCE);
        await ask(['images', 'rm', '--sync', ...names], signal, limits.unpackMs);
      }
      return leaving.named;
    },
  };
}

/** A name cannot hold a blank. */
function keyOf({ name, digest }: ListedImage): string {
  return `${name} ${digest}`;
}

function surveyOf(
  images: readonly TargetImage[],
  content: ReadonlySet<Digest>,
  done: ReadonlySet<string>,
): TargetSurvey {
  const blobs = new Set<Digest>();
  const complete = new Set<string>();
  const unwanted = new Set<Digest>();
  for (const image of images) {
    const isComplete =
      done.has(keyOf({ name: runtimeName(image.reference), digest: image.digest })) && content.has(image.digest);
    if (isComplete) complete.add(image.reference);
    for (const blob of image.blobs) {
      if (content.has(blob.digest)) blobs.add(blob.digest);
      else if (isComplete || !isNeeded(blob)) unwanted.add(blob.digest);
    }
  }
  // What another image lacks is wanted, whoever else does without it.
  for (const image of images) {
    if (complete.has(image.reference)) continue;
    for (const blob of image.blobs) if (isNeeded(blob)) unwanted.delete(blob.digest);
  }
  return { blobs, images: complete, unwanted };
}

/** Strictly this node's: containerd itself would take what runs there as well, such as 386, for a part of the image. */
function ownPlatform(): string | undefined {
  const architecture = { x64: 'amd64', arm64: 'arm64' }[process.arch as string];
  return architecture === undefined ? undefined : `linux/${architecture}`;
}

function assertSameVersion(
  command: readonly string[],
  { client, server }: { readonly client?: string; readonly server?: string },
): void {
  const major = (version: string | undefined) => /^v?([0-9]+)\./.exec(version ?? '')?.[1];
  if (client === undefined || server === undefined || major(client) === major(server)) return;
  const name = command.join(' ');
  throw new AdapterError('CONTAINERD_FAILED', `\`${name}\` and the containerd that runs here are not of one version`, {
    expected: server,
    found: client,
    hint: 'Use the `ctr` that came with this containerd; for k3s that is `k3s ctr`.',
  });
}

/** The names to take away, and with them the id (`sha256:…`) that the kubelet's runtime gave to an image which has no other name left. */
function leavingNames(
  listed: readonly ListedImage[],
  images: readonly Named[],
): { readonly named: readonly string[]; readonly all: readonly string[] } {
  const keys = new Set(images.map(({ reference, digest }) => keyOf({ name: runtimeName(reference), digest })));
  const leaving = listed.filter((image) => keys.has(keyOf(image)));
  const isId = ({ name }: ListedImage) => name.startsWith('sha256:');
  const used = new Set(listed.filter((image) => !isId(image) && !leaving.includes(image)).map(({ digest }) => digest));
  const digests = new Set(leaving.map(({ digest }) => digest));
  const ids = listed.filter((image) => isId(image) && digests.has(image.digest) && !used.has(image.digest));
  const named = leaving.map(({ name }) => name);
  return { named, all: [...named, ...ids.map(({ name }) => name)] };
}

async function spaceOf(
  roots: ReturnType<typeof parsePluginRoots>,
  snapshotter: string,
  missingBytes: number,
  unpackedBytes: number,
): Promise<SpaceNeed[]> {
  const find = (type: string, id: string) =>
    roots.find((plugin) => plugin.type === `io.containerd.${type}.v1` && plugin.id === id)?.root;
  const needs = [
    { path: find('content', 'content'), neededBytes: missingBytes },
    { path: find('snapshotter', snapshotter), neededBytes: unpackedBytes },
  ];
  const byDevice = new Map<number, SpaceNeed>();
  for (const { path, neededBytes } of needs) {
    if (path === undefined) continue;
    // The content store makes its folder with its first blob.
    const facts = await stat(path)
      .catch(() => stat(dirname(path)))
      .catch((cause) => {
        throw fileError(cause, path, 'read');
      });
    const sum = neededBytes + (byDevice.get(facts.dev)?.neededBytes ?? 0);
    byDevice.set(facts.dev, { path, freeBytes: await freeBytes(path), neededBytes: sum });
  }
  return [...byDevice.values()];
}
