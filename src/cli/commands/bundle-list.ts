import { defineCommand } from '../arguments.ts';
import { formatTable } from '../output-table.ts';
import { formatBytes } from '../output-units.ts';

export const spec = defineCommand({
  name: 'list',
  summary: 'list the bundles on a medium',
  description: 'Lists the bundles on a medium. Needs no key and checks no content: that is what verify does.',
  arguments: { medium: { description: 'the folder of the medium', complete: 'folder' } },
  options: {},
  examples: [{ command: 'portolan bundle list /media/usb', note: 'what is on the stick' }],
  async run(context, { medium }) {
    const { composeList } = await import('../../compose/bundle-medium.ts');
    const { resolve } = await import('node:path');
    const bundles = await composeList(resolve(context.cwd, medium));
    const rows = bundles.map(({ tag, pieces, sizeBytes, missing, signers, error }) => [
      tag,
      String(pieces ?? '-'),
      sizeBytes === undefined ? '-' : formatBytes(sizeBytes),
      error?.code ??
        (missing === 0 ? 'all files there' : `${missing} ${missing === 1 ? 'file' : 'files'} missing or cut`),
      signers.join(' ') || 'not signed',
    ]);
    const columns = [
      { title: 'bundle' },
      { title: 'pieces', align: 'right' },
      { title: 'size', align: 'right' },
      { title: 'state' },
      { title: 'signed by (unchecked)' },
    ] as const;
    const plain = bundles.map(({ error, ...rest }) => (error === undefined ? rest : { ...rest, error: error.code }));
    context.output.result({ bundles: plain }, () =>
      bundles.length === 0 ? 'No bundles.' : formatTable(columns, rows),
    );
  },
});
