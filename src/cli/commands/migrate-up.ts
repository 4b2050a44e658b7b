import { printable } from '../../core/printable.ts';
import type { MigrationEvent } from '../../usecases/migrate/types.ts';
import { defineCommand, flag, list } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import {
  bundleOf,
  bundleOptions,
  databaseOptions,
  limitOptions,
  lockOptions,
  moduleOptions,
  openDatabase,
  openModules,
} from './migrate-options.ts';
import { telemetryOptions } from './telemetry-options.ts';

export const spec = defineCommand({
  name: 'up',
  summary: 'apply what is not applied yet',
  description:
    'Applies new files: modules after what they require, files by number, each in one transaction with its line in the ' +
    'ledger. Contract files are recorded and wait, unless --contract is given. Killed anywhere and run again, it goes on.',
  arguments: {},
  options: {
    ...moduleOptions,
    ...databaseOptions,
    contract: flag({
      description: 'run contract files at once: no program that needs what they take away may run any more',
    }),
    retry: list({
      value: 'MODULE/FILE',
      description: 'a dirty file whose leftovers were removed: run it again; repeatable',
    }),
    repaired: list({
      value: 'MODULE/FILE',
      description: 'a dirty file whose effect is there whole: count it as applied; repeatable',
    }),
    allowOutOfOrder: flag({ description: 'new files may have numbers below those that were applied' }),
    ...lockOptions,
    ...limitOptions,
    ...bundleOptions,
    ...telemetryOptions,
  },
  examples: [
    { command: 'portolan migrate up --dir opened/modules --database postgres://cms@db.example/cms', note: 'new files' },
    {
      command: 'portolan migrate up --dir opened/modules --database postgres://cms@db.example/cms --contract',
      note: 'once the former version is gone everywhere',
    },
  ],
  async run(context, _, options) {
    const database = await openDatabase(options, context);
    await using opened = await openModules(options, context);
    const { applyMigrations } = await import('../../usecases/migrate/apply.ts');
    const release = bundleOf(options);
    const report = await applyMigrations(
      {
        modules: opened.modules,
        mode: options.contract ? 'contract' : release.bundle === undefined ? 'expand' : 'import',
        allowOutOfOrder: options.allowOutOfOrder,
        retry: options.retry,
        repaired: options.repaired,
        ...release,
      },
      { database },
      { signal: context.signal, lockWaitMs: options.waitLock * 1000, onEvent: tell(context) },
    );
    const { applied, deferred, repaired, skipped, orphans } = report;
    context.output.result({ place: database.place, ...report }, () =>
      [
        `${database.place}: ${applied.length} applied, ${skipped} were applied before`,
        ...applied.map(({ module, file }) => `  applied   ${module}/${file}`),
        ...repaired.map(({ module, file }) => `  repaired  ${module}/${file}`),
        ...deferred.map(({ module, file }) => `  waits     ${module}/${file}`),
        ...orphans.map(({ module }) => `  ${module}: in the ledger, not carried here; left alone`),
      ].join('\n'),
    );
  },
});

/** A script may say the same thing for every row of a table: beyond this nobody reads it. */
const NOTICES_LIMIT = 1000;

/** Events are numbered, so that who reads them again from the start of a log knows which are new. */
function tell(context: CommandContext): (event: MigrationEvent) => void {
  let number = 0;
  let notices = 0;
  return (event) => {
    if (event.kind === 'notice') {
      notices += 1;
      if (notices > NOTICES_LIMIT) return;
    }
    number += 1;
    const { kind, ...fields } = event;
    context.output.event('migration', { number, kind, ...fields });
    if (context.json) return;
    const place = 'module' in event ? `${event.module}/${event.file}` : '';
    if (event.kind === 'started') context.progress.note(`${place} (${event.index} of ${event.total})`);
    else if (event.kind === 'notice') context.progress.note(`  the server says: ${printable(event.message)}`);
    else if (event.kind === 'waiting-for-lock') context.progress.warn(`waiting for the lock of ${event.holder}`);
    else if (event.kind === 'retry') {
      context.progress.warn(`${place} is tried again (attempt ${event.attempt} failed: ${event.reason})`);
    }
  };
}
