/** Where the secrets of a service account go: to the identity provider and to the storage's token service, and nowhere else. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { serveOnLoopback } from '../support/loopback-server.ts';
import { type OpenIdProvider, startOpenIdProvider } from '../support/openid-provider.ts';
import { watchForSecrets } from '../support/planted-secrets.ts';
import { portolan, portolanText, succeed } from '../support/program.ts';
import { temporaryFolder } from '../support/temporary.ts';

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
