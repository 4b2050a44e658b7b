/** Who restores, and the journal of it: as people and attackers of a machine use them. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { composeAudit } from '../../src/compose/audit.ts';
import { findRestorer } from '../../src/compose/restorer.ts';
import { parseHead } from '../../src/formats/audit/journal.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import { writeBrowserProgram } from '../support/browser-program.ts';
import { blocksOf } from '../support/document-blocks.ts';
import { interruptAt } from '../support/interruption.ts';
import { fillDisk, mountTmpfs, remount } from '../support/mounts.ts';
import { type OpenIdProvider, type Person, startOpenIdProvider } from '../support/openid-provider.ts';
import { watchForSecrets } from '../support/planted-secrets.ts';
import {
  type PortolanEnded,
  portolan,
  portolanText,
  startPortolan,
  succeed,
  waitUntilStopped,
} from '../support/program.ts';
import { raised } from '../support/raised.ts';
import { temporaryFolder } from '../support/temporary.ts';

const PASSWORD = 'throw-away password';
const CONTENT = 'what was on the ship';

let provider: OpenIdProvider;
/** A repository with one snapshot, its keys, and roots with and without an identity provider. */
let ship: string;
const inShip = (...names: string[]) => join(ship, ...names);

beforeAll(async () => {
  provider = await startOpenIdProvider();
  ship = await mkdtemp(join(tmpdir(), 'portolan-test-'));
  const options = { cwd: ship, env: { HOME: ship, XDG_CONFIG_HOME: inShip('config'), COSIGN_PASSWORD: PASSWORD } };
  const done = async (...args: string[]) => {
    const ended = await portolan(args, options);
    expect(ended.status, ended.stdout + ended.stderr).toBe(0);
    return ended.result;
  };
  await succeed('cosign', ['generate-key-pair'], options);
  await succeed('age-keygen', ['-pq', '-o', 'key.txt'], options);
  const reader = (await succeed('age-keygen', ['-y', 'key.txt'], options)).trim();
  const clients = ['--enrolment-client', provider.clients.enrolment, '--login-client', provider.clients.login];
  const issuer = ['--issuer', provider.issuer, '--enrolment-project', provider.projects.enrolment, ...clients];
  await done('keys', 'init', '--approver', 'cosign.pub', '--break-glass', reader, '--out', 'root.json', ...issuer);
  const places = ['--repo', inShip('store'), '--state', inShip('state')];
  const signing = ['--sign-key', inShip('cosign.key')];
  const made = await done('backup', 'init', '--root', 'root.json', '--writer', 'db-1', ...places, ...signing);
  await cp(String(made?.trust), inShip('trust.json'));
  await mkdir(inShip('data'));
  await writeFile(inShip('data', 'log.txt'), CONTENT);
  await done('backup', 'run', '--files', inShip('data'), ...places, ...signing);
});

afterAll(async () => {
  await provider?.[Symbol.asyncDispose]();
  await rm(ship, { recursive: true, force: true });
});

/** Until the test ends. */
async function loseProvider(): Promise<void> {
  await provider.down();
  onTestFinished(() => provider.up());
}

/** A machine on which somebody restores, with a state folder and a browser of its own. */
async function createSeat(person: Person = provider.addPerson({ name: 'anna' })) {
  const home = await temporaryFolder();
  const at = (...names: string[]) => join(home, ...names);
  const env = {
    ...{ HOME: home, XDG_CONFIG_HOME: at('config'), PORTOLAN_JSON: undefined, PORTOLAN_STATE: at('state') },
    ...{ PORTOLAN_TRUST: inShip('trust.json'), PORTOLAN_REPO: inShip('store') },
    BROWSER: await writeBrowserProgram(at('browser'), person),
  };
  const options = { cwd: home, env };
  const restoreArgs = (...more: string[]) => [
    'restore',
    '-i',
    inShip('key.txt'),
    '--to',
    `folder:${at('out')}`,
    ...more,
  ];
  const records = at('state', 'audit', 'documents');
  return {
    ...{ at, env, options, person, records, restoreArgs },
    running: { env, cwd: home, now: Date.now, progress: silentProgress, signal: new AbortController().signal },
    run: (...args: string[]) => portolan(args, options),
    restore: (...more: string[]) => portolan(restoreArgs(...more), options),
    restoreIn: (more: Readonly<Record<string, string>>) =>
      portolan(restoreArgs(), { ...options, env: { ...env, ...more } }),
    text: (...args: string[]) => portolanText(args, options),
    content: () => readFile(at('out', 'files', 'log.txt'), 'utf8'),
    isUntouched: async () => !(await readdir(home)).includes('out'),
    record: (sequence: number) => join(records, `record-${String(sequence).padStart(10, '0')}.document`),
    async session() {
      const folder = at('config', 'portolan', 'sessions');
      return join(folder, (await readdir(folder))[0] ?? '');
    },
    /** A machine whose root pins no identity provider. */
    async withoutProvider() {
      const { issuer: _, ...rest } = JSON.parse(await readFile(inShip('trust.json'), 'utf8')) as { issuer: object };
      await writeFile(at('plain.json'), JSON.stringify(rest));
      env.PORTOLAN_TRUST = at('plain.json');
    },
  };
}

type Seat = Awaited<ReturnType<typeof createSeat>>;

/** The records of a machine, whose journal must be right. */
async function recordsOf({ run }: Seat) {
  const { status, events, stderr, stdout } = await run('audit', 'list');
  expect(status, stdout + stderr).toBe(0);
  return events.filter(({ event }) => event === 'record');
}

function done(ended: PortolanEnded) {
  expect(ended.status, ended.stdout + ended.stderr).toBe(0);
  return ended;
}

describe('who restores', () => {
  test('whoever is logged in, although the identity provider is gone; it is shown and recorded, and no token is kept', async () => {
    const seat = await createSeat();
    expect(await seat.restore()).toMatchObject({ status: 1, error: { code: 'LOGIN_NEEDED' } });
    expect(await seat.isUntouched()).toBe(true);
    const login = done(await seat.run('login'));
    const { idToken } = JSON.parse(await readFile(await seat.session(), 'utf8')) as { idToken: string };
    const identity = /AGE-SECRET-KEY-\S+/.exec(await readFile(inShip('key.txt'), 'utf8'))?.[0] ?? '';
    await loseProvider();
    const requests = provider.requests.length;
    const watch = watchForSecrets({
      token: idToken,
      signature: idToken.split('.')[2] ?? '',
      identity,
      content: CONTENT,
    });
    const restored = done(await seat.restore('--source', 'files'));
    expect(await seat.content()).toBe(CONTENT);
    expect(provider.requests).toHaveLength(requests);
    const until = String(login.result?.expiresAt);
    expect(restored.events).toContainEqual({
      event: 'note',
      message: `restores: ${seat.person.id} of ${provider.issuer}, logged in until ${until}`,
    });

    const records = await recordsOf(seat);
    expect(records).toMatchObject([
      {
        ...{ sequence: 1, state: 'begun', what: 'restore', target: `folder:${seat.at('out')}` },
        who: { user: 'root', uid: 0, login: { issuer: provider.issuer, subject: seat.person.id, until } },
        ...{ snapshot: { writer: 'db-1', sequence: 1 }, selection: { source: ['files'] } },
      },
      { sequence: 2, state: 'done', begun: 1 },
    ]);
    const verified = await seat.text('audit', 'verify');
    expect(verified).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('2 records, signed and in their order'),
    });
    const listed = await seat.text('audit', 'list');
    expect(listed.stdout).toMatch(new RegExp(`done +restore +db-1/1 --source files +${seat.person.id} \\(root on `));
    watch.add('what was printed', [restored, verified, listed].map(({ stdout, stderr }) => stdout + stderr).join());
    watch.add('the records', JSON.stringify(records));
    await watch.addFolder(seat.at('state'));
    expect(await watch.end()).toEqual([]);
  });

  test('nobody has to be logged in with --break-glass, which is told loudly and recorded', async () => {
    const seat = await createSeat();
    await loseProvider();
    const requests = provider.requests.length;
    const restored = done(await seat.restore('--break-glass'));
    expect(await seat.content()).toBe(CONTENT);
    expect(provider.requests).toHaveLength(requests);
    expect(restored.events).toContainEqual({
      event: 'warning',
      message: expect.stringMatching(/^BREAK GLASS: http\S+ was NOT ASKED who restores; it is recorded/),
    });
    expect(await recordsOf(seat)).toMatchObject([
      { state: 'begun', who: { user: 'root', breakGlass: true } },
      { state: 'done', who: { user: 'root', breakGlass: true } },
    ]);
    expect((await seat.text('audit', 'list')).stdout).toContain('BREAK GLASS, root on ');
    const told = await seat.text(...seat.restoreArgs('--break-glass', '--overwrite'));
    expect(told.stderr).toContain('BREAK GLASS');
    expect(told.stdout).not.toContain('BREAK GLASS');
  });

  test('a login that has ended, is forged, is of another issuer or lacks the role lets nobody restore', async () => {
    const seat = await createSeat();
    done(await seat.run('login'));
    const file = await seat.session();
    const kept = JSON.parse(await readFile(file, 'utf8')) as { issuer: string; idToken: string };
    const claims = JSON.parse(Buffer.from(kept.idToken.split('.')[1] ?? '', 'base64url').toString()) as {
      readonly [claim: string]: unknown;
      readonly iat: number;
    };
    const signed = (change: object) => provider.keys.sign({ ...claims, ...change });
    const root = { trust: inShip('trust.json') };
    const [header = '', payload = ''] = kept.idToken.split('.');
    const ended = claims.iat - 3600;
    const bad: Readonly<Record<string, string>> = {
      forged: `${header}.${payload}.${Buffer.alloc(256, 1).toString('base64url')}`,
      unsigned: `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`,
      ended: await signed({ iat: ended, auth_time: ended, exp: ended + 60 }),
      'of the future': await signed({ iat: claims.iat + 7200, exp: claims.iat + 9000 }),
      'without the role': await signed({ [provider.roleClaim]: { another: { 1: 'x' } } }),
      'of another issuer': await signed({ iss: 'https://another.example' }),
      'for another client': await signed({ aud: ['another'], azp: 'another' }),
    };
    for (const [what, idToken] of Object.entries(bad)) {
      await writeFile(file, JSON.stringify({ ...kept, idToken }));
      const refused = await raised(() => findRestorer({ ...root, breakGlass: false }, seat.running));
      expect(refused, what).toMatchObject({ code: 'LOGIN_NEEDED' });
      expect(refused.hint, what).toMatch(/`portolan login`.*--break-glass/);
    }
    const refused = await seat.restore();
    expect(refused).toMatchObject({ status: 1, error: { code: 'LOGIN_NEEDED' } });
    expect(refused.stdout + refused.stderr).not.toMatch(/eyJ/);
    expect(await seat.isUntouched()).toBe(true);
    expect(await recordsOf(seat)).toEqual([]);
    // What was refused was not the machine: the true one is taken.
    await writeFile(file, JSON.stringify(kept));
    done(await seat.restore());
  });

  test('a root without an identity provider asks for no login: the account of the machine is recorded', async () => {
    const seat = await createSeat();
    await seat.withoutProvider();
    done(await seat.restore());
    const records = await recordsOf(seat);
    expect(records).toMatchObject([{ state: 'begun', who: { user: 'root', uid: 0 } }, { state: 'done' }]);
    expect(records[0]?.who).not.toHaveProperty('login');
  });

  test('a plan needs no login and leaves no record', async () => {
    const seat = await createSeat();
    done(await seat.restore('--plan'));
    expect(await readdir(seat.at())).not.toContain('state');
    const listed = await seat.text('audit', 'list');
    expect(listed).toMatchObject({ status: 0, stdout: expect.stringContaining('nothing was recorded') });
    done(await seat.run('audit', 'verify'));
  });
});

describe('the journal', () => {
  test('a restore that fails is recorded with its code, and one that finds no snapshot not at all', async () => {
    const seat = await createSeat();
    await succeed('age-keygen', ['-pq', '-o', seat.at('stranger.txt')]);
    expect(await seat.restore('no-such/1', '--break-glass')).toMatchObject({ error: { code: 'SNAPSHOT_NOT_FOUND' } });
    const stranger = ['restore', '-i', seat.at('stranger.txt'), '--to', `folder:${seat.at('out')}`, '--break-glass'];
    expect(await seat.run(...stranger)).toMatchObject({ error: { code: 'RUN_KEY_NOT_FOR_US' } });
    expect(await recordsOf(seat)).toMatchObject([{ state: 'begun' }, { state: 'failed', code: 'RUN_KEY_NOT_FOR_US' }]);
  });

  test('a restore that is killed leaves a beginning without an end, before anything is written', async () => {
    const seat = await createSeat();
    await seat.withoutProvider();
    const atRecord = { path: /\/\.record-/ };
    const early = await seat.restoreIn(interruptAt(seat.at('state'), 'SIGKILL', atRecord));
    expect(early).toMatchObject({ status: null, signal: 'SIGKILL' });
    expect(await recordsOf(seat)).toEqual([]);
    expect(await seat.isUntouched()).toBe(true);
    const late = await seat.restoreIn(interruptAt(seat.at('out'), 'SIGKILL', { call: 1 }));
    expect(late).toMatchObject({ status: null, signal: 'SIGKILL' });
    expect(await recordsOf(seat)).toMatchObject([{ sequence: 1, state: 'begun' }]);
    expect((await seat.text('audit', 'list')).stdout).toContain('NO END');
    done(await seat.restore());
    expect(await recordsOf(seat)).toMatchObject([{ sequence: 1 }, { sequence: 2, state: 'begun' }, { state: 'done' }]);
    const verified = await seat.run('audit', 'verify');
    expect(verified).toMatchObject({ status: 0, result: { records: 3, open: 1 } });
  });

  test('a restore that somebody stops is recorded as stopped', async () => {
    const seat = await createSeat();
    await seat.withoutProvider();
    const moment = interruptAt(seat.at('out'), 'SIGSTOP', { call: 1 });
    const running = startPortolan(seat.restoreArgs(), { ...seat.options, env: { ...seat.env, ...moment } });
    await waitUntilStopped(running);
    process.kill(running.child.pid as number, 'SIGINT');
    process.kill(running.child.pid as number, 'SIGCONT');
    expect(await running.ended).toMatchObject({ status: 130 });
    expect(await recordsOf(seat)).toMatchObject([{ state: 'begun' }, { state: 'aborted', begun: 1 }]);
  });

  test('two restores at once write one chain', async () => {
    const seat = await createSeat();
    await seat.withoutProvider();
    const to = (name: string) => seat.run('restore', '-i', inShip('key.txt'), '--to', `folder:${seat.at(name)}`);
    (await Promise.all([to('a'), to('b')])).map(done);
    const records = await recordsOf(seat);
    expect(records.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4]);
    expect(records.map(({ state }) => state).toSorted()).toEqual(['begun', 'begun', 'done', 'done']);
  });

  test('without room, or on a disk that is read-only, nothing is decrypted', async () => {
    const seat = await createSeat();
    await mountTmpfs(seat.at('state'), 1);
    const free = await fillDisk(seat.at('state'));
    const args = ['--break-glass'];
    const refused = await seat.restore(...args);
    expect(refused).toMatchObject({
      status: 1,
      error: { code: 'AUDIT_UNWRITABLE', at: { file: seat.at('state', 'audit') } },
    });
    expect(String(refused.error?.causes)).toContain('NO_SPACE');
    await free();
    await remount(seat.at('state'), 'ro');
    const readOnly = await seat.restore(...args);
    expect(readOnly).toMatchObject({ status: 1, error: { code: 'AUDIT_UNWRITABLE' } });
    expect(await seat.isUntouched()).toBe(true);
    await remount(seat.at('state'), 'rw');
    done(await seat.restore(...args));
    expect(await recordsOf(seat)).toMatchObject([{ state: 'begun' }, { state: 'done' }]);
  });

  test('records are taken to another machine and verified there; what is altered, dropped or cut off is told', async () => {
    const seat = await createSeat();
    await seat.withoutProvider();
    for (const more of [[], ['--overwrite'], ['--overwrite']]) done(await seat.restore(...more));
    const exported = await seat.run('audit', 'list');
    const { result } = done(await seat.run('audit', 'verify'));
    const other = await createSeat();
    await writeFile(other.at('records.jsonl'), exported.stdout);
    await writeFile(other.at('machine.pub'), String(Object(result).publicKeys[0]));
    const verify = ['audit', 'verify', other.at('records.jsonl')];
    expect(await other.run(...verify)).toMatchObject({ status: 0, result: { records: 6, isKeyKnown: false } });
    const known = [...verify, '--key', other.at('machine.pub'), '--head', String(result?.head)];
    expect(await other.run(...known)).toMatchObject({ status: 0, result: { head: result?.head, isKeyKnown: true } });
    expect(await other.run(...verify, '--key', inShip('cosign.pub'))).toMatchObject({
      status: 3,
      error: { code: 'AUDIT_NOT_RIGHT', others: Array(6).fill({ code: 'SIGNED_DOCUMENT_UNSIGNED' }) },
    });
    const short = exported.stdout.split('\n').filter((line) => !line.includes('"sequence":6'));
    await writeFile(other.at('records.jsonl'), short.join('\n'));
    expect(await other.run(...known)).toMatchObject({
      status: 3,
      error: { others: [{ code: 'AUDIT_RECORD_MISSING' }] },
    });

    const head = parseHead(String(result?.head));
    const whole = seat.at('whole');
    await cp(seat.records, whole, { recursive: true });
    const attacks: Readonly<Record<string, () => Promise<unknown>>> = {
      AUDIT_RECORD_MISSING: () => rm(seat.record(3)),
      'AUDIT_RECORD_MISSING of the last': () => rm(seat.record(6)),
      'AUDIT_RECORD_MISSING after a swap': async () => {
        await cp(join(whole, 'record-0000000002.document'), seat.record(4));
        await cp(join(whole, 'record-0000000004.document'), seat.record(2));
      },
      SIGNED_DOCUMENT_FORGED: async () => {
        const text = await readFile(seat.record(2), 'utf8');
        const { payload } = JSON.parse(text) as { payload: string };
        const altered = Buffer.from(Buffer.from(payload, 'base64').toString().replace('root', 'toor'));
        await writeFile(seat.record(2), text.replace(payload, altered.toString('base64')));
      },
      SIGNED_DOCUMENT_INVALID: () => writeFile(seat.record(5), '{'),
    };
    for (const [what, attack] of Object.entries(attacks)) {
      await attack();
      const { findings } = await composeAudit({ state: seat.at('state'), head }, seat.running);
      expect(
        findings.map(({ code }) => code),
        what,
      ).toContain(what.split(' ')[0]);
      await rm(seat.records, { recursive: true });
      await cp(whole, seat.records, { recursive: true });
    }
    done(await seat.run('audit', 'verify', '--head', String(result?.head)));
    expect(await seat.run('audit', 'verify', '--head', '7')).toMatchObject({ status: 2, error: { code: 'USAGE' } });
    await writeFile(other.at('no.jsonl'), 'no records');
    expect(await other.run('audit', 'verify', other.at('no.jsonl'))).toMatchObject({
      status: 2,
      error: { code: 'AUDIT_EXPORT_INVALID' },
    });
  });

  test('every command of docs/audit.md does what the page says', async () => {
    const seat = await createSeat();
    await seat.withoutProvider();
    done(await seat.restore());
    const head = done(await seat.run('audit', 'verify')).result?.head;
    const page = await readFile(new URL('../../docs/audit.md', import.meta.url), 'utf8');
    await mkdir(seat.at('bin'));
    await symlink(new URL('../../scripts/portolan', import.meta.url).pathname, seat.at('bin', 'portolan'));
    const env = { ...seat.env, HEAD: String(head), PATH: `${seat.at('bin')}:${process.env.PATH}` };
    const blocks = blocksOf(page).map(({ text }) => text);
    expect(blocks).toHaveLength(3);
    const said = await succeed('bash', ['-euc', blocks.join('\n')], { cwd: seat.at(), env });
    expect(said).toContain(`head   ${head}`);
    expect((await readFile(seat.at('machine.pub'), 'utf8')).split('\n')[0]).toBe('-----BEGIN PUBLIC KEY-----');
  });
});
