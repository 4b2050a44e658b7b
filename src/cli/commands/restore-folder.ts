import type { FolderRestoreSettings } from '../../compose/restore-folder.ts';
import type { CommandContext } from '../context.ts';
import { formatBytes, formatCount, formatDuration } from '../output-units.ts';

/** `restore … --to folder:DIR`. */
export async function runFolderRestore(context: CommandContext, settings: FolderRestoreSettings): Promise<void> {
  const { composeFolderRestore } = await import('../../compose/restore-folder.ts');
  const startMs = context.now();
  const report = await composeFolderRestore(settings, context);
  const durationMs = context.now() - startMs;
  context.output.result({ ...report, plan: settings.plan, durationMs }, () =>
    [
      settings.plan ? `${report.folder}: would get` : `${report.folder}: restored`,
      ...report.sources.map(({ source, kind, name, items, sizeBytes }) => {
        const what = formatCount(items, kind === 'postgres' ? 'stream' : 'file');
        return `  ${source.padEnd(11)} ${what}, ${formatBytes(sizeBytes)}, from ${name}`;
      }),
      ...(report.keptItems > 0
        ? [`  kept        ${formatCount(report.keptItems, 'file')} that were there already`]
        : []),
      ...report.notes.map((note) => `  note        ${note}`),
      ...(settings.plan ? [] : [`  took        ${formatDuration(durationMs)}`]),
    ].join('\n'),
  );
}
