import type { PortolanError } from '../../core/errors.ts';
import { runAll } from '../../core/run-all.ts';
import { type BlobRole, IMAGE_ROLES } from '../../formats/bundle/contents.ts';
import type { Trust } from '../../formats/sigstore/trust.ts';
import type { Medium } from '../../ports/medium.ts';
import type { SealingEngine } from '../../ports/sealing.ts';
import { assertBundleFile } from '../bundle/bundle-file.ts';
import { openLists } from '../bundle/open-lists.ts';
import { readSignatures } from '../bundle/read-signatures.ts';
import { acceptedKeys, notSigned, refusedByTrust, signerNotNamed } from '../bundle/require-trusted.ts';
import { resolveBundle } from '../bundle/resolve-bundle.ts';
import { checkPiece } from '../bundle/verify.ts';
import { collect, refuseProblems } from '../refuse.ts';
import type { BlobSource } from './stream-blobs.ts';

export interface OpenRequest {
  readonly tag?: string;
  readonly trust: Trust;
  readonly identities: readonly string[];
}

export interface OpenedBundle extends BlobSource {
  readonly signedBy: { readonly name: string; readonly keyHint: string };
}

/**
 * Opens a bundle to be imported: signature, every file's presence and length, the sealed lists. What is wrong with the
 * bundle itself ends it here, all of it at once: nothing that nobody trusted has signed is looked into. What the trust
 * file refuses is noted in `problems`: the checks of the target are worth showing beside it.
 *
 * @throws UseCaseError BUNDLE_NOT_FOUND, NOT_SIGNED_BY_TRUSTED, SIGNER_NOT_NAMED, FILE_OF_BUNDLE_…, IMPORT_REFUSED for several; what
 *   `openLists` throws
 */
export async function openForImport(
  request: OpenRequest,
  { medium, engine }: { readonly medium: Medium; readonly engine: SealingEngine },
  problems: PortolanError[],
): Promise<OpenedBundle> {
  const bundle = await resolveBundle(medium, request.tag);
  const ends: PortolanError[] = [];
  const signatures = await readSignatures(medium, bundle, request.trust.keys);
  const accepted = acceptedKeys(signatures);
  const [trusted] = accepted;
  if (trusted === undefined) ends.push(notSigned(medium, bundle, signatures));
  for (const layer of [bundle.manifest.lists, ...bundle.manifest.pieces]) {
    await collect(ends, () => assertBundleFile(medium, layer));
  }
  const lists =
    trusted === undefined ? undefined : await collect(ends, () => openLists(medium, bundle, request.identities));
  if (lists !== undefined && trusted !== undefined) {
    const { signers } = lists.contents;
    if (!accepted.some(({ keyHint }) => signers.includes(keyHint))) {
      ends.push(signerNotNamed(medium, trusted.keyHint, signers));
    }
  }
  refuseProblems(ends);
  if (lists === undefined || trusted === undefined) throw new Error('a bundle without lists passed its checks');
  problems.push(...refusedByTrust(medium, request.trust, lists.contents));
  const { name, keyHint } = trusted;
  return { medium, engine, bundle, lists, identities: request.identities, signedBy: { name, keyHint } };
}

const OF_IMAGES: ReadonlySet<BlobRole> = new Set(IMAGE_ROLES);

/**
 * Everything but images is used only after the pieces that hold it were checked whole: digest, authenticity, padding, and
 * each blob. Names every bad file.
 */
export async function verifyUsedPieces(
  { medium, engine, bundle, lists, identities }: OpenedBundle,
  options: { readonly signal?: AbortSignal; readonly onBytes?: (bytes: number) => void },
): Promise<void> {
  const used = new Set(
    lists.contents.blobs
      .filter(({ roles }) => roles.some((role) => !OF_IMAGES.has(role)))
      .flatMap(({ digest }) => (lists.extents.get(digest) ?? []).map(([piece]) => piece)),
  );
  const problems: PortolanError[] = [];
  const { onBytes = () => {}, ...rest } = options;
  const work = [...used].map((index) => async () => {
    const layer = bundle.manifest.pieces[index];
    if (layer === undefined) throw new Error(`no piece ${index}`);
    await collect(problems, () =>
      checkPiece(medium, engine, layer, { lists, index }, identities, { ...rest, onBytes }),
    );
  });
  await runAll(work, engine.workers * 2, rest);
  refuseProblems(problems);
}
