/**
 * Looks into one layer for databases of installed packages. The layer streams through; only the few small files that say
 * what is installed are parsed, as they pass. What cannot be read is said in the result and is no failure: the image is
 * carried all the same. The layer's content is untrusted; nothing of it touches the file system.
 */
import { pipeline } from 'node:stream/promises';
import { extract, type Header } from 'tar-stream';
import { parseApkInstalled } from '../../formats/packages/apk.ts';
import { parseDpkgStatus } from '../../formats/packages/dpkg.ts';
import {
  type FileOfInterest,
  fileOfInterest,
  isFolderOfInterest,
  isRpmDatabase,
  normalPath,
  whiteoutOf,
} from '../../formats/packages/interest.ts';
import type { LayerFile, LayerPackages, LayerReason } from '../../formats/packages/layer-packages.ts';
import { PACKAGE_JSON_MAX_BYTES, parsePackageJson } from '../../formats/packages/npm.ts';
import { parseOsRelease } from '../../formats/packages/os-release.ts';
import { DATABASE_MAX_PACKAGES, type ParsedPackages } from '../../formats/packages/package.ts';
import type { LocalBlob } from '../../ports/blobs.ts';
import { fileError, isErrno } from '../files/file-error.ts';
import { ExpansionLimitReached, layerStages } from './layer-stream.ts';

const MAX_BYTES: Readonly<Record<FileOfInterest, number>> = {
  dpkg: 32 * 1024 * 1024,
  apk: 32 * 1024 * 1024,
  npm: PACKAGE_JSON_MAX_BYTES,
  'os-release': 64 * 1024,
};
/** Of whiteouts and of replaced folders, each. */
const MAX_REMOVALS = 100_000;

const TAR_LAYER =
  /^application\/vnd\.(?:oci\.image\.layer\.(?:nondistributable\.)?v1\.tar|docker\.image\.rootfs\.(?:foreign\.)?diff\.tar)(?:[.+](?:gzip|zstd))?$/;

/** Why a layer of this media type is not looked into; `undefined` when it is. Compression is told from the bytes. */
export function unreadableMediaType(mediaType: string): LayerReason | undefined {
  if (mediaType.endsWith('+encrypted')) return 'encrypted';
  return TAR_LAYER.test(mediaType) ? undefined : 'media-type';
}

/** @throws AdapterError FILE_MISSING, FILE_UNREADABLE; the signal's reason */
export async function scanLayer(
  blob: LocalBlob,
  mediaType: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<LayerPackages> {
  const unreadable = unreadableMediaType(mediaType);
  if (unreadable !== undefined) return notRead(unreadable);
  options.signal?.throwIfAborted();

  const findings = newFindings();
  const archive = extract();
  const stages = await layerStages(blob);
  // Both ends are awaited: the one that fails tells the other, and neither is left running.
  const flow = pipeline([...stages, archive] as unknown as NodeJS.ReadWriteStream[], { signal: options.signal });
  const reading = readEntries(archive as unknown as AsyncIterable<Entry>, findings);
  const [flowed, read] = await Promise.allSettled([flow, reading]);
  options.signal?.throwIfAborted();
  if (flowed.status === 'rejected') return afterFailure(flowed.reason, blob);
  if (read.status === 'rejected') return afterFailure(read.reason, blob);
  return conclude(findings);
}

/** An entry of tar-stream, whose types (of streamx) do not say that it is read as bytes. */
interface Entry extends AsyncIterable<Uint8Array> {
  readonly header: Header;
  resume(): unknown;
}

interface Findings {
  readonly files: Map<string, LayerFile>;
  readonly removed: Set<string>;
  readonly emptied: Set<string>;
  readonly reasons: Set<LayerReason>;
  packages: number;
}

function newFindings(): Findings {
  return { files: new Map(), removed: new Set(), emptied: new Set(), reasons: new Set(), packages: 0 };
}

async function readEntries(archive: AsyncIterable<Entry>, findings: Findings): Promise<void> {
  for await (const entry of archive) {
    await readEntry(entry, findings);
    entry.resume();
  }
}

async function readEntry(entry: Entry, findings: Findings): Promise<void> {
  const { name, type, size = 0, linkname } = entry.header;
  const path = normalPath(name);
  if (path === undefined) return;
  const whiteout = whiteoutOf(path);
  if (whiteout !== undefined) {
    noteRemoval(whiteout.kind === 'remove' ? findings.removed : findings.emptied, whiteout.path, findings);
    return;
  }
  if (isRpmDatabase(path)) findings.reasons.add('rpm');
  const kind = fileOfInterest(path);
  if (kind === undefined) {
    if (type !== 'directory' && isFolderOfInterest(path)) noteRemoval(findings.removed, path, findings);
    return;
  }
  // Whatever comes under this name replaces what was there, in this layer (a later entry counts) and in lower ones.
  findings.files.delete(path);
  if (type === 'file' || type === 'contiguous-file') {
    if (size > MAX_BYTES[kind]) findings.reasons.add('limit');
    else if (kind !== 'os-release' && findings.packages >= DATABASE_MAX_PACKAGES) findings.reasons.add('limit');
    else await keepFile(path, kind, entry, findings);
  } else if (type === 'link') {
    keepLink(path, normalPath(linkname ?? ''), findings);
  }
  if (!findings.files.has(path)) noteRemoval(findings.removed, path, findings);
}

async function keepFile(path: string, kind: FileOfInterest, entry: Entry, findings: Findings): Promise<void> {
  const chunks = entry[Symbol.asyncIterator]();
  // Without `return`: a parser that stops early must not close the entry, which would close the whole archive.
  const content: AsyncIterable<Uint8Array> = { [Symbol.asyncIterator]: () => ({ next: () => chunks.next() }) };
  await parseFile(path, kind, content, findings);
  while (!(await chunks.next()).done);
}

async function parseFile(
  path: string,
  kind: FileOfInterest,
  content: AsyncIterable<Uint8Array>,
  findings: Findings,
): Promise<void> {
  switch (kind) {
    case 'os-release': {
      const distribution = await parseOsRelease(content);
      if (distribution !== undefined) findings.files.set(path, { path, distribution });
      return;
    }
    case 'npm': {
      // Many folders below node_modules hold a package.json that names no package (test data, markers of a module's type).
      const found = parsePackageJson(await collect(content));
      if (found !== undefined) keepPackages(path, { packages: [found], malformed: 0, truncated: false }, findings);
      return;
    }
    case 'dpkg':
      return keepPackages(path, await parseDpkgStatus(content), findings);
    case 'apk':
      return keepPackages(path, await parseApkInstalled(content), findings);
  }
}

function keepPackages(path: string, parsed: ParsedPackages, findings: Findings): void {
  if (parsed.malformed > 0) findings.reasons.add('malformed');
  if (parsed.truncated) findings.reasons.add('limit');
  findings.packages += parsed.packages.length;
  findings.files.set(path, { path, packages: parsed.packages });
}

/** A hard link shares its content with an entry before it in the same layer (OCI image specification v1.1, "Layer"). */
function keepLink(path: string, target: string | undefined, findings: Findings): void {
  const file = target === undefined ? undefined : findings.files.get(target);
  if (file === undefined) findings.reasons.add('hard-link');
  else findings.files.set(path, { ...file, path });
}

function noteRemoval(list: Set<string>, path: string, findings: Findings): void {
  if (list.size < MAX_REMOVALS) list.add(path);
  else findings.reasons.add('limit');
}

/** Small: entries beyond the limit of their kind do not come here. */
async function collect(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** How far the reader came before a stream broke is chance; the index must not depend on it, so nothing of the layer counts. */
function afterFailure(reason: unknown, blob: LocalBlob): LayerPackages {
  if (isErrno(reason)) throw fileError(reason, blob.path, 'read');
  return notRead(reason instanceof ExpansionLimitReached ? 'limit' : 'damaged');
}

function conclude(findings: Findings): LayerPackages {
  return {
    status: findings.reasons.size === 0 ? 'read' : 'partial',
    reasons: [...findings.reasons].sort(),
    files: [...findings.files.values()],
    removed: [...findings.removed].sort(),
    emptied: [...findings.emptied].sort(),
  };
}

function notRead(reason: LayerReason): LayerPackages {
  return { status: 'not-read', reasons: [reason], files: [], removed: [], emptied: [] };
}
