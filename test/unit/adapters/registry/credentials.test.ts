import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AdapterError } from '../../../../src/adapters/errors.ts';
import { createCredentialLookup } from '../../../../src/adapters/registry/credentials.ts';
import { expectCode } from '../../../support/image-source-suite.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const auth = (username: string, password: string) => ({
  auth: Buffer.from(`${username}:${password}`).toString('base64'),
});
const password = (username: string, secret: string) => ({ kind: 'password', username, password: secret });

async function configFile(content: unknown): Promise<string> {
  const path = join(await temporaryFolder(), 'config.json');
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

/** Installs docker-credential-NAME, a shell script, in a folder of its own. */
async function helper(name: string, script: string): Promise<Record<string, string>> {
  const folder = join(await temporaryFolder(), 'bin');
  await mkdir(folder);
  const path = join(folder, `docker-credential-${name}`);
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return { PATH: `${folder}:/usr/bin:/bin` };
}

describe('credentials from config.json', () => {
  it('finds a host, an address, and what belongs to docker.io', async () => {
    const path = await configFile({
      auths: {
        'registry.example:5000': auth('ann', 'a:b'),
        'https://other.example/v2/': auth('bob', 'b'),
        'https://index.docker.io/v1/': auth('hub', 'h'),
      },
    });
    const lookup = createCredentialLookup({ files: [path] });
    expect(await lookup('registry.example:5000', 'cms/web')).toEqual(password('ann', 'a:b'));
    expect(await lookup('other.example', 'cms/web')).toEqual(password('bob', 'b'));
    expect(await lookup('docker.io', 'library/nginx')).toEqual(password('hub', 'h'));
    for (const host of ['registry.example', 'registry.example:5001', 'example', 'evil-registry.example:5000']) {
      expect(await lookup(host, 'cms/web')).toBeUndefined();
    }
  });

  it('prefers the longest path, as auth.json has it', async () => {
    const path = await configFile({
      auths: { 'registry.example': auth('all', '1'), 'registry.example/cms': auth('team', '2') },
    });
    const lookup = createCredentialLookup({ files: [path] });
    expect(await lookup('registry.example', 'cms/web')).toEqual(password('team', '2'));
    expect(await lookup('registry.example', 'cmsx/web')).toEqual(password('all', '1'));
  });

  it('reads identity tokens, registry tokens, plain members, and entries that are empty', async () => {
    const path = await configFile({
      auths: {
        'a.example': { ...auth('00000000', ''), identitytoken: 'refresh' },
        'b.example': { registrytoken: 'ready' },
        'c.example': { username: 'ann', password: 'p' },
        'd.example': {},
        'e.example': { auth: Buffer.from('ann:p\0\0').toString('base64') },
      },
    });
    const lookup = createCredentialLookup({ files: [path] });
    expect(await lookup('a.example', 'x')).toEqual({ kind: 'identity-token', token: 'refresh' });
    expect(await lookup('b.example', 'x')).toEqual({ kind: 'registry-token', token: 'ready' });
    expect(await lookup('c.example', 'x')).toEqual(password('ann', 'p'));
    expect(await lookup('d.example', 'x')).toBeUndefined();
    expect(await lookup('e.example', 'x')).toEqual(password('ann', 'p'));
  });

  it('asks the files in order, and passes over those that do not exist', async () => {
    const [first, second] = [await configFile({}), await configFile({ auths: { 'a.example': auth('ann', 'p') } })];
    const lookup = createCredentialLookup({ files: [join(first, 'missing'), `${first}.missing`, first, second] });
    expect(await lookup('a.example', 'x')).toEqual(password('ann', 'p'));
  });

  it.each([
    ['is not JSON', '{"auths":{"a.example":{"auth":"c2VjcmV0OnNlY3JldA=="}'],
    ['has another shape', { auths: { 'a.example': { auth: 42 } } }],
    ['holds no pair', { auths: { 'a.example': { auth: 'c2VjcmV0' } } }],
  ])('refuses a file that %s, and never quotes it', async (_name, content) => {
    const lookup = createCredentialLookup({ files: [await configFile(content)] });
    const failure = await lookup('a.example', 'x').catch((error: unknown) => error as AdapterError);
    expect(failure).toBeInstanceOf(AdapterError);
    expect(failure).toMatchObject({ code: 'CREDENTIALS_UNUSABLE' });
    const { message, cause, found, hint } = failure as AdapterError;
    expect(JSON.stringify({ message, cause: String(cause), found, hint })).not.toMatch(/c2VjcmV0|secret/);
  });
});

describe('credential helpers', () => {
  const ANSWER = `read -r server; printf '{"ServerURL":"%s","Username":"ann","Secret":"from-%s"}' "$server" "$server"`;
  const lookupWith = async (config: unknown, environment: Record<string, string>, timeoutMs = 10_000) =>
    createCredentialLookup({
      files: [await configFile(config)],
      helperEnvironment: environment,
      helperTimeoutMs: timeoutMs,
    });

  it('asks the helper of a host, else the store, with the name of the server', async () => {
    const environment = await helper('pass', ANSWER);
    const byHost = await lookupWith({ credHelpers: { 'a.example': 'pass' } }, environment);
    expect(await byHost('a.example', 'x')).toEqual(password('ann', 'from-a.example'));
    expect(await byHost('b.example', 'x')).toBeUndefined();
    const store = await lookupWith({ credsStore: 'pass' }, environment);
    expect(await store('docker.io', 'library/nginx')).toEqual(password('ann', 'from-https://index.docker.io/v1/'));
  });

  it('takes an identity token', async () => {
    const environment = await helper('pass', `printf '{"Username":"<token>","Secret":"refresh"}'`);
    const lookup = await lookupWith({ credsStore: 'pass' }, environment);
    expect(await lookup('a.example', 'x')).toEqual({ kind: 'identity-token', token: 'refresh' });
  });

  it('goes on when the helper has nothing', async () => {
    const environment = await helper('pass', 'echo "credentials not found in native keychain"; exit 1');
    const lookup = await lookupWith({ credsStore: 'pass', auths: { 'a.example': auth('bob', 'p') } }, environment);
    expect(await lookup('a.example', 'x')).toEqual(password('bob', 'p'));
    expect(await lookup('b.example', 'x')).toBeUndefined();
  });

  it.each([
    ['fails', 'echo secret-output; exit 3'],
    ['prints no JSON', 'echo secret-output'],
    ['prints another document', 'echo \'{"Secret":"secret-output"}\''],
    ['prints without end', 'while :; do echo secret-output; done'],
    ['hangs', 'echo secret-output; sleep 600'],
  ])('refuses a helper that %s, and never quotes it', async (_name, script) => {
    const lookup = await lookupWith({ credsStore: 'pass' }, await helper('pass', script), 1000);
    const failure = await lookup('a.example', 'x').catch((error: unknown) => error as AdapterError);
    expect(failure).toMatchObject({ code: 'CREDENTIALS_UNUSABLE' });
    expect(String((failure as AdapterError).message)).not.toContain('secret-output');
  });

  it('refuses a helper that is not there, and a name that is a path', async () => {
    for (const name of ['absent', '../evil', 'a b', '']) {
      const config = name === '' ? { credHelpers: { 'a.example': ' ' } } : { credsStore: name };
      const lookup = await lookupWith(config, { PATH: '/usr/bin:/bin' });
      await expectCode(lookup('a.example', 'x'), AdapterError, 'CREDENTIALS_UNUSABLE');
    }
  });

  it('hands the name of the server to no shell', async () => {
    const environment = await helper('pass', 'exit 9');
    const lookup = await lookupWith({ credsStore: 'pass; touch pwned' }, environment);
    await expectCode(lookup('a.example', 'x'), AdapterError, 'CREDENTIALS_UNUSABLE');
  });

  it('stops when it is told to', async () => {
    const lookup = await lookupWith({ credsStore: 'pass' }, await helper('pass', 'sleep 600'));
    const stop = new AbortController();
    const answer = lookup('a.example', 'x', { signal: stop.signal });
    setTimeout(() => stop.abort(new Error('stop')), 20);
    await expect(answer).rejects.toThrow('stop');
  });
});
