import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import { openReceipt } from '../../../../src/formats/target/receipt.ts';
import type { DatabaseStep, DatabaseStepTarget, ImportDependencies } from '../../../../src/usecases/import/types.ts';
import { readInstalled } from '../../../../src/usecases/installed/installed-state.ts';
import { createImportFixture, type ImportFixture } from '../../../support/import-fixture.ts';
import { raisedCodes } from '../../../support/raised.ts';

const WEB = 'registry.example/cms/web:1.0.0';
const SQL = Buffer.from('select 1;\n');
const FROM = { repository: 'a-repository', snapshot: 'db/7', digest: digestOf(Buffer.from('a snapshot')) };
const DATABASE = {
  ...{ namespace: 'cms', host: 'cms-data', port: 5432, name: 'cms', user: 'postgres', sslMode: 'prefer' as const },
  ...{ password: { secret: 'auth', key: 'password' }, image: WEB },
};

let fixture: ImportFixture;
let steps: string[];
beforeEach(async () => {
  steps = [];
  fixture = await createImportFixture();
  const blob = await fixture.publisher.store(SQL);
  const file = { name: '1_a.sql', digest: blob.digest, sizeBytes: SQL.length, source: 'a/1_a.sql' };
  await fixture.build(
    { [WEB]: [1000] },
    {
      files: { 'module.sql': SQL },
      lock: { modules: [{ name: 'a', requires: [], files: [file] }], database: DATABASE } as object,
    },
  );
});
afterEach(() => fixture.dispose());

interface Behaviour {
  readonly from?: DatabaseStep['from'];
  readonly looked?: (target: DatabaseStepTarget) => void;
  readonly fill?: DatabaseStep['fill'];
  readonly failMigrations?: boolean;
}

function restoring({ from = FROM, looked, fill, failMigrations = false }: Behaviour): Partial<ImportDependencies> {
  return {
    migrations: () => ({
      place: 'a database',
      async apply() {
        steps.push('migrations');
        if (failMigrations) throw new Error('the power went');
        return { applied: [], deferred: [], repaired: [], skipped: 1, orphans: [] };
      },
      ledger: async () => [],
    }),
    databases: {
      from,
      rights: () => [],
      async look(target) {
        looked?.(target);
        return {
          problems: [],
          plan: {
            ...{ from, at: '2026-01-01T00:00:00.000Z', place: 'there', serverVersion: '15.1', needs: [], notes: [] },
            databases: [{ name: 'cms', tables: 1, rows: 2, sizeBytes: 3 }],
          },
        };
      },
      async fill(database, options) {
        steps.push(`databases of ${database.namespace}${options.wasProved ? ', proved before' : ''}`);
        if (fill !== undefined) return await fill(database, options);
        if (!options.wasProved) await options.onProved();
        return undefined;
      },
    },
  };
}

const importing = (behaviour: Behaviour) =>
  fixture.import({ parts: ['images', 'migrations'], dependencies: restoring(behaviour) });

describe('an import whose databases are filled by a restore', () => {
  it('fills them before the migrations, and the receipt names the snapshot', async () => {
    const { receipt, took } = await importing({});
    expect(steps).toEqual(['databases of cms', 'migrations']);
    expect(took.map(({ part }) => part)).toEqual(['images', 'databases', 'migrations']);
    expect(openReceipt(receipt).restored).toEqual({ ...FROM, databases: ['cms'] });
    expect((await readInstalled(fixture.state, 'demo')).applied?.restored).toEqual(FROM);
  });

  it('killed after the proof, it does not fill them again', async () => {
    await expect(importing({ failMigrations: true })).rejects.toThrow('the power went');
    const { running } = await readInstalled(fixture.state, 'demo');
    expect(running).toMatchObject({ restore: FROM, done: expect.arrayContaining(['databases']) });
    steps = [];
    const begun: boolean[] = [];
    await importing({ looked: ({ isBegun }) => begun.push(isBegun) });
    expect(begun).toEqual([true]);
    expect(steps).toEqual(['databases of cms, proved before', 'migrations']);
  });

  it('run again after its end, it does not fill them again', async () => {
    await importing({});
    steps = [];
    const begun: boolean[] = [];
    const { receipt } = await importing({ looked: ({ isBegun }) => begun.push(isBegun) });
    expect(begun).toEqual([true]);
    expect(steps).toEqual(['databases of cms, proved before', 'migrations']);
    expect(openReceipt(receipt).restored).toEqual({ ...FROM, databases: ['cms'] });
  });

  it('killed before the proof, it fills them again', async () => {
    const fill = async () => {
      throw new Error('the power went');
    };
    await expect(importing({ fill })).rejects.toThrow('the power went');
    expect(steps).toEqual(['databases of cms']);
    steps = [];
    await importing({});
    expect(steps).toEqual(['databases of cms', 'migrations']);
  });

  it('what another snapshot began counts for nothing', async () => {
    await expect(importing({ failMigrations: true })).rejects.toThrow('the power went');
    steps = [];
    const begun: boolean[] = [];
    const other = { ...FROM, snapshot: 'db/8', digest: digestOf(Buffer.from('another')) };
    await importing({ from: other, looked: ({ isBegun }) => begun.push(isBegun) });
    expect(begun).toEqual([false]);
    expect(steps).toEqual(['databases of cms', 'migrations']);
  });

  it('a bundle that does not say where its database is, is refused', async () => {
    await fixture.build({ [WEB]: [1000] }, { lock: { version: '2.0.0', sequence: 2 } });
    const codes = await raisedCodes(() =>
      fixture.import({
        parts: ['images', 'migrations'],
        request: { tag: 'demo-2.0.0' },
        dependencies: restoring({}),
      }),
    );
    expect(codes).toEqual(['UseCaseError TARGET_NOT_SAID']);
    expect(steps).toEqual([]);
  });
});
