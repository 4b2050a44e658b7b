import type { MetricsReport } from '../../usecases/repository/metrics.ts';
import { defineCommand, path, text } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../errors.ts';
import { durationOf } from './duration-option.ts';
import { acceptOption, copiedOption, holdReasonsOf, perDayOption } from './hold-options.ts';
import { checkpointOption, repositoryOptions } from './repository-options.ts';
import { telemetryOptions } from './telemetry-options.ts';

const INTERVAL = '5min';
/** Nobody who looks at a schedule of backups wants it sooner. */
const SHORTEST_INTERVAL_MS = 1000;
const LIMIT_MS = 5 * 60_000;

export const spec = defineCommand({
  name: 'metrics',
  summary: 'tell a monitor how the backups are',
  description:
    "Prints what there is to watch of a repository, in Prometheus' text format: how old and how large the newest snapshot of each " +
    'writer is, when a verifier found one good, what the identity provider answered, which chains are held, and how much is wrong. ' +
    'All of it stands in clear and signed parts, and is verified: needs no identity. With --listen it is served until the program is ' +
    'ended.',
  arguments: {},
  options: {
    listen: text({
      value: '[HOST:]PORT',
      description: 'serve /metrics and /healthz there; without a host at 127.0.0.1 alone',
    }),
    interval: text({
      value: 'TIME',
      description: `with --listen: how often the repository is read (default: ${INTERVAL})`,
    }),
    out: path({ value: 'FILE', description: "write into a file, for node exporter's textfile collector" }),
    perDay: perDayOption,
    accept: acceptOption('a chain is not held for this reason'),
    copied: copiedOption,
    ...repositoryOptions,
    checkpoint: checkpointOption,
    ...telemetryOptions,
  },
  examples: [
    { command: 'portolan backup metrics --repo /srv/backups --trust trust.json', note: 'once' },
    {
      command: 'portolan backup metrics --repo /srv/backups --out /var/lib/node_exporter/portolan.prom',
      note: 'by cron, for node exporter',
    },
    {
      command: "portolan backup metrics --repo 's3://backups/shop?endpoint=https://minio:9000' --listen 0.0.0.0:9464",
      note: 'in a cluster',
    },
  ],
  async run(context, _, { listen, interval, out, accept, ...options }) {
    if (listen !== undefined && out !== undefined) {
      throw new UsageError('USAGE', '--listen and --out exclude each other', { hint: 'Leave one of them out.' });
    }
    if (listen === undefined && interval !== undefined) {
      throw new UsageError('USAGE', '--interval is for --listen', {
        hint: 'Leave it out; a timer or cron runs the command again.',
      });
    }
    const settings = { ...options, accept: holdReasonsOf(accept), limitMs: LIMIT_MS };
    if (listen !== undefined) {
      const intervalMs = Math.max(durationOf('interval', interval ?? INTERVAL), SHORTEST_INTERVAL_MS);
      const limitMs = Math.max(intervalMs, 60_000);
      return await serve({ ...settings, ...addressOf(listen), intervalMs, limitMs }, context);
    }
    const { composeBackupMetrics, composeMetricsFile } = await import('../../compose/backup-metrics.ts');
    const once =
      out === undefined
        ? await composeBackupMetrics(settings, context)
        : await composeMetricsFile({ ...settings, out }, context);
    tellProblems(once, context);
    const { metrics, text: inPrometheus } = once;
    context.output.result({ ...metrics, ...(out === undefined ? {} : { out }) }, () =>
      out === undefined ? inPrometheus : `${out}: written`,
    );
  },
});

type Serving = Omit<
  Parameters<typeof import('../../compose/backup-metrics.ts').composeMetricsServer>[0],
  'onListening' | 'onRead' | 'onFailure'
>;

async function serve(settings: Serving, context: CommandContext): Promise<void> {
  const { composeMetricsServer } = await import('../../compose/backup-metrics.ts');
  const { exitStatusOf } = await import('../output-errors.ts');
  const { progress } = context;
  // Said when it changes, and not every five minutes.
  let told = '';
  const once = (what: string, tell: () => void) => {
    if (told !== what) tell();
    told = what;
  };
  const onListening = (address: string) =>
    context.output.result({ address }, () => `${address}: served until this program is ended`);
  const onRead = (report: MetricsReport) => {
    const what = report.problems.map(({ code, message }) => `${code}: ${message}`).join('\n');
    const failed = told.startsWith(FAILED);
    once(what, () => {
      if (failed) progress.warn('the repository is read again');
      tellProblems(report, context);
    });
  };
  await composeMetricsServer(
    {
      ...settings,
      onListening,
      onRead,
      onFailure(error, isFirst) {
        // What is wrong with the command itself does not mend while it runs.
        if (isFirst && (exitStatusOf(error) === 2 || error.code === 'REPOSITORY_UNTRUSTED')) throw error;
        const what = `${error.code}: ${error.message}`;
        once(FAILED + what, () => progress.warn(`${what}; what is told is of the last reading that came to its end`));
      },
    },
    context,
  );
}

const FAILED = 'failed: ';
/** Of a repository of which everything is gone. */
const PROBLEMS_NAMED = 10;

function tellProblems({ problems, forgetful }: MetricsReport, { progress }: CommandContext): void {
  for (const { code, message } of problems.slice(0, PROBLEMS_NAMED)) progress.warn(`${code}: ${message}`);
  if (problems.length > PROBLEMS_NAMED)
    progress.warn(`and ${problems.length - PROBLEMS_NAMED} more: portolan backup check`);
  if (forgetful !== undefined) {
    progress.warn(
      `${forgetful.code}: what was seen cannot be remembered here, so that snapshots that are rolled back later do not show; give --state DIR`,
    );
  }
}

/** `9464`, `0.0.0.0:9464`, `[::1]:9464`. @throws UsageError USAGE */
export function addressOf(given: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, port] = /^(?:(?:\[([0-9a-fA-F:.%a-z]+)\]|([^:[\]\s]+)):)?([0-9]{1,5})$/.exec(given) ?? [];
  if (port !== undefined && Number(port) < 65_536)
    return { host: bracketed ?? plain ?? '127.0.0.1', port: Number(port) };
  throw new UsageError('USAGE', '--listen: not an address', {
    expected: 'HOST:PORT or PORT, such as 127.0.0.1:9464 or [::]:9464',
    found: given,
  });
}
