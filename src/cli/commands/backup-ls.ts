import type { ContentsEntry } from '../../formats/repository/contents.ts';
import { defineCommand } from '../arguments.ts';
import { formatBytes } from '../output-units.ts';
import { repositoryOptions, snapshotArgument } from './repository-options.ts';
import { identityOption } from './shared-options.ts';

export const spec = defineCommand({
  name: 'ls',
  summary: 'list what a snapshot holds',
  description:
    'Lists tables and files of a snapshot. PATH is a source (postgres), a database, schema or table of it ' +
    '(postgres/shop/public), or a folder (files/etc).',
  arguments: { snapshot: snapshotArgument, path: { description: 'only what lies below', optional: true } },
  options: { identity: { ...identityOption, required: true }, ...repositoryOptions },
  examples: [
    { command: 'portolan backup ls latest --repo /srv/backups -i key.txt', note: 'everything' },
    { command: 'portolan backup ls latest postgres/shop/public --repo /srv/backups -i key.txt', note: 'one schema' },
  ],
  async run(context, { snapshot, path }, { identity, ...options }) {
    const { readIdentities } = await import('../../compose/keys.ts');
    const { composeBackupLs } = await import('../../compose/backup.ts');
    const { throwProblems } = await import('../../core/errors.ts');
    const identities = await readIdentities(identity, context.askSecret);
    const wanted = (path ?? '').replace(/\/+$/, '');
    let problems: readonly Parameters<typeof throwProblems>[0][number][] = [];
    await composeBackupLs(
      options,
      snapshot,
      identities,
      {
        onOpen: (opened) => {
          problems = opened.problems;
        },
        onEntry: (entry) => {
          const place = placeOf(entry);
          if (place === undefined || !isBelow(place, wanted)) return;
          const { fields, text } = lineOf(entry);
          context.output.result({ path: place, ...fields }, () => `${text}  ${place}`);
        },
      },
      context,
    );
    throwProblems(problems);
  },
});

/** `SOURCE/DATABASE/SCHEMA/TABLE` or `SOURCE/PATH`. */
function placeOf(entry: ContentsEntry): string | undefined {
  if (entry.entry === 'table') return [entry.source, entry.database, entry.schema, entry.table].join('/');
  if (entry.entry === 'file') return entry.path === '.' ? entry.source : `${entry.source}/${entry.path}`;
  return undefined;
}

function isBelow(place: string, wanted: string): boolean {
  return wanted === '' || place === wanted || place.startsWith(`${wanted}/`);
}

function lineOf(entry: ContentsEntry): { readonly fields: Readonly<Record<string, unknown>>; readonly text: string } {
  if (entry.entry === 'table') return { fields: { kind: 'table', rows: entry.rows }, text: `table ${entry.rows} rows` };
  if (entry.entry !== 'file') return { fields: {}, text: '' };
  const { kind, mode, uid, gid, sizeBytes, mtimeNs } = entry;
  const time = new Date(Number(BigInt(mtimeNs) / 1_000_000n)).toISOString().slice(0, 16).replace('T', ' ');
  return {
    fields: { kind, mode, uid, gid, sizeBytes, mtimeNs },
    text: `${kind.padEnd(9)} ${mode.toString(8).padStart(4, '0')} ${uid}:${gid} ${formatBytes(sizeBytes).padStart(9)} ${time}`,
  };
}
