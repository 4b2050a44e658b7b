/** The root, the roster under it, and the page for the safe, as people use them. */
import { cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { digestOf } from '../../src/core/digest.ts';
import { encodeRoster, readUnverifiedRoster } from '../../src/formats/repository/roster.ts';
import { openCosignKey } from '../../src/formats/sigstore/cosign-key.ts';
import { startOpenIdProvider } from '../support/openid-provider.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makePrivateCertificate } from '../support/private-certificate.ts';
import { type PortolanEnded, portolan, portolanText, run, succeed } from '../support/program.ts';
import { temporaryFolder } from '../support/temporary.ts';

const PASSWORD = 'throw-away password';
const PORTOLAN = fileURLToPath(new URL('../../scripts/portolan', import.meta.url));

/** The result of a command that must succeed. */
function done(ended: PortolanEnded): Readonly<Record<string, unknown>> {
  expect(ended.status, ended.stderr + ended.stdout).toBe(0);
  return ended.result ?? {};
}

/** The keys of two approvers. */
let people: string;
beforeAll(async () => {
  people = await mkdtemp(join(tmpdir(), 'portolan-approvers-'));
  const env = { HOME: people, COSIGN_PASSWORD: PASSWORD };
  const makeKey = async (name: string) => {
    await mkdir(join(people, name));
    await succeed('cosign', ['generate-key-pair'], { cwd: join(people, name), env });
  };
  await Promise.all(['ada', 'ben'].map(makeKey));
  return () => rm(people, { recursive: true, force: true });
});

/** A folder with a home of its own, two approvers, a reader and an identity for the safe. */
async function createPlace() {
  const root = await temporaryFolder();
  const at = (...names: string[]) => join(root, ...names);
  const env = { HOME: root, XDG_CONFIG_HOME: at('config'), COSIGN_PASSWORD: PASSWORD, PORTOLAN_JSON: undefined };
  const inRoot = { cwd: root, env };
  for (const name of ['ada', 'ben']) await cp(join(people, name), at(name), { recursive: true });
  const identity = async (file: string) => {
    await succeed('age-keygen', ['-pq', '-o', at(file)]);
    return (await succeed('age-keygen', ['-y', at(file)])).trim();
  };
  await mkdir(at('files'));
  await writeFile(at('files', 'note.txt'), 'to be found again\n');
  const repository = ['--repo', at('store'), '--state', at('state')];
  return {
    ...{ at, env, repository, identity },
    reader: await identity('reader.txt'),
    safe: await identity('safe.txt'),
    keysInit: (...given: string[]) => portolan(['keys', 'init', '--out', 'root.json', ...given], inRoot),
    run: (...given: string[]) => portolan([...given, ...repository], inRoot),
    text: async (...given: string[]) => (await portolanText([...given, ...repository], inRoot)).stdout,
    pinned: async () => JSON.parse(await readFile(at('root.json'), 'utf8')),
  };
}

type Place = Awaited<ReturnType<typeof createPlace>>;

const approvers = ['--approver', 'ada=ada/cosign.pub', '--approver', 'ben=ben/cosign.pub'];

async function makeRepository({ keysInit, run: command, reader, safe, at }: Place, ...given: string[]) {
  done(await keysInit('--approver', 'ada=ada/cosign.pub', '--break-glass', safe, ...given));
  const init = ['backup', 'init', '--root', at('root.json'), '-r', `anna=${reader}`, '--writer', 'db-1'];
  done(await command(...init, '--sign-key', at('ada', 'cosign.key')));
}

test('the root is made from a live identity provider, compared with keys from elsewhere, and follows its rotations', async () => {
  const { at, keysInit, safe, pinned } = await createPlace();
  const certificate = await makePrivateCertificate(at('tls'));
  await using provider = await startOpenIdProvider({ certificate });
  const ca = ['--ca-file', certificate.caFile];
  const issuer = ['--issuer', provider.issuer, '--enrolment-client', 'c1', '--enrolment-project', '327'];
  const all = [...approvers, '--threshold', '2', '--break-glass', safe, '--minimum-recipients', '2', ...issuer];

  expect(await keysInit(...all)).toMatchObject({ status: 1, error: { code: 'IDENTITY_PROVIDER_UNTRUSTED' } });
  const slash = all.map((one) => (one === provider.issuer ? `${one}/` : one));
  expect(await keysInit(...slash, ...ca)).toMatchObject({ status: 2, error: { code: 'USAGE' } });
  const made = done(await keysInit(...all, ...ca));
  expect(made).toMatchObject({ created: true, issuerKeys: [{ kid: provider.keys.ids[0], change: 'new' }] });
  expect(await pinned()).toMatchObject({
    threshold: 2,
    breakGlass: [safe],
    minimumRecipients: 2,
    issuer: { url: provider.issuer, roleClaim: 'urn:zitadel:iam:org:project:327:roles', readerRole: 'backup-reader' },
  });

  // Somebody else fetched the same keys over another network.
  await writeFile(at('elsewhere.json'), JSON.stringify(provider.keys.jwks()));
  expect(done(await keysInit('--jwks', 'elsewhere.json'))).toMatchObject({ changed: false });

  const [old = ''] = provider.keys.ids;
  const next = provider.keys.rotate();
  const update = [...ca, '--update-keys'];
  expect(done(await keysInit(...update))).toMatchObject({ issuerKeys: [{ kid: old }, { kid: next, change: 'new' }] });
  provider.keys.remove(old);
  expect(done(await keysInit(...update))).toMatchObject({ issuerKeys: [{ kid: old, change: 'gone' }, { kid: next }] });
  const before = await readFile(at('root.json'), 'utf8');
  expect(done(await keysInit(...update))).toMatchObject({ changed: false });
  expect(done(await keysInit(...ca))).toMatchObject({ changed: false });

  await provider.down();
  expect(await keysInit(...ca)).toMatchObject({ status: 1, error: { code: 'IDENTITY_PROVIDER_UNREACHABLE' } });
  expect(await readFile(at('root.json'), 'utf8')).toBe(before);
});

test('under a root that wants two approvers both sign, and whatever they sign, the break-glass recipient stays', async () => {
  const place = await createPlace();
  const { at, keysInit, run: command, reader, safe } = place;
  done(await keysInit(...approvers, '--threshold', '2', '--break-glass', safe, '--minimum-recipients', '2'));
  const init = ['backup', 'init', '--root', at('root.json'), '-r', `anna=${reader}`, '--writer', 'db-1'];
  const ada = ['--sign-key', at('ada', 'cosign.key')];
  expect(await command(...init, ...ada)).toMatchObject({ status: 1, error: { code: 'ROLE_MISSING' } });
  const both = [...ada, '--co-sign-key', at('ben', 'cosign.key')];
  const made = done(await command(...init, ...both));
  expect(made).toMatchObject({ created: true, epoch: 1 });
  expect(done(await command(...init, ...both))).toMatchObject({ created: false });
  const trust = JSON.parse(await readFile(String(made.trust), 'utf8'));
  expect(trust).toMatchObject({ ...(await place.pinned()), repository: made.repository, minimumEpoch: 1 });
  const writer = JSON.parse(await readFile(String(made.writerKey), 'utf8'));
  expect(writer.root).toEqual({ breakGlass: [safe], minimumRecipients: 2 });

  const backup = ['backup', 'run', '--files', at('files')];
  done(await command(...backup));
  // Both approvers are hostile, or were robbed: what they sign is right in every other way.
  const epoch1 = await readFile(at('store', 'keys', '00000001.json'));
  const keys = await Promise.all(
    ['ada', 'ben'].map(async (name) => openCosignKey(await readFile(at(name, 'cosign.key')), PASSWORD)),
  );
  const { document } = readUnverifiedRoster(epoch1);
  const other = await place.identity('other.txt');
  const publish = (changes: Partial<typeof document>) =>
    writeFile(
      at('store', 'keys', '00000002.json'),
      encodeRoster({ ...document, epoch: 2, previous: digestOf(epoch1), ...changes }, keys),
    );
  const [first] = document.recipients as [(typeof document.recipients)[number]];
  await publish({ recipients: [first, { name: 'eve', recipient: other, role: 'break-glass' }] });
  for (const words of [backup, ['keys', 'list']]) {
    expect(await command(...words)).toMatchObject({ status: 3, error: { code: 'ROSTER_BREAK_GLASS_MISSING' } });
  }
  await publish({ minimumRecipients: 1 });
  expect(await command(...backup)).toMatchObject({ status: 3, error: { code: 'ROSTER_MINIMUM_TOO_LOW' } });

  // With their keys alone as trust, as the error says, the approvers mend what was no hostility, but a mistake.
  const pems = await Promise.all(['ada', 'ben'].map((name) => readFile(at(name, 'cosign.pub'), 'utf8')));
  await writeFile(at('approvers.pub'), pems.join(''));
  const mend = ['keys', 'approve', '--trust', at('approvers.pub')];
  const proposal = at('mend.json');
  done(await command(...mend, '--minimum-recipients', '2', ...ada, '--proposal-out', proposal));
  done(await command(...mend, '--proposal', proposal, '--sign-key', at('ben', 'cosign.key')));
  done(await command(...backup));
});

test('nobody takes off by mistake what the root pins, and a new writer pins it, too', async () => {
  const place = await createPlace();
  const { at, run: command, safe } = place;
  await makeRepository(place, '--minimum-recipients', '2');
  const revoke = ['keys', 'revoke', '--recipient', 'break-glass-1'];
  const lower = ['keys', 'approve', '--minimum-recipients', '1'];
  for (const words of [revoke, lower]) {
    expect(await command(...words)).toMatchObject({ status: 2, error: { code: 'ROSTER_REFUSED' } });
  }
  const files = ['--writer-pub', at('ben', 'cosign.pub'), '--writer-key-out', at('db-2.json')];
  done(await command('keys', 'approve', '--writer', 'db-2', ...files));
  expect(JSON.parse(await readFile(at('db-2.json'), 'utf8')).root).toEqual({
    breakGlass: [safe],
    minimumRecipients: 2,
  });
});

test('the list says who opens which snapshots, those too who were taken off; after --fresh nothing is built on what they open', async () => {
  const place = await createPlace();
  const { at, run: command, text, identity } = place;
  await makeRepository(place);
  const backup = async () => done(await command('backup', 'run', '--files', at('files')));
  await backup();
  const carol = await identity('carol.txt');
  done(await command('keys', 'approve', '-r', `carol=${carol}`));
  await backup();
  expect(done(await command('keys', 'revoke', '--recipient', 'carol', '--fresh'))).toMatchObject({
    roster: { epoch: 3, fresh: true },
  });
  expect(await backup()).toMatchObject({ sequence: 3, full: true, fullReason: 'roster', reusedBytes: 0 });
  expect(await backup()).toMatchObject({ sequence: 4, full: false });

  const range = (first: number, last: number) => [{ writer: 'db-1', first, last }];
  const listed = done(await command('keys', 'list'));
  expect(listed).toMatchObject({
    snapshots: 4,
    readers: [
      { name: 'anna', role: 'reader', snapshots: 4, ranges: range(1, 4) },
      { name: 'break-glass-1', role: 'break-glass', snapshots: 4, ranges: range(1, 4) },
      { name: 'carol', role: 'former', snapshots: 1, ranges: range(2, 2) },
    ],
  });
  const shown = await text('keys', 'list');
  expect(shown).toMatch(/^former +carol .* 1 of 4: db-1 2$/m);
  expect(shown).toMatch(/^reader +anna .* 4 of 4: db-1 1-4$/m);

  // A key that is sealed again opens more; a snapshot that was forgotten counts no more.
  const dora = ['-r', `dora=${await identity('dora.txt')}`, '--minimum-recipients', '3'];
  expect(done(await command('keys', 'approve', ...dora))).toMatchObject({ roster: { minimumRecipients: 3 } });
  expect(done(await command('keys', 'list'))).toMatchObject({
    readers: [{}, {}, { name: 'dora', snapshots: 0, ranges: [] }, { name: 'carol' }],
  });
  done(await command('keys', 'rewrap', '-i', at('reader.txt')));
  done(await command('backup', 'forget', 'db-1/2'));
  expect(done(await command('keys', 'list'))).toMatchObject({
    snapshots: 3,
    readers: [{}, {}, { name: 'dora', snapshots: 3, ranges: range(1, 4) }],
  });
  expect(done(await command('keys', 'revoke', '--fresh'))).toMatchObject({ roster: { epoch: 5, fresh: true } });
});

test('the page with the identity on it is enough to restore with stock tools alone', async () => {
  const place = await createPlace();
  const { at, run: command } = place;
  const [source, target] = (await Promise.all([startPostgres(), startPostgres()])) as [PostgresServer, PostgresServer];
  try {
    await source.query('create database "shop one"');
    await source.query(
      'create table "odd ""name" (id serial primary key, text text); insert into "odd ""name" (text) select md5(n::text) from generate_series(1, 5000) n',
      { database: 'shop one' },
    );
    await makeRepository(place);
    const database = source.url('shop%20one');
    done(await command('backup', 'run', '--database', database, '--files', at('files'), '--pg-bin', source.programs));

    const page = await exportedPage(place);
    const out = at('by hand');
    await mkdir(out);
    await writeFile(join(out, 'identity.txt'), blockOf(page, '## The identity'));
    await writeFile(join(out, 'approvers.pub'), blockOf(page, '## Who is believed'));
    const server = { PGHOST: target.folder, PGPORT: String(target.port), PGUSER: 'postgres' };
    const env = { ...server, HOME: out, PATH: `${target.programs}:${process.env.PATH}` };
    const bash = async (...scripts: string[]) => {
      const ended = await run('bash', ['-euo', 'pipefail', '-c', scripts.join('\n')], { cwd: out, env });
      expect(ended.status, ended.stderr).toBe(0);
      return ended.stdout;
    };
    expect(await bash(blockOf(page, '## Who can open it'))).toContain(fingerprintOf(page, 'break-glass-1'));

    const portolanLines = blockOf(page, '## With Portolan').replaceAll(/^portolan /gm, `${PORTOLAN} `);
    expect(await bash(portolanLines.replaceAll('approvers.pub', 'approvers.pub --state state'))).toContain('db-1/1');
    expect(await readFile(join(out, 'restored', 'files', 'note.txt'), 'utf8')).toBe('to be found again\n');

    const step = (number: number) => blockOf(page, `### ${number}. `);
    const names = step(0).replace('REPOSITORY', at('store'));
    expect(await bash(names, step(1))).toMatch(/: signed by approvers.pub\n.*: signed by writer.pub\n$/);
    const databases = await bash(names, step(2), step(3), step(4), step(5).split('\n\n')[0] as string);
    expect(await readFile(join(out, 'files', 'files', 'note.txt'), 'utf8')).toBe('to be found again\n');

    const [, from, number, name, encoding, money] = /^(\S+) (\d+) (.+) (\S+) (\S+)$/m.exec(databases) ?? [];
    expect(name).toBe('shop one');
    const load = step(5).split('\n\n')[1] as string;
    const given = { SOURCE: from, NUMBER: number, NAME: `'${name}'`, ENCODING: encoding, MONEY: money };
    await bash(load.replaceAll(/=(SOURCE|NUMBER|NAME|ENCODING|MONEY)\b/g, (_, word) => `=${given[word as 'NAME']}`));
    const facts = 'select count(*), min(text), max(id), nextval(\'"odd ""name_id_seq"\') from "odd ""name"';
    expect(await target.query(facts, { database: 'shop one' })).toBe(
      await source.query(facts, { database: 'shop one' }),
    );
  } finally {
    await Promise.all([source.stop(), target.stop()]);
  }
});

/** With the identity of the safe; and what is refused on the way. */
async function exportedPage({ at, run: command }: Place): Promise<string> {
  const plain = done(await command('keys', 'export', '--out', at('page.md')));
  expect(plain).not.toHaveProperty('reader');
  expect(await readFile(at('page.md'), 'utf8')).not.toContain('AGE-SECRET-KEY');
  const secret = (await readFile(at('safe.txt'), 'utf8')).trim().split('\n').at(-1) as string;
  const ended = await command('keys', 'export', '--out', at('secret page.md'), '-i', at('safe.txt'));
  expect(done(ended)).toMatchObject({ reader: 'break-glass-1' });
  expect(ended.stdout + ended.stderr).not.toContain(secret);
  expect((await stat(at('secret page.md'))).mode & 0o777).toBe(0o600);
  const again = ['keys', 'export', '-i', at('safe.txt'), '--out'];
  for (const there of [at('secret page.md'), '/dev/stdout']) {
    expect(await command(...again, there)).toMatchObject({ status: 1, error: { code: 'ALREADY_THERE' } });
  }
  await succeed('age-keygen', ['-pq', '-o', at('nobody.txt')]);
  expect(await command('keys', 'export', '--out', at('x.md'), '-i', at('nobody.txt'))).toMatchObject({
    status: 1,
    error: { code: 'ROLE_MISSING' },
  });
  const page = await readFile(at('secret page.md'), 'utf8');
  expect(page).toContain(secret);
  return page;
}

/** The lines of code below a heading, until the next one; an empty line between two blocks. */
function blockOf(page: string, heading: string): string {
  const section = page.split(/^(?=#{2,3} )/m).find((one) => one.startsWith(heading)) ?? '';
  const blocks = [...section.matchAll(/(?:^ {4}.*\n)+/gm)].map(([text]) => text.replaceAll(/^ {4}/gm, ''));
  return blocks.join('\n');
}

function fingerprintOf(page: string, name: string): string {
  const [, fingerprint = 'none'] = new RegExp(`^\\| break-glass \\| ${name} \\| ([0-9a-f ]+)`, 'm').exec(page) ?? [];
  return fingerprint.replaceAll(' ', '');
}
