import { defineCommand, list } from '../arguments.ts';
import { UsageError } from '../errors.ts';
import { databaseOptions, lockOptions, moduleOptions, openDatabase, openModules } from './migrate-options.ts';

export const spec = defineCommand({
  name: 'baseline',
  summary: 'adopt a database that was made by other means',
  description:
    'Records the files of a module up to a number as applied, without running them. For a database whose schema stands ' +
    'already; `migrate up` goes on behind it. Nothing but the ledger is written.',
  arguments: {},
  options: {
    ...moduleOptions,
    ...databaseOptions,
    to: list({
      value: 'MODULE/NUMBER',
      description: 'the last file of a module whose effect is there; repeatable',
    }),
    ...lockOptions,
  },
  examples: [
    {
      command:
        'portolan migrate baseline --dir opened/modules --database postgres://cms@db.example/cms --to core/20260210120000',
      note: 'core stands as of that file',
    },
  ],
  async run(context, _, options) {
    const to = options.to.map(parseTarget);
    if (to.length === 0) throw new UsageError('USAGE', '--to says up to where', { hint: 'Give --to MODULE/NUMBER.' });
    const database = await openDatabase(options, context);
    await using opened = await openModules(options, context);
    const { baselineMigrations } = await import('../../usecases/migrate/baseline.ts');
    const { recorded } = await baselineMigrations(
      { modules: opened.modules, to },
      { database },
      {
        signal: context.signal,
        lockWaitMs: options.waitLock * 1000,
        onEvent: (event) => {
          if (event.kind === 'waiting-for-lock') context.progress.warn(`waiting for the lock of ${event.holder}`);
        },
      },
    );
    context.output.result({ place: database.place, recorded }, () =>
      [
        `${database.place}: ${recorded.length} recorded as applied; nothing was run`,
        ...recorded.map(({ module, file }) => `  ${module}/${file}`),
      ].join('\n'),
    );
  },
});

function parseTarget(text: string): { module: string; number: bigint } {
  const match = /^([^/]+)\/(\d{1,20})$/.exec(text);
  if (match !== null) return { module: match[1] as string, number: BigInt(match[2] as string) };
  throw new UsageError('USAGE', `--to cannot be ${JSON.stringify(text)}`, {
    expected: 'MODULE/NUMBER, such as core/20260210120000',
    hint: 'Give the digits that the name of the file starts with.',
  });
}
