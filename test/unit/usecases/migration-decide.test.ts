import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Decisions, decide } from '../../../src/usecases/migrate/decide.ts';
import { orderModules } from '../../../src/usecases/migrate/modules.ts';
import type {
  LedgerEntry,
  MigrationBundle,
  MigrationModule,
  MigrationRequest,
} from '../../../src/usecases/migrate/types.ts';
import { moduleOf, release } from '../../support/migration-modules.ts';
import { raisedCodes } from '../../support/raised.ts';

type Request = Omit<MigrationRequest, 'modules'>;

/** What a run leaves in the ledger when it does what was decided. */
function carryOut({ decisions }: Decisions, ledger: readonly LedgerEntry[], bundle?: MigrationBundle): LedgerEntry[] {
  const after = new Map(ledger.map((entry) => [`${entry.module}/${entry.number}`, entry]));
  for (const { file, action } of decisions) {
    if (action === 'wait') continue;
    const key = `${file.module}/${file.number}`;
    const before = after.get(key);
    const seenIn = before?.digest === file.digest ? (before.seenIn ?? bundle) : bundle;
    const { module, number, name, digest, kind } = file;
    const state = action === 'defer' ? 'deferred' : 'applied';
    after.set(key, {
      module,
      number,
      name,
      digest,
      kind,
      state,
      seenAt: '',
      ...(seenIn === undefined ? {} : { seenIn }),
    });
  }
  return [...after.values()].sort((a, b) =>
    a.module < b.module || (a.module === b.module && a.number < b.number) ? -1 : 1,
  );
}

const applied = ({ decisions }: Decisions) =>
  decisions.filter(({ action }) => action === 'apply').map(({ file }) => `${file.module}/${file.name}`);

describe('a line of releases', () => {
  /** Each release adds files; `completed` says whether its import came to its end. */
  const timeline = fc.array(
    fc.record({
      added: fc.array(fc.constantFrom('expand', 'contract'), { maxLength: 3 }),
      isCompleted: fc.boolean(),
      runs: fc.integer({ min: 1, max: 2 }),
    }),
    { minLength: 1, maxLength: 8 },
  );

  it('runs each file once, expand files at once, contract files when the release that brought them was completed', () => {
    fc.assert(
      fc.property(timeline, (releases) => {
        const files: Record<string, string> = {};
        const broughtBy = new Map<string, number>();
        const ran = new Set<string>();
        let ledger: LedgerEntry[] = [];
        let completed = 0;
        for (const [index, { added, isCompleted, runs }] of releases.entries()) {
          const sequence = index + 1;
          for (const kind of added) {
            const number = Object.keys(files).length + 1;
            const name = kind === 'contract' ? `${number}_x.contract.sql` : `${number}_x.sql`;
            files[name] = `select ${number};`;
            broughtBy.set(`core/${name}`, sequence);
          }
          const modules = orderModules([moduleOf('core', { ...files })]);
          for (let run = 0; run < runs; run += 1) {
            const request: Request = { mode: 'import', bundle: release(sequence), completedSequence: completed };
            const decisions = decide(modules, ledger, request);
            expect(decisions.problems).toEqual([]);
            const now = applied(decisions);
            expect(now).toEqual(
              [...now].sort((a, b) => Number.parseInt(a.slice(5), 10) - Number.parseInt(b.slice(5), 10)),
            );
            for (const path of now) {
              expect(ran.has(path)).toBe(false);
              ran.add(path);
              if (path.includes('.contract.')) expect(broughtBy.get(path)).toBeLessThanOrEqual(completed);
            }
            ledger = carryOut(decisions, ledger, release(sequence));
            // Nothing is left to do: only waiting is.
            const again = decide(modules, ledger, request);
            expect(again.decisions.every(({ action }) => action === 'wait')).toBe(true);
          }
          for (const [path, sequenceOf] of broughtBy) {
            const isDue = !path.includes('.contract.') || sequenceOf <= completed;
            expect({ path, ran: ran.has(path) }).toEqual({ path, ran: isDue });
          }
          if (isCompleted) completed = sequence;
        }
      }),
    );
  });
});

describe('what is asked for', () => {
  const modules = (files: Record<string, string>) => orderModules([moduleOf('core', files)]);

  it('a completed sequence at or above the own one makes nothing of the own release due', () => {
    const own = modules({ '1_c.contract.sql': 'select 1;' });
    const ledger = carryOut(decide(own, [], { mode: 'import', bundle: release(3) }), [], release(3));
    expect(applied(decide(own, ledger, { mode: 'import', bundle: release(3), completedSequence: 9 }))).toEqual([]);
    expect(applied(decide(own, ledger, { mode: 'import', bundle: release(4), completedSequence: 9 }))).toHaveLength(1);
  });

  it('numbers are compared as numbers, beyond what a double holds', () => {
    const ledger = carryOut(decide(modules({ '9007199254740993_a.sql': '' }), [], { mode: 'expand' }), []);
    const late = decide(
      modules({ '9007199254740992_late.sql': '', '9007199254740993_a.sql': '', '9007199254740994_b.sql': '' }),
      ledger,
      { mode: 'expand' },
    );
    expect(late.problems.map(({ code, found }) => [code, found])).toEqual([
      ['MIGRATION_OUT_OF_ORDER', '9007199254740992'],
    ]);
  });

  it('modules that require what is not there, or one another', async () => {
    const of = (...requires: (readonly [string, readonly string[]])[]): MigrationModule[] =>
      requires.map(([name, required]) => moduleOf(name, {}, required));
    expect(await raisedCodes(() => orderModules(of(['a', ['b']])))).toEqual(['FormatError DEPENDENCY_MISSING']);
    expect(await raisedCodes(() => orderModules(of(['a', ['b']], ['b', ['a']])))).toEqual([
      'FormatError DEPENDENCY_CYCLE',
    ]);
  });
});
