import { canonicalJson } from '../../../core/canonical-json.ts';
import type { Digest } from '../../../core/digest.ts';
import type { WritableFolder } from '../../../ports/file-tree.ts';
import { UseCaseError } from '../../errors.ts';

/** Lies in a folder while a snapshot is restored into it: who finds it goes on. */
const MARKER = Buffer.from('.portolan-restore.json');
const MARKER_MAX_BYTES = 4096;

/** Whether a restore of this snapshot was broken off here. @throws UseCaseError RESTORE_FOLDER_NOT_EMPTY */
export async function isResumed(
  folder: WritableFolder,
  snapshot: Digest,
  { overwrite, signal }: { readonly overwrite: boolean; readonly signal: AbortSignal },
): Promise<boolean> {
  const [first] = await folder.list(1);
  if (first === undefined) return false;
  const found = await read(folder, signal);
  if (found === textOf(snapshot)) return true;
  if (overwrite) return false;
  throw new UseCaseError('RESTORE_FOLDER_NOT_EMPTY', `${folder.place} is not empty`, {
    at: { file: folder.place },
    expected: 'an empty folder, or one in which a restore of this snapshot was broken off',
    found: found === undefined ? 'other files' : 'a restore of another snapshot that was broken off',
    hint: 'Name a new folder, or give --overwrite: what the snapshot has is replaced then, and the rest stays.',
  });
}

export async function setMarker(folder: WritableFolder, snapshot: Digest): Promise<void> {
  const bytes = Buffer.from(textOf(snapshot));
  const file = await folder.create(0);
  try {
    await file.write(bytes, 0);
    await file.commit(MARKER, { mode: 0o600, mtimeNs: 0n });
  } finally {
    await file.discard();
  }
  await folder.sync();
}

export function removeMarker(folder: WritableFolder): Promise<void> {
  return folder.remove(MARKER);
}

async function read(folder: WritableFolder, signal: AbortSignal): Promise<string | undefined> {
  await using file = await folder.open(MARKER);
  if (file === undefined) return undefined;
  let text = '';
  for await (const bytes of file.read({ offsetBytes: 0, lengthBytes: MARKER_MAX_BYTES }, { signal })) {
    text += Buffer.from(bytes).toString();
  }
  return text;
}

function textOf(snapshot: Digest): string {
  return `${canonicalJson({ snapshot })}\n`;
}
