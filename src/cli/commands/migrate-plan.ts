import type { MigrationPlan } from '../../usecases/migrate/plan.ts';
import { defineCommand, flag } from '../arguments.ts';
import { formatTable } from '../output-table.ts';
import {
  bundleOf,
  bundleOptions,
  databaseOptions,
  moduleOptions,
  openDatabase,
  openModules,
} from './migrate-options.ts';

export const spec = defineCommand({
  name: 'plan',
  summary: 'show what up would do',
  description:
    'Shows what `migrate up` with the same options would do, file by file, and all that forbids it. Changes nothing, and ' +
    'asks for nothing but the right to read.',
  arguments: {},
  options: {
    ...moduleOptions,
    ...databaseOptions,
    contract: flag({ description: 'as if contract files ran at once' }),
    allowOutOfOrder: flag({ description: 'new files may have numbers below those that were applied' }),
    ...bundleOptions,
  },
  examples: [
    {
      command: 'portolan migrate plan --dir opened/modules --database postgres://cms@db.example/cms',
      note: 'before an upgrade',
    },
  ],
  async run(context, _, options) {
    const database = await openDatabase(options, context);
    await using opened = await openModules(options, context);
    const { planMigrations } = await import('../../usecases/migrate/plan.ts');
    const { throwProblems } = await import('../../core/errors.ts');
    const release = bundleOf(options);
    const plan = await planMigrations(
      {
        modules: opened.modules,
        mode: options.contract ? 'contract' : release.bundle === undefined ? 'expand' : 'import',
        allowOutOfOrder: options.allowOutOfOrder,
        ...release,
      },
      { database },
      context,
    );
    const { problems, ...rest } = plan;
    context.output.result({ ...rest, problems: problems.length }, () => planText(plan));
    throwProblems(problems);
  },
});

const WORDS = {
  apply: 'runs',
  defer: 'waits for the next release',
  wait: 'waits',
  repair: 'counts as applied',
  done: 'applied',
} as const;

function planText({ place, files, ahead, orphans }: MigrationPlan): string {
  const open = files.filter(({ action }) => action !== 'done');
  const done = files.length - open.length;
  const lines = [`${place}: ${done} applied, ${open.filter(({ action }) => action === 'apply').length} to run`];
  if (open.length > 0) {
    const rows = open.map(({ module, file, action }) => [module, file, WORDS[action]]);
    lines.push('', formatTable([{ title: 'module' }, { title: 'file' }, { title: 'what' }], rows));
  }
  for (const { module, file } of ahead) lines.push(`${module}/${file}: applied by a later release`);
  for (const { module } of orphans) lines.push(`${module}: in the ledger, not carried here; left alone`);
  return lines.join('\n');
}
