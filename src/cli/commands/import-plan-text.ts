import type { ImportPlan } from '../../usecases/import/types.ts';
import type { CommandContext } from '../context.ts';
import { formatTable } from '../output-table.ts';
import { formatBytes, formatCount } from '../output-units.ts';

/** What an import, or a restore into a cluster, is going to do: for people. */

export function tellPlan(plan: ImportPlan, { progress }: CommandContext): void {
  if (plan.interrupted !== undefined) {
    const { what, version, startedAt } = plan.interrupted;
    progress.warn(`going on after what did not end: ${what} of ${version}, begun ${startedAt}`);
  }
  const { images } = plan;
  if (images !== undefined) {
    progress.note(
      `${images.missing.length} of ${formatCount(images.images, 'image')} to send, ${formatBytes(images.sizeBytes)}`,
    );
  }
}

export function planText(plan: ImportPlan): string {
  const { images, migrations, from } = plan;
  const rows: string[][] = [];
  if (images !== undefined) {
    const what = images.missing.length === 0 ? 'all there' : `send ${formatBytes(images.sizeBytes)}`;
    rows.push(['images', images.target, `${images.missing.length} of ${images.images} missing, ${what}`]);
    for (const { path: folder, neededBytes, freeBytes } of images.space) {
      rows.push(['space', folder, `${formatBytes(neededBytes)} of ${formatBytes(freeBytes)} free`]);
    }
  }
  for (const { namespace, name, documents, action } of plan.configuration) {
    rows.push(['configuration', `${namespace}/${name}`, `${action}: ${documents.join(', ')}`]);
  }
  for (const { path, changes, tables } of plan.documents) {
    for (const { kind, name, action, keys = [] } of changes) {
      rows.push(['configuration', `${kind} ${name}`, [action, keys.join(', ')].filter(Boolean).join(': ')]);
    }
    for (const table of tables) rows.push(['configuration', `table ${table}`, `from ${path}, after the migrations`]);
  }
  const chartRow = ({ stage, release, namespace, action, version, revision }: ImportPlan['charts'][number]) => [
    `${stage} chart`,
    `${namespace}/${release}`,
    [action, version, revision === undefined ? '' : `(revision ${revision} now)`].filter(Boolean).join(' '),
  ];
  const before = plan.charts.filter(({ stage, action }) => stage === 'data' && action !== 'uninstall');
  const after = plan.charts.filter((chart) => !before.includes(chart));
  rows.push(...before.map(chartRow));
  for (const { name, rows: count } of plan.databases?.databases ?? []) {
    rows.push(['database', name, `restore ${formatCount(count, 'row')} of ${plan.databases?.from.snapshot}`]);
  }
  for (const { name, expand, contract } of migrations?.modules ?? []) {
    const files = migrations?.files?.filter(({ module }) => module === name);
    const count = (wanted: string) => files?.filter(({ action }) => action === wanted).length ?? 0;
    const what =
      files === undefined
        ? `${expand} expand, ${contract} contract, as far as they are new`
        : `${count('apply')} to run, ${count('defer') + count('wait')} wait, ${count('done')} done`;
    rows.push(['migrations', `module ${name}`, what]);
  }
  for (const file of migrations?.due ?? []) rows.push(['migrations', file, 'contract, due now']);
  rows.push(...after.map(chartRow));
  const columns = [{ title: 'step' }, { title: 'where' }, { title: 'what' }];
  return [
    `${plan.tag} (sequence ${plan.sequence}) into ${plan.place}`,
    `  signed by   ${plan.signedBy.name} (${plan.signedBy.keyHint})`,
    `  installed   ${from === undefined ? 'nothing of that name' : `${from.version} (sequence ${from.sequence})`}`,
    ...(plan.interrupted === undefined
      ? []
      : [`  interrupted ${plan.interrupted.what} of ${plan.interrupted.version}, begun ${plan.interrupted.startedAt}`]),
    ...(migrations === undefined ? [] : [`  database    ${migrations.place}`]),
    `  root        ${plan.root}`,
    '',
    rows.length === 0 ? 'nothing to do' : formatTable(columns, rows),
    ...missingText(images?.missing ?? []),
  ].join('\n');
}

/** Named, as far as a person reads on. */
const IMAGES_NAMED = 20;

function missingText(missing: readonly string[]): string[] {
  if (missing.length === 0) return [];
  const further = missing.length - IMAGES_NAMED;
  return [
    '',
    'images to send:',
    ...missing.slice(0, IMAGES_NAMED).map((reference) => `  ${reference}`),
    ...(further > 0 ? [`  and ${further} more: --json names all`] : []),
  ];
}
