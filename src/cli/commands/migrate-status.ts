import type { LedgerEntry } from '../../usecases/migrate/types.ts';
import { defineCommand } from '../arguments.ts';
import { formatTable } from '../output-table.ts';
import { databaseOptions, moduleOptions, openDatabase, openModules } from './migrate-options.ts';

export const spec = defineCommand({
  name: 'status',
  summary: 'show the ledger, and where it and the modules differ',
  description:
    'Shows the ledger of a database. With --dir or --archive also the files that are not applied yet; what does not fit ' +
    '(changed, missing, dirty, out of order) is named, and the exit status is 3.',
  arguments: {},
  options: { ...moduleOptions, ...databaseOptions },
  examples: [
    { command: 'portolan migrate status --database postgres://cms@db.example/cms', note: 'the ledger alone' },
    {
      command: 'portolan migrate status --dir opened/modules --database postgres://cms@db.example/cms --json',
      note: 'compared with modules, as JSON',
    },
  ],
  async run(context, _, options) {
    const database = await openDatabase(options, context);
    const { planMigrations, readLedger } = await import('../../usecases/migrate/plan.ts');
    const ledger = await readLedger({ database }, context);
    const compared = options.dir !== undefined || options.archive.length > 0;
    await using opened = compared ? await openModules(options, context) : undefined;
    const plan =
      opened === undefined
        ? undefined
        : await planMigrations({ modules: opened.modules, mode: 'expand' }, { database }, context);
    const pending = (plan?.files ?? [])
      .filter(({ module, file, action }) => action !== 'done' && !ledger.some(isLine(module, file)))
      .map(({ module, file, kind }) => ({ module, file, kind }));
    const lines = ledger.map(({ number, ...line }) => ({ ...line, number: number.toString() }));
    context.output.result({ place: database.place, ledger: lines, pending, problems: plan?.problems.length ?? 0 }, () =>
      [
        `${database.place}: ${ledger.length} in the ledger${compared ? `, ${pending.length} pending` : ''}`,
        ...(ledger.length + pending.length === 0 ? [] : ['', statusTable(ledger, pending)]),
      ].join('\n'),
    );
    const { throwProblems } = await import('../../core/errors.ts');
    throwProblems(plan?.problems ?? []);
  },
});

function isLine(module: string, file: string): (entry: LedgerEntry) => boolean {
  return (entry) => entry.module === module && entry.name === file;
}

function statusTable(
  ledger: readonly LedgerEntry[],
  pending: readonly { readonly module: string; readonly file: string }[],
): string {
  const release = (entry: LedgerEntry) => {
    const bundle = entry.appliedIn ?? entry.seenIn;
    return bundle === undefined ? '' : `${bundle.name}-${bundle.version}`;
  };
  const rows = [
    ...ledger.map((entry) => [entry.module, entry.name, entry.state, release(entry), entry.appliedAt ?? '']),
    ...pending.map(({ module, file }) => [module, file, 'pending', '', '']),
  ];
  return formatTable(
    [{ title: 'module' }, { title: 'file' }, { title: 'state' }, { title: 'release' }, { title: 'applied' }],
    rows,
  );
}
