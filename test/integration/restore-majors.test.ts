/** A server that has everything, of each major version, restored into the same and into newer ones. */
import { afterAll, describe, expect, test } from 'vitest';
import { type BackupRepository, createBackupRepository } from '../support/backup-repository.ts';
import { postgresSource } from '../support/dump-fixture.ts';
import { createNastyDatabase } from '../support/nasty-database.ts';
import { type PostgresMajor, type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { dumpAll, firstDifference, restoreInto } from '../support/restore-fixture.ts';

const RESTORES: readonly { readonly from: PostgresMajor; readonly into: readonly PostgresMajor[] }[] = [
  { from: 14, into: [14] },
  { from: 15, into: [17, 18] },
  { from: 16, into: [17] },
];

describe.each(RESTORES)('PostgreSQL $from', ({ from, into }) => {
  let source: PostgresServer | undefined;
  let repository: BackupRepository | undefined;
  afterAll(async () => {
    await source?.stop();
    await repository?.[Symbol.asyncDispose]();
  });

  async function backedUp(): Promise<{ readonly source: PostgresServer; readonly repository: BackupRepository }> {
    source ??= await startPostgres({ major: from });
    if (repository !== undefined) return { source, repository };
    await createNastyDatabase(source, 'everything');
    repository = await createBackupRepository();
    await repository.run([postgresSource(source, 'everything')]);
    return { source, repository };
  }

  test.each(into.map((to) => ({ to })))('goes into version $to, and every row and fact is there', async ({ to }) => {
    const made = await backedUp();
    const target = await startPostgres({ major: to });
    try {
      const report = await restoreInto(made.repository, target);
      expect(report.problems).toEqual([]);
      expect(report).toMatchObject({ done: true, differences: [] });
      expect(report.sourceVersion).toMatch(new RegExp(`^${from}\\.`));
      expect(report.targetVersion).toMatch(new RegExp(`^${to}\\.`));
      const rows = async (server: PostgresServer) => (await dumpAll(server, target, ['--data-only'])).toSorted();
      const [before, after] = [await rows(made.source), await rows(target)];
      expect(before.length).toBeGreaterThan(1000);
      expect(firstDifference(before, after)).toBeUndefined();
    } finally {
      await target.stop();
    }
  });
});
