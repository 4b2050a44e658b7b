import type { RightsFinding } from '../../usecases/storage/check-rights.ts';
import { defineCommand } from '../arguments.ts';
import { formatCount } from '../output-units.ts';
import { BUCKETS, repoOption, repositoryTrustOption, storageOptions } from './repository-options.ts';
import { roleOf, roleOptions } from './storage-options.ts';

export const spec = defineCommand({
  name: 'check',
  summary: 'try what the credentials at hand may do with a bucket',
  description:
    'Tries with the credentials at hand everything that a role needs, and what it must be refused, and prints a table. No ' +
    'object of a repository is touched: what is put has a wrong checksum, what is deleted does not exist. Only one small ' +
    'object, portolan-check, is stored twice, to see whether an overwrite destroys. Exit status 3: something is allowed that ' +
    `must be refused, or the other way round, or the bucket destroys. ${BUCKETS}`,
  arguments: {},
  options: { repo: repoOption, ...roleOptions, trust: repositoryTrustOption, ...storageOptions },
  examples: [
    {
      command:
        "portolan storage check --repo 's3://backups/shop?endpoint=https://minio.ship:9000' --role writer --writer db-1",
      note: 'on the machine of the writer, with its credentials',
    },
  ],
  async run(context, _, { role, writer, verifier, ...options }) {
    const { composeStorageCheck } = await import('../../compose/storage-check.ts');
    const { UseCaseError } = await import('../../usecases/errors.ts');
    const { formatTable } = await import('../output-table.ts');
    const report = await composeStorageCheck(options, roleOf({ role, writer, verifier }), context);
    const wrong = report.findings.filter(({ ok }) => !ok);
    context.output.result({ ...report, ok: wrong.length === 0 }, () =>
      formatTable(
        [{ title: '' }, { title: 'action' }, { title: 'on' }, { title: 'expected' }, { title: 'found' }],
        rowsOf(report.findings),
      ),
    );
    const [first] = wrong;
    if (first === undefined) return;
    throw new UseCaseError(
      'STORAGE_RIGHTS_WRONG',
      `${report.place}: ${formatCount(wrong.length, 'thing')} of ${report.findings.length} not as a ${report.role} should find it`,
      {
        expected: `${first.action} on ${first.on}: ${first.expected}`,
        found: first.found,
        hint: `Give the policy that \`portolan storage policy --role ${report.role}\` prints, and nothing besides.`,
      },
    );
  },
});

/** What is wrong by itself; what is right of one kind together. */
function rowsOf(findings: readonly RightsFinding[]): string[][] {
  const rows: string[][] = [];
  const together = new Map<string, RightsFinding[]>();
  for (const finding of findings) {
    const { ok, action, on, expected, found, said } = finding;
    const kind = `${action} ${expected}`;
    const alike = together.get(kind);
    if (!ok) rows.push(['WRONG', action, on, expected, said === undefined ? found : `${found} (${said})`]);
    else if (alike === undefined) together.set(kind, [finding]);
    else alike.push(finding);
  }
  for (const alike of together.values()) {
    const { action, on, expected, found } = alike[0] as RightsFinding;
    rows.push(['', action, alike.length === 1 ? on : formatCount(alike.length, 'place'), expected, found]);
  }
  return rows;
}
