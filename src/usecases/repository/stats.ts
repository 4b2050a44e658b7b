import { KEY_PREFIXES, parseRepositoryKey, type WriterName } from '../../formats/repository/keys.ts';
import { readChains } from './chains.ts';
import { listChains } from './listing.ts';
import { markedKeys, readMarks } from './marks.ts';
import { type NamedKind, objectsOf } from './named-objects.ts';
import type { OpenedRepository } from './open.ts';

export interface SizeTotal {
  readonly objects: number;
  readonly sizeBytes: number;
}

export interface StatsReport {
  readonly repository: string;
  readonly epoch: number;
  readonly writers: readonly {
    readonly writer: WriterName;
    readonly snapshots: number;
    /** Packs that its snapshots name, each once. */
    readonly packs: SizeTotal;
    /** If every snapshot had packs of its own. */
    readonly withoutReuseBytes: number;
  }[];
  /** What snapshots name, by kind, each object once. */
  readonly named: Readonly<Record<NamedKind, SizeTotal>>;
  /** Packs, indexes and contents that no snapshot names. */
  readonly unnamed: SizeTotal;
  /** Of those, what a pruner has marked. */
  readonly marked: SizeTotal;
}

/** What a repository holds, by the sizes in signed snapshots and the storage's listing. Needs no key. */
export async function repositoryStats(
  repository: OpenedRepository,
  options: { readonly signal: AbortSignal },
): Promise<StatsReport> {
  const named = new Map<string, NamedKind>();
  const totals: Record<NamedKind, Totals> = { pack: zero(), index: zero(), contents: zero(), runKey: zero() };
  const writers: { writer: WriterName; snapshots: number; packs: Totals; withoutReuseBytes: number }[] = [];
  for (const chain of await listChains(repository.store, options)) {
    const own = new Set<string>();
    const writer = { writer: chain.writer, snapshots: 0, packs: zero(), withoutReuseBytes: 0 };
    await readChains(repository, [chain], {
      ...options,
      writer: chain.writer,
      visit: (snapshot) => {
        writer.snapshots += 1;
        for (const { kind, key, sizeBytes } of objectsOf(snapshot)) {
          if (!named.has(key)) add(totals[kind], sizeBytes);
          named.set(key, kind);
          if (kind !== 'pack') continue;
          writer.withoutReuseBytes += sizeBytes;
          if (!own.has(key)) add(writer.packs, sizeBytes);
          own.add(key);
        }
      },
    });
    writers.push(writer);
  }
  const marks = markedKeys((await readMarks(repository, options)).marks);
  const unnamed = zero();
  const marked = zero();
  for (const prefix of [KEY_PREFIXES.pack, KEY_PREFIXES.index, KEY_PREFIXES.contents]) {
    for await (const { key, sizeBytes } of repository.store.list(prefix, options)) {
      if (named.has(key) || parseRepositoryKey(key) === undefined) continue;
      add(unnamed, sizeBytes);
      if (marks.has(key)) add(marked, sizeBytes);
    }
  }
  const { epoch } = repository.roster.document;
  return { repository: repository.id, epoch, writers, named: totals, unnamed, marked };
}

interface Totals {
  objects: number;
  sizeBytes: number;
}

function zero(): Totals {
  return { objects: 0, sizeBytes: 0 };
}

function add(totals: Totals, sizeBytes: number): void {
  totals.objects += 1;
  totals.sizeBytes += sizeBytes;
}
