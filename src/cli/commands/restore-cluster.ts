import type { ClusterRestoreSettings } from '../../compose/restore-cluster.ts';
import type { ImportReport } from '../../usecases/import/import.ts';
import { IMPORT_PARTS, type ImportPlan } from '../../usecases/import/types.ts';
import type { CommandContext } from '../context.ts';
import { formatBytes, formatCount, formatDuration } from '../output-units.ts';
import { planText, tellPlan } from './import-plan-text.ts';

type Settings = Omit<ClusterRestoreSettings, 'bundle' | 'importing' | 'selection' | 'applicationName'>;

export interface ClusterRestoreValues extends Settings {
  readonly context: string;
  readonly plan: boolean;
  readonly bundle: string | undefined;
  readonly bundleTrust: string | undefined;
  readonly configuration: readonly string[];
  readonly kubeconfig: string | undefined;
  readonly namespace: string;
  readonly images: string | undefined;
  readonly rewriteImages: boolean;
  readonly helm: string | undefined;
  readonly rehearse: boolean;
  readonly receipt: string | undefined;
  readonly waitLock: number;
  readonly timeout: number;
  readonly source: readonly string[];
  readonly database: readonly string[];
}

/** `portolan restore --to CONTEXT`. */
export async function runClusterRestore(context: CommandContext, values: ClusterRestoreValues): Promise<void> {
  const { resolve } = await import('node:path');
  const { readTrust } = await import('../../compose/keys.ts');
  const { parseBundleAddress } = await import('../../compose/bundle-medium.ts');
  const { composeClusterRehearsal, composeClusterRestore, composeClusterRestorePlan } = await import(
    '../../compose/restore-cluster.ts'
  );
  const { refuseProblems } = await import('../../usecases/refuse.ts');
  const { waitsOf } = await import('./target-options.ts');
  const { bundle = '', bundleTrust = '', identities, plan, caFile, images, rewriteImages, helm, ...rest } = values;
  const settings: ClusterRestoreSettings = {
    ...rest,
    identities,
    caFile,
    bundle: await parseBundleAddress(bundle, context.cwd),
    applicationName: 'portolan restore',
    selection: { sources: values.source, databases: values.database, schemas: [], tables: [] },
    importing: {
      ...waitsOf(values),
      ...{ identities, images, rewriteImages, helm, caFile },
      configuration: values.configuration,
      kubeconfig: values.kubeconfig,
      context: values.context,
      namespace: values.namespace,
      // What was seen of the repository stays on this machine; what the target has belongs to the target.
      state: undefined,
      trust: await readTrust(bundleTrust),
      parts: new Set(IMPORT_PARTS),
      database: undefined,
      allowDowngrade: false,
      allowOrphans: false,
      receipt: values.receipt === undefined ? undefined : resolve(context.cwd, values.receipt),
    },
  };
  if (plan) {
    const { errorFields } = await import('../output-errors.ts');
    const { plan: found, problems } = await composeClusterRestorePlan(settings, context);
    const fields = { ...found, ok: problems.length === 0, problems: problems.map(errorFields) };
    context.output.result(fields, () => [planText(found), ...databaseText(found)].join('\n'));
    refuseProblems(problems);
    return;
  }
  const onPlan = (found: ImportPlan) => tellPlan(found, context);
  const compose = values.rehearse ? composeClusterRehearsal : composeClusterRestore;
  const { receipt: _, receiptSealed, ...report } = await compose(settings, { ...context, onPlan });
  const { receipt } = settings.importing;
  const fields = { ...report, ...(receipt === undefined ? {} : { receipt, receiptSealed }) };
  context.output.result(fields, () => reportLines(report, values).join('\n'));
}

function databaseText({ databases }: ImportPlan): string[] {
  if (databases === undefined) return [];
  const { from, at, place, serverVersion, release, needs, notes } = databases;
  return [
    '',
    `${from.snapshot} of ${at}: ${place}, PostgreSQL ${serverVersion}`,
    ...(release === undefined
      ? []
      : [`  release     ${release.name} ${release.version} (sequence ${release.sequence})`]),
    ...databases.databases.map(
      ({ name, tables, rows, sizeBytes }) =>
        `  database    ${name}: ${formatCount(tables, 'table')}, ${rows} rows, ${formatBytes(sizeBytes)}`,
    ),
    ...needs.map((need) => `  needs       --allow ${need}`),
    ...notes.map((note) => `  note        ${note}`),
  ];
}

type Report = Omit<ImportReport, 'receipt' | 'receiptSealed'>;

function reportLines(
  { tag, place, images, databases, charts, migrations, took, root }: Report,
  { context, rehearse }: ClusterRestoreValues,
) {
  return [
    rehearse
      ? `${tag}: a restore was rehearsed in ${place}, and removed`
      : `${tag}: restored into ${place} (context ${context})`,
    ...(images === undefined
      ? []
      : [
          `  images      ${images.target}: ${formatCount(images.sent, 'image')} sent, ${formatBytes(images.sentBytes)}`,
        ]),
    ...(databases === undefined
      ? ['  databases   restored and proved by a run before']
      : [
          `  snapshot    ${databases.snapshot}`,
          ...databases.databases.map(
            ({ target, tables, rows, sizeBytes }) =>
              `  database    ${target}: ${formatCount(tables, 'table')}, ${rows} rows, ${formatBytes(sizeBytes)}, proved`,
          ),
          ...databases.notes.map((note) => `  note        ${note}`),
        ]),
    ...charts.map((chart) => `  release     ${chart.namespace}/${chart.release}, revision ${chart.revision}`),
    ...(migrations === undefined
      ? []
      : [`  migrations  ${migrations.skipped} as the ledger says, ${migrations.applied.length} applied`]),
    ...took.map(({ part, durationMs }) => `  took        ${part}: ${formatDuration(durationMs)}`),
    `  root        ${root}`,
  ];
}
