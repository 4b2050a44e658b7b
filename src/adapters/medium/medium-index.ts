import type { Digest } from '../../core/digest.ts';
import { ANNOTATION_REF_NAME, decodeLayoutIndex } from '../../formats/oci/layout.ts';
import { MAX_INDEX_DEPTH, MEDIA_TYPES } from '../../formats/oci/manifest.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import { AdapterError } from '../errors.ts';
import { readSmallFile } from '../files/small-file.ts';

const INDEX_MAX_BYTES = 16 * 1024 * 1024;
const MAX_ENTRIES = 4096;

/**
 * The manifests that index.json names. Movers that push a whole layout (`crane push --index`) make its index.json a blob of
 * another one: an index among the entries stands for what it names. A manifest that is named twice counts once for each tag
 * that it has. Empty when there is no index.json.
 *
 * @throws AdapterError FILE_UNREADABLE, FILE_TOO_LARGE, BLOB_MISSING, BLOB_DAMAGED, MANIFEST_LIMIT; FormatError LAYOUT_INVALID, MANIFEST_…
 */
export async function readMediumIndex(
  path: string,
  readBlob: (digest: Digest, maxBytes: number) => Promise<Uint8Array>,
): Promise<readonly Descriptor[]> {
  const bytes = await readSmallFile(path, INDEX_MAX_BYTES);
  if (bytes === undefined) return [];
  const found: Descriptor[] = [];
  const visit = async (entries: readonly Descriptor[], depth: number): Promise<void> => {
    for (const entry of entries) {
      if (entry.mediaType === MEDIA_TYPES.ociIndex) {
        if (depth === MAX_INDEX_DEPTH) throw tooMany(path);
        await visit(decodeLayoutIndex(await readBlob(entry.digest, INDEX_MAX_BYTES)), depth + 1);
      } else found.push(entry);
      if (found.length > MAX_ENTRIES) throw tooMany(path);
    }
  };
  await visit(decodeLayoutIndex(bytes), 0);
  return withoutRepeats(found);
}

function withoutRepeats(entries: readonly Descriptor[]): Descriptor[] {
  const tagged = new Set(entries.filter((entry) => nameOf(entry) !== '').map(({ digest }) => digest));
  const kept = new Map<string, Descriptor>();
  for (const entry of entries) {
    const key = `${entry.digest} ${nameOf(entry)}`;
    if (!kept.has(key) && (nameOf(entry) !== '' || !tagged.has(entry.digest))) kept.set(key, entry);
  }
  return [...kept.values()];
}

function nameOf({ annotations }: Descriptor): string {
  return annotations?.[ANNOTATION_REF_NAME] ?? '';
}

function tooMany(path: string): AdapterError {
  return new AdapterError('MANIFEST_LIMIT', `${path} names more than any medium holds`, {
    expected: `at most ${MAX_ENTRIES} manifests, and indexes ${MAX_INDEX_DEPTH} deep`,
    at: { file: path },
    hint: 'The medium is damaged or hostile: copy it again from where it came from.',
  });
}
