import type { Digest } from '../../core/digest.ts';
import { EVIDENCE_MAX_BYTES, evidenceDigests } from '../../formats/repository/evidence.ts';
import { evidenceKey, KEY_PREFIXES, parseRepositoryKey } from '../../formats/repository/keys.ts';
import type { StoreOptions } from '../../ports/object-store.ts';
import { UseCaseError } from '../errors.ts';
import { isFinding, type UnreadableObject } from './chains.ts';
import { readAcceptable } from './objects.ts';
import type { OpenedRepository } from './open.ts';

export interface ReadEvidence {
  /** By digest; what no roster names is left out. Evidence that a roster names and that is not here was not published yet, or is gone. */
  readonly published: ReadonlyMap<Digest, Uint8Array>;
  /** Something else lies under its name. */
  readonly unreadable: readonly UnreadableObject[];
}

/** The evidence that was published of the recipients of all rosters; its content is not looked at. */
export async function readEvidence(repository: OpenedRepository, options: StoreOptions = {}): Promise<ReadEvidence> {
  const { store } = repository;
  const published = new Map<Digest, Uint8Array>();
  const unreadable: UnreadableObject[] = [];
  for (const digest of await listEvidence(repository, options)) {
    const key = evidenceKey(digest);
    try {
      const asked = { ...options, expected: digest };
      published.set(digest, await readAcceptable(store, key, EVIDENCE_MAX_BYTES, asked, (bytes) => bytes));
    } catch (error) {
      if (!isFinding(error)) throw error;
      unreadable.push({ key, error: damaged(key, error) });
    }
  }
  return { published, unreadable };
}

/** Which of the evidence that rosters name is there, by the storage's listing. */
export async function listEvidence(
  { store, rosters }: OpenedRepository,
  options: StoreOptions = {},
): Promise<ReadonlySet<Digest>> {
  const named = evidenceDigests(rosters);
  const listed = new Set<Digest>();
  if (named.size === 0) return listed;
  for await (const { key } of store.list(KEY_PREFIXES.evidence, options)) {
    const parsed = parseRepositoryKey(key);
    if (parsed?.kind === 'evidence' && named.has(parsed.digest)) listed.add(parsed.digest);
  }
  return listed;
}

function damaged(key: string, cause: unknown): UseCaseError {
  return new UseCaseError('BACKUP_OBJECT_DAMAGED', `${key}: it is not the evidence that the roster names`, {
    cause,
    at: { file: key },
    hint: 'Have an approver who kept the enrolment publish it again where the storage keeps no good version, or copy it from another copy of the repository.',
  });
}
