import { defineCommand } from '../arguments.ts';
import { formatTable } from '../output-table.ts';
import { formatBytes } from '../output-units.ts';
import { repositoryOptions } from './repository-options.ts';

export const spec = defineCommand({
  name: 'stats',
  summary: 'show what a repository takes',
  description: 'Adds up what the snapshots of each writer take, and what nothing names. Needs no key.',
  arguments: {},
  options: repositoryOptions,
  examples: [{ command: 'portolan backup stats --repo /srv/backups', note: 'where the space goes' }],
  async run(context, _, options) {
    const { composeBackupStats } = await import('../../compose/backup.ts');
    const report = await composeBackupStats(options, context);
    const { pack, index, contents, runKey } = report.named;
    const rows = report.writers.map(({ writer, snapshots, packs, withoutReuseBytes }) => [
      writer,
      String(snapshots),
      String(packs.objects),
      formatBytes(packs.sizeBytes),
      formatBytes(withoutReuseBytes),
    ]);
    const columns = [
      { title: 'writer' },
      { title: 'snapshots', align: 'right' },
      { title: 'packs', align: 'right' },
      { title: 'stored', align: 'right' },
      { title: 'without reuse', align: 'right' },
    ] as const;
    const line = (name: string, { objects, sizeBytes }: { readonly objects: number; readonly sizeBytes: number }) =>
      `  ${name.padEnd(11)} ${String(objects).padStart(7)}  ${formatBytes(sizeBytes)}`;
    context.output.result({ ...report }, () =>
      [
        rows.length === 0 ? 'No snapshots.' : formatTable(columns, rows),
        line('packs', pack),
        line('contents', contents),
        line('indexes', index),
        line('run keys', runKey),
        line('unnamed', report.unnamed),
        line('marked', report.marked),
      ].join('\n'),
    );
  },
});
