/** Where the secrets of a service account go: to the identity provider and to the storage's token service, and nowhere else. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { writeBrowserProgram } from '../support/browser-program.ts';
import { serveOnLoopback } from '../support/loopback-server.ts';
import { type MinioProcess, startMinio } from '../support/minio-process.ts';
import { type OpenIdProvider, startOpenIdProvider } from '../support/openid-provider.ts';
import { watchForSecrets } from '../support/planted-secrets.ts';
import { portolan, portolanText, succeed } from '../support/program.ts';
import { makeBucket } from '../support/s3-bucket.ts';
import { policyOf } from '../support/storage-policies.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { onTerminal } from '../support/terminal.ts';

const DENIED =
  '<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error><RequestId>1</RequestId></ErrorResponse>';

/** A machine with a root, and files of a service account outside of the folder that is searched. */
async function createMachine(provider: OpenIdProvider) {
  const [home, kept] = [await temporaryFolder(), await temporaryFolder()];
  const entry = provider.addServiceAccount({ name: 'agent' });
  await writeFile(join(kept, 'key.json'), entry.keyFile);
  await writeFile(join(kept, 'secret'), `${entry.clientSecret}\n`);
  await mkdir(join(home, 'tmp'));
  const env = { HOME: home, XDG_CONFIG_HOME: join(home, 'config'), TMPDIR: join(home, 'tmp'), COSIGN_PASSWORD: 'none' };
  await succeed('cosign', ['generate-key-pair'], { cwd: kept, env });
  await succeed('age-keygen', ['-o', join(kept, 'safe.txt')]);
  const safe = (await succeed('age-keygen', ['-y', join(kept, 'safe.txt')])).trim();
  const projects = ['--enrolment-project', provider.projects.enrolment, '--storage-project', provider.projects.storage];
  const issuer = ['--issuer', provider.issuer, '--enrolment-client', provider.clients.enrolment, ...projects];
  const root = ['--approver', join(kept, 'cosign.pub'), '--break-glass', safe, '--out', join(home, 'root.json')];
  const made = await portolan(['keys', 'init', ...issuer, ...root], { env });
  expect(made.status, made.stdout).toBe(0);
  return { home, env, entry, key: join(kept, 'key.json'), secret: join(kept, 'secret') };
}

test('key, secret and token of a service account are in no output, no argument and no file', async () => {
  await using provider = await startOpenIdProvider();
  const { home, env, entry, key, secret } = await createMachine(provider);
  const tokens: string[] = [];
  const service = await serveOnLoopback((request, response) => {
    void text(request).then((body) => {
      tokens.push(new URLSearchParams(body).get('WebIdentityToken') ?? '');
      response.writeHead(403, { 'Content-Type': 'text/xml' }).end(DENIED);
    });
  });
  onTestFinished(() => service.close());
  const { key: privateKey } = JSON.parse(entry.keyFile) as { key: string };
  const watch = watchForSecrets({ key: privateKey.split('\n')[3] ?? privateKey, secret: entry.clientSecret });
  const list = [
    'backup',
    'list',
    '--repo',
    `s3://backups/shop?endpoint=http://${service.host}`,
    '--trust',
    join(home, 'root.json'),
  ];
  const ways = [
    ['--service-key', key],
    ['--client-id', entry.clientId, '--client-secret-file', secret],
  ];
  let printed = '';
  for (const way of ways) {
    const ended = await portolanText([...list, ...way], { env });
    expect(ended.status, ended.stderr).toBe(1);
    printed += ended.stdout + ended.stderr;
  }
  expect(tokens.length).toBeGreaterThanOrEqual(2);
  // What is refused or broken is told, and is where secrets get out.
  provider.settings.clockOffsetSeconds = 300;
  for (const way of ways) printed += (await portolan([...list, ...way], { env })).stdout;
  expect(printed).toContain('s behind');
  entry.clientSecret = 'another one now';
  provider.settings.clockOffsetSeconds = 0;
  printed += (await portolan([...list, ...(ways[1] ?? [])], { env })).stdout;
  expect(printed).toContain('Secret.Invalid');

  watch.add('what was printed', printed);
  await watch.addFolder(home);
  for (const token of tokens) {
    expect(token).toMatch(/^eyJ/);
    expect(printed).not.toContain(token.split('.')[2]);
  }
  const later = watchForSecrets({ token: tokens[0]?.split('.')[2] ?? '' });
  await later.addFolder(home);
  expect([...(await watch.end()), ...(await later.end())]).toEqual([]);
});

const PASSPHRASE = 'a passphrase that nobody sees';
const PASSWORD = 'the password of every signing key here';
/** As it is written in a shell. */
const PORTOLAN = new URL('../../scripts/portolan', import.meta.url).pathname;

/** MinIO's own token service, whose answers are written down. */
async function listenToKeys(minio: () => MinioProcess, plant: (name: string, secret: string) => void) {
  let count = 0;
  const server = await serveOnLoopback((request, response) => {
    void text(request).then(async (body) => {
      plant(`access token ${count}`, (new URLSearchParams(body).get('WebIdentityToken') ?? '').split('.')[2] ?? '');
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      const answer = await fetch(minio().endpoint, { method: 'POST', headers, body });
      const xml = await answer.text();
      for (const member of ['SecretAccessKey', 'SessionToken']) {
        const secret = new RegExp(`<${member}>([^<]+)<`).exec(xml)?.[1];
        if (secret !== undefined) plant(`${member} ${count}`, secret);
      }
      count += 1;
      response.writeHead(answer.status).end(xml);
    });
  });
  return { sts: `http://${server.host}`, given: () => count, close: () => server.close() };
}

test('from the root to the restore, and where it fails: no secret in an output, a log, an argument, an environment or a file', async () => {
  await using provider = await startOpenIdProvider();
  const [home, kept] = [await temporaryFolder(), await temporaryFolder()];
  const at = (...names: string[]) => join(kept, ...names);
  const anna = provider.addPerson({ name: 'anna' });
  const account = provider.addServiceAccount({ name: 'agent' });
  const openId = { issuer: provider.issuer, audience: provider.projects.storage, policies: ['writer'] };
  const minio = await startMinio(join(kept, 'minio'), { openId });
  onTestFinished(() => minio.close());
  await makeBucket(minio.client(), 'backups', { lock: { days: 1 } });
  const names = { bucket: 'backups', prefix: 'shop', writer: 'db-1' };
  await minio.createPolicy('writer', policyOf('Writer', names, account.id));
  const { key: privateKey } = JSON.parse(account.keyFile) as { key: string };
  // It takes its password by a variable, and is gone before anybody looks.
  await succeed('cosign', ['generate-key-pair'], { cwd: kept, env: { HOME: kept, COSIGN_PASSWORD: PASSWORD } });
  const secrets = { 'service key': privateKey.split('\n')[3] ?? '', 'client secret': account.clientSecret };
  const watch = watchForSecrets({ ...secrets, passphrase: PASSPHRASE, password: PASSWORD }, { environments: true });
  const tokens = await listenToKeys(() => minio, watch.plant);
  onTestFinished(() => tokens.close());

  await writeFile(at('key.json'), account.keyFile, { mode: 0o600 });
  await writeFile(at('secret'), `${account.clientSecret}\n`, { mode: 0o600 });
  for (const name of ['tmp', 'files']) await mkdir(join(home, name));
  await writeFile(join(home, 'files', 'notes'), 'what was on the ship');
  const env = {
    ...{ HOME: home, XDG_CONFIG_HOME: join(kept, 'config'), XDG_CACHE_HOME: join(home, 'cache') },
    ...{ TMPDIR: join(home, 'tmp'), PORTOLAN_STATE: join(home, 'state'), PORTOLAN_JSON: undefined },
    BROWSER: await writeBrowserProgram(join(home, 'browser'), anna),
  };
  const owner = { AWS_ACCESS_KEY_ID: minio.root.accessKeyId, AWS_SECRET_ACCESS_KEY: minio.root.secretAccessKey };
  await writeFile(at('password'), PASSWORD);

  let said = 0;
  const command = async (status: number | null, args: readonly string[], more: Record<string, string> = {}) => {
    const ended = await portolan(args, { env: { ...env, ...more }, cwd: home });
    said += 1;
    watch.add(`what ${args.slice(0, 2).join(' ')} (${said}) printed`, ended.stdout + ended.stderr);
    expect(ended.status, `${args.join(' ')}: ${ended.stdout}${ended.stderr}`).toBe(status);
    return ended;
  };
  const typed = async (status: number, script: string) => {
    const ended = await onTerminal(script, { cwd: home, env, passphrase: PASSPHRASE });
    watch.add('the terminal', ended.screen);
    expect(ended.status, ended.screen).toBe(status);
  };
  const identityOf = async (file: string) => {
    const identity = /AGE-SECRET-KEY-\S+/.exec(await readFile(file, 'utf8'))?.[0] ?? '';
    expect(identity).not.toBe('');
    watch.plant(`the identity ${file}`, identity);
  };

  // The root, and who reads.
  await command(0, ['keys', 'generate', at('safe.txt')]);
  await identityOf(at('safe.txt'));
  await typed(0, `'${PORTOLAN}' keys generate '${at('anna.txt')}' --passphrase`);
  const safe = (await succeed('age-keygen', ['-y', at('safe.txt')])).trim();
  const projects = ['--enrolment-project', provider.projects.enrolment, '--storage-project', provider.projects.storage];
  const clients = ['--enrolment-client', provider.clients.enrolment, '--login-client', provider.clients.login];
  const issuer = ['--issuer', provider.issuer, ...projects, ...clients];
  const pinned = ['--approver', at('cosign.pub'), '--break-glass', safe, '--out', join(home, 'root.json')];
  await command(0, ['keys', 'init', ...issuer, ...pinned]);
  const repo = ['--repo', `s3://backups/shop?endpoint=${minio.endpoint}`];
  const signed = ['--sign-key', at('cosign.key'), '--password-file', at('password')];
  const init = ['backup', 'init', '--root', join(home, 'root.json'), '--writer', 'db-1', ...repo, ...signed];
  const made: Readonly<Record<string, unknown>> = (await command(0, init, owner)).result ?? {};
  const trust = ['--trust', String(made.trust)];
  const writer = JSON.parse(await readFile(String(made.writerKey), 'utf8')) as Record<
    'indexIdentity' | 'idKey',
    string
  >;
  watch.plant('the index identity', writer.indexIdentity);
  watch.plant('the id key', writer.idKey);
  const files = `-i '${at('anna.txt')}' --enrolment-out '${at('anna.enrolment')}' --trust '${made.trust}'`;
  await typed(0, `'${PORTOLAN}' keys enroll ${files}`);
  const { idToken } = JSON.parse(await readFile(at('anna.enrolment'), 'utf8')) as { idToken: string };
  watch.plant('the ID token of the enrolment', idToken.split('.')[2] ?? '');
  const approve = ['keys', 'approve', ...repo, ...signed, '--enrolment', at('anna.enrolment'), '--name', 'anna'];
  await command(0, [...approve, '--challenge-out', at('challenge')], owner);
  const answer = `--challenge '${at('challenge')}' --enrolment '${at('anna.enrolment')}' --answer-out '${at('answer')}'`;
  await typed(0, `'${PORTOLAN}' keys enroll -i '${at('anna.txt')}' ${answer}`);
  await command(0, [...approve, '--answer', at('answer')], owner);

  // The agent, by its key and by its secret.
  const backup = ['backup', 'run', '--files', join(home, 'files'), ...repo, ...signed];
  const role = ['--role-arn', minio.roleArn, '--sts', tokens.sts];
  const ways = [
    ['--service-key', at('key.json'), ...role],
    ['--client-id', account.clientId, '--client-secret-file', at('secret'), ...role],
  ];
  for (const way of ways) await command(0, [...backup, ...way]);
  await command(0, ['storage', 'check', ...repo, '--role', 'writer', '--writer', 'db-1', ...(ways[0] ?? [])]);

  // Who restores, with a login that is kept in the configuration.
  await command(
    1,
    ['restore', 'latest', ...repo, ...trust, '-i', at('safe.txt'), '--to', `folder:${join(home, 'a')}`],
    owner,
  );
  await command(0, ['login', ...trust]);
  const sessions = join(kept, 'config', 'portolan', 'sessions');
  const session = await readFile(join(sessions, (await readdir(sessions))[0] ?? ''), 'utf8');
  watch.plant('the ID token of the login', (JSON.parse(session) as { idToken: string }).idToken.split('.')[2] ?? '');
  await command(0, ['whoami', ...trust]);
  const reading = [...repo, ...trust, ...(ways[0] ?? [])];
  await command(0, ['restore', 'latest', ...reading, '-i', at('safe.txt'), '--to', `folder:${join(home, 'b')}`]);
  const words = reading.map((word) => `'${word}'`).join(' ');
  await typed(0, `'${PORTOLAN}' restore latest ${words} -i '${at('anna.txt')}' --to 'folder:${join(home, 'c')}'`);

  // What fails is told, and is where secrets get out.
  await succeed('age-keygen', ['-pq', '-o', at('stranger.txt')]);
  await identityOf(at('stranger.txt'));
  await command(1, ['restore', 'latest', ...reading, '-i', at('stranger.txt'), '--to', `folder:${join(home, 'd')}`]);
  await command(1, [...backup, ...(ways[0] ?? []), '--role-arn', 'arn:minio:iam:::role/none']);
  provider.settings.clockOffsetSeconds = -86_400;
  for (const way of ways) await command(1, [...backup, ...way]);
  provider.settings.clockOffsetSeconds = 0;
  await minio.createPolicy('writer', policyOf('Reader', names, 'somebody else'));
  await command(1, [...backup, ...(ways[0] ?? [])]);
  account.clientSecret = 'another one now';
  await command(1, [...backup, ...(ways[1] ?? [])]);
  account.active = false;
  await command(1, [...backup, ...(ways[0] ?? [])]);
  await provider.down();
  await command(1, [...backup, ...(ways[0] ?? [])]);
  await command(
    0,
    ['restore', 'latest', ...repo, ...trust, '-i', at('safe.txt'), '--to', `folder:${join(home, 'e')}`],
    owner,
  );
  await command(0, ['logout', ...trust]);

  expect(tokens.given()).toBeGreaterThan(4);
  await watch.addFolder(home);
  watch.add('the log of the storage', await readFile(minio.logFile, 'utf8'));
  expect(await watch.end()).toEqual([]);
}, 900_000);
