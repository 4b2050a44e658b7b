import { resolve } from 'node:path';
import type { LockChange } from '../../formats/bundle/lock-changes.ts';
import type { BundleLock } from '../../formats/bundle/lock-types.ts';
import { defineCommand } from '../arguments.ts';
import { formatTable } from '../output-table.ts';
import { formatBytes } from '../output-units.ts';
import { definitionArgument, inputOptions, parseSelection, selectionOptions } from './selection-options.ts';

export const spec = defineCommand({
  name: 'lock',
  summary: 'pin every reference of a definition by digest',
  description:
    'Packs the charts of bundle.yaml, renders them with their values and features, finds every image, fetches it, and writes ' +
    'all digests to bundle.lock.json beside bundle.yaml. Says where each image was found and what changed since the last lock.',
  arguments: { definition: definitionArgument },
  options: { ...selectionOptions, ...inputOptions },
  examples: [
    { command: 'portolan bundle lock bundles/cms', note: 'writes bundles/cms/bundle.lock.json' },
    {
      command: 'portolan bundle lock bundles/cms --feature shop=off --provider k3s',
      note: 'for k3s, without the shop',
    },
    {
      command: 'portolan bundle lock bundles/cms --json | jq \'select(.event == "result").images\'',
      note: 'every image and where it was found',
    },
  ],
  async run(context, { definition }, options) {
    const selection = parseSelection(options, context);
    const { cacheFolder } = await import('../../compose/environment.ts');
    const { openBundleInputs } = await import('../../compose/bundle-inputs.ts');
    const { lockBundle, saveLock } = await import('../../usecases/bundle/lock.ts');
    const path = resolve(context.cwd, definition);
    await using inputs = await openBundleInputs({
      env: context.env,
      progress: context.progress,
      cache: options.cache ?? cacheFolder(context.env, context.cwd),
      helm: options.helm,
      ...(options.caFile === undefined ? {} : { caFile: options.caFile }),
    });
    const { lock, images, blobs } = await lockBundle(path, selection, inputs.dependencies, { signal: context.signal });
    const saved = await saveLock(path, lock, inputs.dependencies);
    const sizeBytes = [...blobs.values()].reduce((total, blob) => total + blob.sizeBytes, 0);
    const sizes = images.map((image) => image.blobs.reduce((total, blob) => total + blob.sizeBytes, 0));
    const fields = { ...lock, path: saved.path, contentBytes: sizeBytes, changes: saved.changes ?? null };
    context.output.result(fields, () => render(lock, saved, sizes, sizeBytes));
  },
});

function render(
  lock: BundleLock,
  saved: { readonly path: string; readonly changes: readonly LockChange[] | undefined },
  sizesBytes: readonly number[],
  contentBytes: number,
): string {
  const features = Object.entries(lock.features).map(([name, on]) => `${name}=${on ? 'on' : 'off'}`);
  const head = [
    `${lock.name} ${lock.version} (sequence ${lock.sequence})`,
    `  lock        ${saved.path}`,
    `  platforms   ${lock.platforms.join(', ')}`,
    ...(lock.provider === undefined ? [] : [`  provider    ${lock.provider}`]),
    ...(features.length === 0 ? [] : [`  features    ${features.join(', ')}`]),
    `  carries     ${carried(lock)}: ${formatBytes(contentBytes)}`,
  ];
  const parts = [head.join('\n')];
  if (lock.images.length > 0) parts.push(imageTable(lock, sizesBytes));
  parts.push(changesText(saved.changes));
  return parts.join('\n\n');
}

function carried(lock: BundleLock): string {
  const kinds = [
    [lock.charts.length, 'chart'],
    [lock.images.length, 'image'],
    [lock.modules.length, 'module'],
    [lock.configuration.length, 'configuration document'],
    [lock.files.length, 'file'],
  ] as const;
  const parts = kinds.flatMap(([count, word]) => (count === 0 ? [] : [`${count} ${word}${count === 1 ? '' : 's'}`]));
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}

function imageTable(lock: BundleLock, sizesBytes: readonly number[]): string {
  const rows = lock.images.flatMap((image, index) =>
    image.found.map((place, number) => [
      number === 0 ? image.reference : '',
      number === 0 ? image.digest.slice(0, 'sha256:'.length + 12) : '',
      number === 0 ? formatBytes(sizesBytes[index] ?? 0) : '',
      place === 'list' ? 'bundle.yaml' : place.chart,
      place === 'list' ? 'images.list' : place.template,
      place === 'list' ? '' : place.path,
    ]),
  );
  const columns = [
    { title: 'image' },
    { title: 'digest' },
    { title: 'size', align: 'right' as const },
    { title: 'chart' },
    { title: 'template' },
    { title: 'path' },
  ];
  return formatTable(columns, rows);
}

function changesText(changes: readonly LockChange[] | undefined): string {
  if (changes === undefined) return 'This is the first lock.';
  if (changes.length === 0) return 'Nothing changed since the last lock.';
  const rows = changes.map(({ what, name, from, to }) => [
    from === undefined ? 'new' : to === undefined ? 'gone' : 'changed',
    what,
    name,
    short(from),
    short(to),
  ]);
  const columns = ['change', 'kind', 'name', 'from', 'to'].map((title) => ({ title }));
  return `Changes since the last lock:\n${formatTable(columns, rows)}`;
}

/** The whole digests stand in the lock and in --json. */
function short(value: string | undefined): string {
  return (value ?? '').replaceAll(/sha256:([0-9a-f]{12})[0-9a-f]{52}/g, 'sha256:$1');
}
