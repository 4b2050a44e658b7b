import type { CourierView, HolderView } from '../../usecases/bundle/inspect.ts';
import { defineCommand } from '../arguments.ts';
import { type Column, formatTable } from '../output-table.ts';
import { formatBytes, formatCount } from '../output-units.ts';
import { bundleArgument, identityOption } from './shared-options.ts';

export const spec = defineCommand({
  name: 'inspect',
  summary: 'show what a courier sees and, with a key, what is inside',
  description:
    'Without a key: what anybody sees who holds the medium. With an identity: charts, images with their packages, ' +
    'modules, configuration and files. It tells; verify is what checks.',
  arguments: { bundle: bundleArgument },
  options: { identity: identityOption },
  examples: [
    { command: 'portolan bundle inspect /media/usb', note: 'what a courier learns' },
    {
      command: 'portolan bundle inspect /media/usb:cms-1.4.0 -i key.txt --json | jq .holder.contents',
      note: 'everything',
    },
  ],
  async run(context, { bundle }, { identity }) {
    const { readIdentities } = await import('../../compose/keys.ts');
    const { composeInspect, parseBundleAddress } = await import('../../compose/bundle-medium.ts');
    const address = await parseBundleAddress(bundle, context.cwd);
    const identities = await readIdentities(identity, context.askSecret);
    const report = await composeInspect(address, identities, context);
    context.output.result({ ...report }, () =>
      [...courierLines(report.courier), ...(report.holder === undefined ? [] : holderLines(report.holder))].join('\n'),
    );
  },
});

function courierLines(view: CourierView): string[] {
  return [
    `${view.tag}`,
    `  manifest    ${view.manifestDigest}`,
    `  size        ${formatBytes(view.sizeBytes)} in ${formatCount(view.pieces, 'piece')}`,
    `  recipients  ${view.recipients.length} (${[...new Set(view.recipients)].join(', ')})`,
    `  signed by   ${view.signers.join(' ') || 'nobody'} (unchecked)`,
  ];
}

function holderLines({ root, contents, sbom, contentBytes }: HolderView): string[] {
  const sizes = new Map<string, number>(contents.blobs.map((blob) => [blob.digest, blob.sizeBytes]));
  const size = (digests: readonly string[]) =>
    formatBytes(digests.reduce((sum, one) => sum + (sizes.get(one) ?? 0), 0));
  const packages = new Map(
    sbom.map((image) => [
      image.reference,
      image.platforms.reduce((sum, platform) => sum + platform.packages.length, 0),
    ]),
  );
  const features = Object.entries(contents.features).map(([name, on]) => `${name} ${on ? 'on' : 'off'}`);
  const facts = [
    `  root        ${root}`,
    `  sequence    ${contents.sequence}`,
    `  audience    ${contents.audience.join(', ') || 'everyone'}`,
    `  platforms   ${contents.platforms.join(', ')}`,
    `  provider    ${contents.provider ?? 'none chosen'}`,
    `  features    ${features.join(', ') || 'none'}`,
    `  contents    ${contents.blobs.length} blobs, ${formatBytes(contentBytes)}`,
  ];
  return [
    ...facts,
    ...section('charts', ['chart', 'version', 'stage', 'namespace', 'digest'], contents.charts, (chart) => [
      chart.name,
      chart.version,
      chart.stage,
      chart.namespace,
      chart.digest,
    ]),
    ...section('images', ['image', 'platforms', 'size', 'packages', 'digest'], contents.images, (image) => [
      image.reference,
      image.platforms.join(','),
      size(image.blobs),
      String(packages.get(image.reference) ?? 0),
      image.digest,
    ]),
    ...section('modules', ['module', 'files', 'requires'], contents.modules, (module) => [
      module.name,
      String(module.files.length),
      module.requires.join(', '),
    ]),
    ...section('configuration', ['path', 'kind', 'provider'], contents.configuration, (item) => [
      item.path,
      item.kind,
      item.provider ?? '',
    ]),
    ...section('files', ['path', 'size', 'digest'], contents.files, (file) => [
      file.path,
      size([file.digest]),
      file.digest,
    ]),
  ];
}

function section<T>(
  title: string,
  columns: readonly string[],
  items: readonly T[],
  row: (item: T) => readonly string[],
): string[] {
  if (items.length === 0) return [];
  const table = formatTable(
    columns.map(
      (name): Column => ({ title: name, align: ['size', 'packages', 'files'].includes(name) ? 'right' : 'left' }),
    ),
    items.map(row),
  );
  return [
    '',
    `${title}:`,
    ...table
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => `  ${line}`),
  ];
}
