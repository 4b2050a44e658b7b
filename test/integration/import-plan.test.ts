import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { portolan, portolanText } from '../support/program.ts';
import { createPublisher, type Publisher } from '../support/publisher.ts';

let publisher: Publisher;
let server: PostgresServer;

beforeAll(async () => {
  [publisher, server] = await Promise.all([createPublisher(), startPostgres()]);
  expect((await publisher.build()).error).toBeUndefined();
});
afterAll(async () => {
  await Promise.all([publisher.dispose(), server.stop()]);
});

function importArgs(database: string, name: string): string[] {
  const { medium, trust, identity, at } = publisher;
  const where = ['--images', `folder=${at(name)}`, '--state', at(`${name}-state`), '--database', server.url(database)];
  return ['bundle', 'import', medium, '--trust', trust, '-i', identity, '--only', 'images,migrations', ...where];
}

describe('bundle import --plan with a database that answers', () => {
  test('says of each migration what would become of it, and changes nothing', async () => {
    await server.query('create database fresh');
    const args = importArgs('fresh', 'fresh');
    const planned = await portolan([...args, '--plan']);
    expect(planned).toMatchObject({ status: 0, result: { ok: true, problems: [] } });
    const file = { module: 'core', file: '0001_notes.sql', kind: 'expand' };
    expect(planned.result).toMatchObject({ migrations: { files: [{ ...file, action: 'apply' }], due: [] } });
    expect(planned.result).toMatchObject({ images: { missing: ['registry.example/demo/web:1.0'] } });
    expect(existsSync(publisher.at('fresh'))).toBe(false);
    expect((await portolanText([...args, '--plan'])).stdout).toContain('registry.example/demo/web:1.0');
    expect((await portolan(args)).status).toBe(0);
    const again = await portolan([...args, '--plan']);
    expect(again.result).toMatchObject({
      migrations: { files: [{ ...file, action: 'done' }] },
      images: { missing: [] },
    });
  });

  test('a migration that was changed is refused beside everything else, before an image is sent', async () => {
    await server.query('create database changed');
    expect((await portolan(importArgs('changed', 'changed'))).status).toBe(0);
    await server.query("update portolan.migrations set digest = 'sha256:' || repeat('0', 64)", { database: 'changed' });
    const planned = await portolan([...importArgs('changed', 'other'), '--plan']);
    expect(planned).toMatchObject({ status: 3, result: { ok: false, problems: [{ code: 'MIGRATION_CHANGED' }] } });
    const [problem] = (planned.result?.problems ?? []) as { expected?: string; at?: object; hint?: string }[];
    expect(problem).toMatchObject({ expected: expect.any(String), at: expect.any(Object), hint: expect.any(String) });
    expect(await portolan(importArgs('changed', 'other'))).toMatchObject({ error: { code: 'MIGRATION_CHANGED' } });
    expect(existsSync(publisher.at('other'))).toBe(false);
  });

  test('a database that is not there is a problem where no chart brings one', async () => {
    const planned = await portolan([...importArgs('nowhere', 'nowhere'), '--plan']);
    expect(planned).toMatchObject({ status: 1, result: { problems: [{ code: 'DATABASE_UNAUTHORIZED' }] } });
  });
});
