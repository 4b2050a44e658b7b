/** People at the identity provider, as they type it: login, whoami, logout, and the enrolment of a reader. */
import { cp, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requireSession } from '../../src/compose/session.ts';
import { recipientOf } from '../../src/formats/age/identity-file.ts';
import { verifyEnrolment } from '../../src/formats/identity/enrolment.ts';
import { decodeRepositoryTrust } from '../../src/formats/repository/repository-trust.ts';
import { writeBrowserProgram } from '../support/browser-program.ts';
import { type OpenIdProvider, type Person, startOpenIdProvider } from '../support/openid-provider.ts';
import { watchForSecrets } from '../support/planted-secrets.ts';
import { type Event, portolan, portolanText, startPortolan, succeed } from '../support/program.ts';
import { raised } from '../support/raised.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { portolanOnTerminal } from '../support/terminal.ts';

const PASSWORD = 'throw-away password';
const PASSPHRASE = 'a passphrase that nobody sees';

let provider: OpenIdProvider;
/** A folder with trust.json, as `backup init` leaves it. */
let ship: string;

beforeAll(async () => {
  provider = await startOpenIdProvider();
  ship = await mkdtemp(join(tmpdir(), 'portolan-test-'));
  const env = { HOME: ship, XDG_CONFIG_HOME: join(ship, 'config'), COSIGN_PASSWORD: PASSWORD };
  const inShip = { cwd: ship, env };
  await succeed('cosign', ['generate-key-pair'], inShip);
  await succeed('age-keygen', ['-pq', '-o', 'safe.txt'], inShip);
  const safe = (await succeed('age-keygen', ['-y', 'safe.txt'], inShip)).trim();
  const clients = ['--enrolment-client', provider.clients.enrolment, '--login-client', provider.clients.login];
  const issuer = ['--issuer', provider.issuer, '--enrolment-project', provider.projects.enrolment, ...clients];
  const root = ['--approver', 'cosign.pub', '--break-glass', safe, '--out', 'root.json', ...issuer];
  const made = await portolan(['keys', 'init', ...root], inShip);
  expect(made.status, made.stdout).toBe(0);
  const init = ['--repo', join(ship, 'store'), '--state', join(ship, 'state'), '--sign-key', join(ship, 'cosign.key')];
  const outcome = await portolan(['backup', 'init', '--root', join(ship, 'root.json'), ...init], inShip);
  expect(outcome.status, outcome.stdout).toBe(0);
  await cp(String(outcome.result?.trust), join(ship, 'trust.json'));
});

afterAll(async () => {
  await provider?.[Symbol.asyncDispose]();
  await rm(ship, { recursive: true, force: true });
});

/** Somebody with a home of their own, and a browser that logs them in. */
async function createSeat(person: Person) {
  const home = await temporaryFolder();
  const at = (...names: string[]) => join(home, ...names);
  const env = {
    HOME: home,
    XDG_CONFIG_HOME: at('config'),
    PORTOLAN_JSON: undefined,
    PORTOLAN_TRUST: join(ship, 'trust.json'),
    BROWSER: await writeBrowserProgram(at('browser'), person),
  };
  const options = { cwd: home, env };
  const session = at('config', 'portolan', 'sessions', `${new URL(provider.issuer).host.replace(/[^a-z0-9]+/g, '-')}`);
  return {
    ...{ at, env, options },
    run: (...args: string[]) => portolan(args, options),
    text: (...args: string[]) => portolanText(args, options),
    /** The session file. */
    async session() {
      const [file = ''] = (await succeed('sh', ['-c', `ls ${session}-*.json`])).trim().split('\n');
      return file;
    },
  };
}

/** Waits for a note of a program that runs with `--json`. */
function noted({ child }: ReturnType<typeof startPortolan>, word: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (part: string) => {
      text += part;
      const events = text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Event);
      const note = events.find(({ event, message }) => event === 'note' && String(message).includes(word));
      if (note !== undefined) resolve(String(note.message));
    });
    child.once('close', () => reject(new Error(`no note about ${word}: ${text}`)));
  });
}

test('somebody logs in with a browser, is shown, and logs out; the token stays in its file', async () => {
  const anna = provider.addPerson({ name: 'anna' });
  const { run, text, session, at } = await createSeat(anna);
  expect(await run('whoami')).toMatchObject({ status: 1, error: { code: 'LOGIN_NEEDED' } });

  const login = await run('login');
  expect(login).toMatchObject({ status: 0, result: { subject: anna.id, roles: ['backup-reader'] } });
  expect((await stat(await session())).mode & 0o777).toBe(0o600);
  const { idToken } = JSON.parse(await readFile(await session(), 'utf8')) as { idToken: string };
  const watch = watchForSecrets({ token: idToken, signature: idToken.split('.')[2] ?? '' });
  watch.add('login', login.stdout + login.stderr);

  const who = await text('whoami');
  expect(who).toMatchObject({ status: 0 });
  expect(who.stdout).toContain(anna.id);
  watch.add('whoami', who.stdout + who.stderr);
  expect(await run('whoami')).toMatchObject({ result: { subject: anna.id, issuer: provider.issuer } });

  expect(await run('logout')).toMatchObject({ status: 0, result: { ended: true } });
  expect(await run('logout')).toMatchObject({ status: 0, result: { ended: false } });
  expect(await run('whoami')).toMatchObject({ status: 1, error: { code: 'LOGIN_NEEDED' } });
  await watch.addFolder(at());
  expect(await watch.end()).toEqual([]);
});

test('somebody on a server logs in with a code', async () => {
  const anna = provider.addPerson({ name: 'anna' });
  const { options } = await createSeat(anna);
  const running = startPortolan(['login', '--device'], options);
  const message = await noted(running, 'user_code=');
  await anna.logIn(/http\S+/.exec(message)?.[0] ?? '');
  expect(await running.ended).toMatchObject({ status: 0, result: { subject: anna.id } });
});

test('somebody whose browser is elsewhere carries the address by hand', async () => {
  const anna = provider.addPerson({ name: 'anna' });
  const { options, run } = await createSeat(anna);
  const { status, screen } = await portolanOnTerminal(['login', '--no-browser'], options, async (text) => {
    const address = /log in: (http\S+)/.exec(text)?.[1] ?? '';
    return (await anna.logIn(address, { leave: false })).address;
  });
  expect(status, screen).toBe(0);
  expect(screen).not.toContain('code=');
  expect(await run('whoami')).toMatchObject({ result: { subject: anna.id } });
});

test('a login without the role, or signed by a key that nobody pinned, keeps nothing', async () => {
  const carol = provider.addPerson({ name: 'carol', roles: ['another-role'] });
  const { run } = await createSeat(carol);
  expect(await run('login')).toMatchObject({ status: 3, error: { code: 'ID_TOKEN_ROLE_MISSING' } });
  const kid = provider.keys.rotate();
  expect(await run('login')).toMatchObject({ status: 3, error: { code: 'ID_TOKEN_KEY_UNKNOWN', found: kid } });
  provider.keys.remove(kid);
  expect(await run('whoami')).toMatchObject({ status: 1, error: { code: 'LOGIN_NEEDED' } });
});

test('a session is worth what its token is: not after its end, not by another key, not of another issuer', async () => {
  const anna = provider.addPerson({ name: 'anna' });
  const { run, session, env, at } = await createSeat(anna);
  const { result } = await run('login');
  const { issuer } = decodeRepositoryTrust(await readFile(join(ship, 'trust.json')), 'trust.json');
  if (issuer === undefined) throw new Error('the root names no issuer');
  const surroundings = (now: number) => ({ env, cwd: at(), now: () => now });
  const end = Date.parse(String(result?.expiresAt));
  await expect(requireSession(issuer, surroundings(end - 1))).resolves.toMatchObject({ subject: anna.id });
  expect(await raised(() => requireSession(issuer, surroundings(end)))).toMatchObject({ code: 'LOGIN_NEEDED' });

  const file = await session();
  const kept = JSON.parse(await readFile(file, 'utf8')) as { idToken: string };
  const keep = (change: object) => writeFile(file, JSON.stringify({ ...kept, ...change }));
  const [header = '', claims = ''] = kept.idToken.split('.');
  await keep({ idToken: `${header}.${claims}.${Buffer.alloc(256, 1).toString('base64url')}` });
  expect(await run('whoami')).toMatchObject({ status: 3, error: { code: 'ID_TOKEN_FORGED' } });
  const hmac = Buffer.from('{"alg":"HS256"}').toString('base64url');
  await keep({ idToken: `${hmac}.${claims}.` });
  expect((await run('whoami')).status).toBe(3);
  await keep({ issuer: 'https://another.example' });
  expect(await run('whoami')).toMatchObject({ status: 1, error: { code: 'LOGIN_NEEDED' } });
  await writeFile(file, 'not a session');
  expect(await run('whoami')).toMatchObject({ status: 1, error: { code: 'LOGIN_NEEDED' } });
});

test('a reader enrols with a new identity, answers the challenge and is approved; nothing secret leaves the machine', async () => {
  const dora = provider.addPerson({ name: 'dora' });
  const { at, options, run } = await createSeat(dora);
  const files = ['--identity-out', at('dora.txt'), '--enrolment-out', at('dora.enrolment')];
  const { status, screen } = await portolanOnTerminal(['keys', 'enroll', ...files], options, async () => PASSPHRASE);
  expect(status, screen).toBe(0);
  expect(await readFile(at('dora.txt'), 'utf8')).toContain('BEGIN AGE ENCRYPTED FILE');
  expect((await stat(at('dora.txt'))).mode & 0o777).toBe(0o600);

  const trust = decodeRepositoryTrust(await readFile(join(ship, 'trust.json')), 'trust.json');
  const { issuer, repository } = trust;
  if (issuer === undefined || repository === undefined) throw new Error('the root is not whole');
  const bytes = await readFile(at('dora.enrolment'));
  const { enrolment, digest, token } = await verifyEnrolment(bytes, issuer, { repository, now: Date.now() });
  expect(token).toMatchObject({ subject: dora.id, roles: ['backup-reader'] });

  const approver = ['--repo', join(ship, 'store'), '--state', join(ship, 'state'), '--trust', join(ship, 'trust.json')];
  const signed = [...approver, '--sign-key', join(ship, 'cosign.key')];
  const about = ['--enrolment', at('dora.enrolment'), '--name', 'dora'];
  const approve = (...given: string[]) =>
    portolan(['keys', 'approve', ...signed, ...about, ...given], { env: { HOME: ship, COSIGN_PASSWORD: PASSWORD } });
  expect(await approve('--challenge-out', at('challenge'))).toMatchObject({ status: 0 });
  const own = ['--enrolment', at('dora.enrolment'), '-i', at('dora.txt')];
  const answer = ['--challenge', at('challenge'), ...own, '--answer-out', at('answer')];
  const second = await portolanOnTerminal(['keys', 'enroll', ...answer], options, async () => PASSPHRASE);
  expect(second.status, second.screen).toBe(0);
  const approved = await approve('--answer', at('answer'));
  expect(approved.status, approved.stdout).toBe(0);
  expect(approved.result).toMatchObject({
    roster: {
      epoch: 2,
      recipients: [
        { role: 'break-glass' },
        { name: 'dora', recipient: enrolment.recipient, evidence: { subject: dora.id, digest } },
      ],
    },
  });

  const watch = watchForSecrets({ passphrase: PASSPHRASE });
  watch.add('the terminal', screen + second.screen);
  expect(`${screen}${second.screen}`).not.toMatch(/AGE-SECRET-KEY|eyJ/);
  await watch.addFolder(at());
  expect(await watch.end()).toEqual([]);
  // What is there is not replaced, and is seen before anybody logs in.
  const requests = provider.requests.length;
  const again = await run('keys', 'enroll', '-i', at('answer'), '--enrolment-out', at('dora.enrolment'));
  expect(again.status).not.toBe(0);
  expect(provider.requests).toHaveLength(requests);
});

test('an identity that is there is enrolled too, and one that the rules refuse is not', async () => {
  const emil = provider.addPerson({ name: 'emil' });
  const { at, run } = await createSeat(emil);
  await run('keys', 'generate', at('classic.txt'), '--classic');
  const mixed = await run('keys', 'enroll', '-i', at('classic.txt'), '--enrolment-out', at('mixed'));
  expect(mixed).toMatchObject({ error: { code: 'RECIPIENTS_MIXED' } });
  const { result } = await run('keys', 'generate', at('emil.txt'));
  const enrol = (name: string) => run('keys', 'enroll', '-i', at('emil.txt'), '--enrolment-out', at(name));
  emil.secondFactor = false;
  expect(await enrol('a')).toMatchObject({ status: 3, error: { code: 'ID_TOKEN_SECOND_FACTOR_MISSING' } });
  emil.secondFactor = true;
  emil.loggedInSecondsAgo = 3600;
  expect(await enrol('b')).toMatchObject({ status: 3, error: { code: 'ID_TOKEN_LOGIN_TOO_OLD' } });
  emil.loggedInSecondsAgo = 0;
  provider.settings.profileInIdToken = true;
  expect(await enrol('c')).toMatchObject({ status: 3, error: { code: 'ID_TOKEN_PROFILE_CLAIMS' } });
  provider.settings.profileInIdToken = false;
  // A token that the storage would take as well is a key to the storage.
  const { storage } = provider.projects;
  provider.settings.alterIdToken = (claims) => ({ ...claims, aud: [claims.aud ?? [], storage].flat() });
  expect(await enrol('f')).toMatchObject({ status: 3, error: { code: 'ID_TOKEN_AUDIENCE_WRONG' } });
  provider.settings.alterIdToken = undefined;
  emil.active = false;
  expect(await enrol('d')).toMatchObject({ status: 1, error: { code: 'LOGIN_REFUSED' } });
  emil.active = true;
  await expect(stat(at('a'))).rejects.toThrow('ENOENT');
  const identity = /AGE-SECRET-KEY-\S+/.exec(await readFile(at('emil.txt'), 'utf8'))?.[0] ?? '';
  expect(await enrol('e')).toMatchObject({ status: 0, result: { recipient: await recipientOf(identity) } });
  expect(result?.recipient).toBe(await recipientOf(identity));
});

test('a root that names no identity provider, or the wrong options, are told apart', async () => {
  const anna = provider.addPerson({ name: 'anna' });
  const { at, run } = await createSeat(anna);
  const { issuer: _, ...without } = JSON.parse(await readFile(join(ship, 'trust.json'), 'utf8')) as { issuer: object };
  await writeFile(at('plain.json'), JSON.stringify(without));
  expect(await run('login', '--trust', at('plain.json'))).toMatchObject({
    status: 1,
    error: { code: 'ISSUER_NOT_PINNED' },
  });
  const { repository: __, ...root } = JSON.parse(await readFile(join(ship, 'trust.json'), 'utf8')) as {
    repository: string;
  };
  await writeFile(at('root.json'), JSON.stringify(root));
  const enrol = ['keys', 'enroll', '--identity-out', at('x.txt')];
  expect(await run(...enrol)).toMatchObject({ status: 2, error: { code: 'USAGE' } });
  expect(await run('login', '--device', '--no-browser')).toMatchObject({ status: 2, error: { code: 'USAGE' } });
  const noId = await run(
    'keys',
    'enroll',
    '-i',
    join(ship, 'safe.txt'),
    '--enrolment-out',
    at('y'),
    '--trust',
    at('root.json'),
  );
  expect(noId).toMatchObject({ error: { code: 'REPOSITORY_UNTRUSTED' } });
});
