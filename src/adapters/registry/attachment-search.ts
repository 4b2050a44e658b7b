import type { Digest } from '../../core/digest.ts';
import { FormatError } from '../../formats/errors.ts';
import { cosignTags, referrersTag } from '../../formats/oci/attachment.ts';
import { decodeManifest, MAX_MANIFEST_BYTES, MEDIA_TYPES } from '../../formats/oci/manifest.ts';
import { AdapterError } from '../errors.ts';
import { MAX_ATTACHMENTS } from '../images/image-walk.ts';
import type { RegistryClient, RegistryRequest } from './client.ts';
import { protocolFailure } from './failure.ts';

/** What a search needs of the registry source: a manifest by tag, `undefined` when there is none. */
export type TagLookup = (tag: string) => Promise<{ readonly digest: Digest; readonly bytes: Uint8Array } | undefined>;

const MAX_PAGES = 16;
/** What registries without the referrers API answer to it. */
const NO_REFERRERS_API = [400, 401, 403, 404, 405, 406, 501];

/** The manifests that hang on `subject`: referrers (by the API, else by the tag schema) and cosign's tags. */
export async function searchAttachments(
  client: RegistryClient,
  repository: { readonly host: string; readonly repository: string },
  subject: Digest,
  byTag: TagLookup,
  signal?: AbortSignal,
): Promise<readonly Digest[]> {
  const tagged = await Promise.all(cosignTags(subject).map(byTag));
  const referrers = (await askReferrers(client, repository, subject, signal)) ?? (await askTagSchema(byTag, subject));
  return [...referrers, ...tagged.flatMap((manifest) => manifest?.digest ?? [])];
}

/** OCI distribution specification v1.1, "Listing Referrers"; `undefined` where the API is missing. */
async function askReferrers(
  client: RegistryClient,
  repository: { readonly host: string; readonly repository: string },
  subject: Digest,
  signal?: AbortSignal,
): Promise<readonly Digest[] | undefined> {
  const found: Digest[] = [];
  let what = `referrers/${subject}`;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const wanted: RegistryRequest = {
      ...repository,
      what,
      headers: { accept: MEDIA_TYPES.ociIndex },
      allow: NO_REFERRERS_API,
    };
    const tooLarge = () =>
      new FormatError('MANIFEST_TOO_LARGE', 'A list of referrers is too large', { at: { digest: subject } });
    const answer = await client.read(wanted, MAX_MANIFEST_BYTES, tooLarge, signal);
    const isList =
      answer.status === 200 && String(answer.headers['content-type'] ?? '').startsWith(MEDIA_TYPES.ociIndex);
    if (!isList) {
      if (page === 0) return undefined;
      throw protocolFailure(wanted, 'a further page of referrers is missing', `HTTP ${answer.status}`);
    }
    const document = decodeManifest(answer.bytes, { declaredType: MEDIA_TYPES.ociIndex });
    if (document.kind === 'index') found.push(...imagesOf(document.manifests));
    if (found.length > MAX_ATTACHMENTS) break;
    const next = nextPage(String(answer.headers.link ?? ''), subject);
    if (next === undefined) return found;
    what = next;
  }
  throw new AdapterError('ATTACHMENT_LIMIT', 'Too many referrers hang on the image', {
    expected: `at most ${MAX_ATTACHMENTS} in ${MAX_PAGES} pages`,
    at: { digest: subject },
    hint: 'Remove old signatures and attestations from the repository, or pin the ones that you want.',
  });
}

async function askTagSchema(byTag: TagLookup, subject: Digest): Promise<readonly Digest[]> {
  const list = await byTag(referrersTag(subject));
  if (!list) return [];
  const document = decodeManifest(list.bytes, { digest: list.digest });
  return document.kind === 'index' ? imagesOf(document.manifests) : [];
}

/** ORAS' former artifact manifests are no images and are left out. */
function imagesOf(entries: readonly { readonly mediaType: string; readonly digest: Digest }[]): Digest[] {
  return entries.filter((entry) => entry.mediaType === MEDIA_TYPES.ociManifest).map((entry) => entry.digest);
}

/** The query alone is taken from `Link`: the path stays the one that we asked, on the host that we asked. */
function nextPage(link: string, subject: Digest): string | undefined {
  const address = /<([^<>]{1,2048})>\s*;\s*rel="?next"?/i.exec(link)?.[1];
  if (address === undefined || !URL.canParse(address, 'https://registry.invalid')) return undefined;
  return `referrers/${subject}${new URL(address, 'https://registry.invalid').search}`;
}
