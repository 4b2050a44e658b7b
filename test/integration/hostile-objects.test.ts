/** Every object of a repository, flipped, cut, deleted, exchanged and replayed: named by a check, and no reader gets a wrong byte. */
import { beforeAll, describe, expect, test } from 'vitest';
import { createChunkReader } from '../../src/adapters/chunk-reader/chunk-reader.ts';
import { digestOf } from '../../src/core/digest.ts';
import { PortolanError } from '../../src/core/errors.ts';
import { createIdentity } from '../../src/formats/age/new-identity.ts';
import { evidenceKey, parseRepositoryKey, type RepositoryKey } from '../../src/formats/repository/keys.ts';
import { isCode } from '../../src/usecases/repository/objects.ts';
import { pseudoRandom } from '../support/image-content.ts';
import {
  type Content,
  createMemoryRepository,
  isContent,
  type MemoryRepository,
  type Writer,
} from '../support/memory-repository.ts';

const HOUR_MS = 3_600_000;
const content = (seed: string): Content => ({ a: pseudoRandom('a', 8000), b: pseudoRandom(seed, 12_000) });

interface Prepared {
  readonly repository: MemoryRepository;
  readonly truth: ReadonlyMap<string, Content>;
  /** What each object is, of a twin: another repository that does the same. */
  readonly twin: MemoryRepository;
  /** Keys of objects that something live needs. */
  readonly needed: readonly string[];
}

/** Two writers, a reader with evidence, a key that was sealed again, a stub, a mark, results of a verifier. */
async function fill(): Promise<{ repository: MemoryRepository; truth: Map<string, Content> }> {
  const repository = await createMemoryRepository({ writers: ['db-1', 'db-2'], verifiers: true });
  const { clock, writers, people } = repository;
  const [db1, db2] = writers as [Writer, Writer];
  const truth = new Map<string, Content>();
  const back = async (writer: Writer, seed: string, full = false) => {
    const { sequence } = await repository.run(writer, content(seed), { full });
    truth.set(`${writer.name}/${sequence}`, content(seed));
    clock.storageMs += 2 * HOUR_MS;
  };
  await back(db1, 'first');
  await back(db1, 'second', true);
  await back(db2, 'other');
  await repository.forget({ named: ['db-1/1'] });
  truth.delete('db-1/1');
  clock.storageMs += 2 * HOUR_MS;
  await repository.prune();
  const anna = await createIdentity('classic');
  const proof = Buffer.from(anna.recipient);
  const evidence = { digest: digestOf(proof) };
  await repository.change((roster) => ({
    ...roster,
    recipients: [...roster.recipients, { name: 'anna', recipient: anna.recipient, role: 'reader', evidence }],
  }));
  await repository.store.put(evidenceKey(evidence.digest), proof);
  await repository.rewrap([people.reader.identity]);
  await back(db1, 'third');
  const sign = { signer: people.verifier, program: '0' };
  await repository.check({ identities: [people.reader.identity], sign });
  return { repository, truth };
}

let base: Prepared;
beforeAll(async () => {
  const { repository, truth } = await fill();
  const { repository: twin } = await fill();
  const needed: string[] = [];
  // What nothing names is garbage, whatever is in it: without it a check finds nothing wrong, and forgets nothing.
  for (const key of repository.store.keys) {
    const one = repository.fork();
    one.store.overwrite(key, Buffer.from('rubbish'));
    if ((await foundBy(one)).length > 0) needed.push(key);
  }
  base = { repository, truth, twin, needed };
});

/** What a check names, or stops at. */
async function foundBy(repository: MemoryRepository): Promise<string[]> {
  const told = ({ code, at }: PortolanError) => `${code} ${at?.file}`;
  try {
    return (await repository.check()).problems.map(told);
  } catch (error) {
    if (error instanceof PortolanError) return [error, ...error.others].map(told);
    throw error;
  }
}

const bytesOf = async ({ store }: MemoryRepository, key: string) =>
  Buffer.from(await store.get(key, { maxBytes: 1 << 30 }));

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] as number) ^ 1;
  return copy;
}

const kindOf = (key: string) => (parseRepositoryKey(key) as RepositoryKey).kind;

/** Another object of the same kind, of the same repository. */
function siblingOf(key: string, { store }: MemoryRepository): string | undefined {
  const all = store.keys.filter((other) => other !== key && kindOf(other) === kindOf(key));
  return all[(Number.parseInt(digestOf(Buffer.from(key)).slice(7, 15), 16) >>> 0) % Math.max(1, all.length)];
}

/** The object of the twin that has the same place there. */
function counterpartOf(key: string): string | undefined {
  const ofKind = ({ store }: MemoryRepository) => store.keys.filter((one) => kindOf(one) === kindOf(key));
  return ofKind(base.twin)[ofKind(base.repository).indexOf(key)];
}

type Tampering = (repository: MemoryRepository, key: string) => Promise<boolean>;

/** Each says whether it changed anything. */
const TAMPERINGS: Readonly<Record<string, Tampering>> = {
  async 'flipped at its start'(repository, key) {
    repository.store.overwrite(key, flipped(await bytesOf(repository, key), 0));
    return true;
  },
  async 'flipped in the middle'(repository, key) {
    const bytes = await bytesOf(repository, key);
    repository.store.overwrite(key, flipped(bytes, bytes.length >> 1));
    return true;
  },
  async 'flipped at its end'(repository, key) {
    const bytes = await bytesOf(repository, key);
    repository.store.overwrite(key, flipped(bytes, bytes.length - 1));
    return true;
  },
  async 'cut by a byte'(repository, key) {
    repository.store.overwrite(key, (await bytesOf(repository, key)).subarray(0, -1));
    return true;
  },
  async 'cut to a half'(repository, key) {
    const bytes = await bytesOf(repository, key);
    repository.store.overwrite(key, bytes.subarray(0, bytes.length >> 1));
    return true;
  },
  async emptied({ store }, key) {
    store.overwrite(key, new Uint8Array());
    return true;
  },
  async lengthened(repository, key) {
    repository.store.overwrite(key, Buffer.concat([await bytesOf(repository, key), Buffer.of(0)]));
    return true;
  },
  async deleted({ store }, key) {
    store.forget(key);
    return true;
  },
  async 'exchanged with another of its kind'(repository, key) {
    const other = siblingOf(key, repository);
    if (other === undefined) return false;
    const [mine, theirs] = [await bytesOf(repository, key), await bytesOf(repository, other)];
    repository.store.overwrite(key, theirs);
    repository.store.overwrite(other, mine);
    return true;
  },
  async 'replaced by an older one of its kind'(repository, key) {
    const older = repository.store.keys.find((other) => kindOf(other) === kindOf(key) && other < key);
    if (older === undefined) return false;
    repository.store.overwrite(key, await bytesOf(repository, older));
    return true;
  },
  async 'replaced by that of another repository'({ store }, key) {
    const other = counterpartOf(key);
    if (other === undefined) return false;
    store.overwrite(key, await bytesOf(base.twin, other));
    return true;
  },
};

const EXCHANGED = 'exchanged with another of its kind';
const FOREIGN = 'replaced by that of another repository';

/** Kinds whose absence nobody can tell, and which mean nothing then but that somebody's word is missing. */
const MAY_BE_ABSENT: readonly RepositoryKey['kind'][] = ['mark', 'verification', 'rewrap', 'evidence'];

describe.each(Object.keys(TAMPERINGS))('%s', (name) => {
  const tamper = TAMPERINGS[name] as Tampering;

  test('every object that something needs is named', async () => {
    for (const key of base.needed) {
      const repository = base.repository.fork();
      if (!(await tamper(repository, key))) continue;
      const found = (await foundBy(repository)).join('\n');
      if (name === 'deleted' && MAY_BE_ABSENT.includes(kindOf(key))) continue;
      // Rosters and stubs that are gone show by what follows them.
      // A word of a verifier whom nobody knows counts for nothing, as that of one who left.
      if (name === FOREIGN && kindOf(key) === 'verification') continue;
      const gone = { roster: 'ROSTER_', forgotten: 'SNAPSHOT_DROPPED', repository: 'REPOSITORY_MISSING' } as const;
      const code = gone[kindOf(key) as keyof typeof gone];
      // Of two rosters that changed places the first is named.
      const place = kindOf(key) === 'roster' ? 'keys/' : key;
      expect(found, key).toContain(name === 'deleted' && code !== undefined ? code : place);
    }
  });
});

// Where a bit is flipped, or how much is cut, makes no difference to who opens it: these stand for the others.
const READ_AFTER: readonly string[] = [
  ...['flipped in the middle', 'cut by a byte', 'deleted'],
  ...[EXCHANGED, 'replaced by an older one of its kind', FOREIGN],
];

describe.each(READ_AFTER)('%s', (name) => {
  const tamper = TAMPERINGS[name] as Tampering;

  test('whatever object it is, a reader gets the truth or an error, and most snapshots the truth', async () => {
    for (const key of base.needed) {
      const repository = base.repository.fork();
      if (!(await tamper(repository, key))) continue;
      const touched: string[] = [];
      for (const [snapshot, wanted] of base.truth) {
        const right = await readsRight(repository, snapshot, wanted, key);
        if (!right) touched.push(snapshot);
      }
      // One object takes not all with it; two that changed places may. Without its rosters a repository is nobody's.
      if (name !== EXCHANGED && kindOf(key) !== 'roster' && kindOf(key) !== 'repository') {
        expect(touched.length, `${key}: ${touched}`).toBeLessThan(base.truth.size);
      }
    }
  });
});

async function readsRight(repository: MemoryRepository, snapshot: string, wanted: Content, key: string) {
  try {
    const streams = await repository.read(snapshot);
    // Wrong bytes are the one thing that must never come.
    expect(isContent(streams, wanted), `${key}: ${snapshot}`).toBe(true);
    return true;
  } catch (error) {
    if (error instanceof PortolanError) return false;
    throw error;
  }
}

describe('packs, read by the worker threads of the true reader', () => {
  test.each(['flipped in the middle', 'cut by a byte', 'deleted', EXCHANGED])(
    '%s: the truth or an error',
    async (name) => {
      const packs = base.needed.filter((key) => kindOf(key) === 'pack');
      const repository = base.repository.fork();
      expect(await (TAMPERINGS[name] as Tampering)(repository, packs.at(-1) as string)).toBe(true);
      const results: (string | boolean)[] = [];
      for (const [snapshot, wanted] of base.truth) {
        try {
          results.push(isContent(await repository.read(snapshot, { createChunkReader }), wanted));
        } catch (error) {
          if (!isCode(error, (error as PortolanError).code)) throw error;
          results.push(error.code);
        }
      }
      expect(results).not.toContain(false);
      // Two that changed places may be what all three snapshots stand on.
      if (name !== EXCHANGED) expect(results).toContain(true);
      expect(results.some((result) => typeof result === 'string')).toBe(true);
    },
  );
});
