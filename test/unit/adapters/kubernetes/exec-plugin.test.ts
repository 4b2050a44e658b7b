import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createApiClient } from '../../../../src/adapters/kubernetes/client.ts';
import { createCredentialSource } from '../../../../src/adapters/kubernetes/credentials.ts';
import { askExecPlugin } from '../../../../src/adapters/kubernetes/exec-plugin.ts';
import type { ExecPlugin } from '../../../../src/formats/kubernetes/kubeconfig.ts';
import { raised } from '../../../support/raised.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const V1 = 'client.authentication.k8s.io/v1';
const CLUSTER = { server: 'https://h:6443', skipVerify: false, authorityPem: Buffer.from('ca') };
const SETTINGS = { environment: { PATH: process.env.PATH ?? '' }, timeoutMs: 20_000 };
const SECRET = 'k8s-aws-v1.aHR0cHM6Ly9zdHMuYW1hem9uYXdzLmNvbS8';

async function plugin(script: string, more: Partial<ExecPlugin> = {}): Promise<ExecPlugin> {
  const command = join(await temporaryFolder(), 'plugin');
  await writeFile(command, `#!/bin/sh\n${script}\n`);
  await chmod(command, 0o755);
  return { apiVersion: V1, command, arguments: [], environment: {}, provideClusterInfo: false, ...more };
}

function answer(status: object, apiVersion: string = V1): string {
  return `echo '${JSON.stringify({ kind: 'ExecCredential', apiVersion, status })}'`;
}

describe('askExecPlugin', () => {
  it('gives a token with its end', async () => {
    const made = await plugin(answer({ token: SECRET, expirationTimestamp: '2030-01-02T03:04:05Z' }));
    expect(await askExecPlugin(made, CLUSTER, SETTINGS)).toEqual({
      token: SECRET,
      expiresMs: Date.parse('2030-01-02T03:04:05Z'),
    });
  });

  it('gives a certificate', async () => {
    const made = await plugin(answer({ clientCertificateData: 'CERT', clientKeyData: 'KEY' }));
    expect(await askExecPlugin(made, CLUSTER, SETTINGS)).toEqual({
      certificate: { certificatePem: 'CERT', keyPem: 'KEY' },
    });
  });

  it('speaks the older version, and hands over arguments, environment and cluster', async () => {
    const apiVersion = 'client.authentication.k8s.io/v1beta1' as const;
    const seen = join(await temporaryFolder(), 'seen');
    const script = `printf '%s\\n' "$1" "$2" "$A" "$B" "$KUBERNETES_EXEC_INFO" > ${seen}; ${answer({ token: 't' }, apiVersion)}`;
    const more = { apiVersion, arguments: ['a b', '$(c)'], environment: { B: '2' }, provideClusterInfo: true };
    await askExecPlugin(await plugin(script, more), CLUSTER, {
      ...SETTINGS,
      environment: { ...SETTINGS.environment, A: '1' },
    });
    const [first, second, a, b, info = ''] = (await readFile(seen, 'utf8')).split('\n');
    expect([first, second, a, b]).toEqual(['a b', '$(c)', '1', '2']);
    expect(JSON.parse(info)).toEqual({
      apiVersion,
      kind: 'ExecCredential',
      spec: {
        interactive: false,
        cluster: { server: 'https://h:6443', 'certificate-authority-data': Buffer.from('ca').toString('base64') },
      },
    });
  });

  it.each([
    ['it fails', `echo "Unable to find ${SECRET}" >&2; exit 3`],
    ['it says nothing', 'true'],
    ['its answer is no JSON', `echo ${SECRET}`],
    ['its answer is of another version', answer({ token: SECRET }, 'client.authentication.k8s.io/v1beta1')],
    ['its answer holds no credentials', answer({})],
    ['its answer holds half a certificate', answer({ clientCertificateData: SECRET })],
    ['its end is no time', answer({ token: SECRET, expirationTimestamp: 'soon' })],
    ['it prints without end', `yes ${SECRET}`],
  ])('is no help when %s', async (_, script) => {
    const error = await raised(async () => askExecPlugin(await plugin(script), CLUSTER, SETTINGS));
    expect(error).toMatchObject({ name: 'AdapterError', code: 'KUBERNETES_UNAUTHORIZED' });
    expect(JSON.stringify([error, error.message])).not.toContain(SECRET);
  });

  it('tells what the plugin complained of, and how to get it when it is not there', async () => {
    const complaint = await raised(async () =>
      askExecPlugin(await plugin('echo "no profile" >&2; exit 1'), CLUSTER, SETTINGS),
    );
    expect(complaint.message).toContain('no profile');
    const missing = await plugin('true', { installHint: 'Install the cloud tools.' });
    const error = await raised(() => askExecPlugin({ ...missing, command: '/no/such/plugin' }, CLUSTER, SETTINGS));
    expect(error).toMatchObject({ code: 'KUBERNETES_UNAUTHORIZED', hint: 'Install the cloud tools.' });
  });

  it('is ended with all that it started when it takes too long, or when the call is aborted', async () => {
    const hanging = await plugin('sleep 600 & wait');
    const late = await raised(() => askExecPlugin(hanging, CLUSTER, { ...SETTINGS, timeoutMs: 50 }));
    expect(late).toMatchObject({ code: 'KUBERNETES_UNAUTHORIZED' });
    const reason = new Error('stopped by a person');
    const stop = new AbortController();
    setTimeout(() => stop.abort(reason), 20);
    await expect(askExecPlugin(hanging, CLUSTER, SETTINGS, { signal: stop.signal })).rejects.toBe(reason);
  });
});

describe('createCredentialSource', () => {
  async function counted(status: object) {
    const count = join(await temporaryFolder(), 'count');
    const exec = await plugin(`echo x >> ${count}; ${answer(status)}`);
    let nowMs = Date.parse('2030-01-01T00:00:00Z');
    const source = createCredentialSource(
      { context: 'c', server: 'https://h', skipVerify: false, user: { exec } },
      { environment: SETTINGS.environment, now: () => nowMs },
    );
    const runs = async () => (await readFile(count, 'utf8')).trim().split('\n').length;
    return { source, runs, setNow: (iso: string) => (nowMs = Date.parse(iso)) };
  }

  it('keeps credentials until shortly before their end', async () => {
    const { source, runs, setNow } = await counted({ token: 't', expirationTimestamp: '2030-01-01T01:00:00Z' });
    expect(await source.current()).toEqual({ headers: { authorization: 'Bearer t' } });
    await source.current();
    expect(await runs()).toBe(1);
    setNow('2030-01-01T00:59:45Z');
    await source.current();
    expect(await runs()).toBe(2);
  });

  it('keeps credentials without an end until they are refused', async () => {
    const { source, runs, setNow } = await counted({ token: 't' });
    await source.current();
    setNow('2040-01-01T00:00:00Z');
    await source.current();
    expect(await runs()).toBe(1);
    expect(source.renew()).toBe(true);
    await source.current();
    expect(await runs()).toBe(2);
  });

  it('is asked once by calls at the same time, and again by those whose run was given up by another', async () => {
    const { source, runs } = await counted({ token: 't' });
    const all = await Promise.all([source.current(), source.current(), source.current()]);
    expect(all).toEqual(Array.from({ length: 3 }, () => ({ headers: { authorization: 'Bearer t' } })));
    expect(await runs()).toBe(1);
    source.renew();
    const stop = new AbortController();
    const given = source.current(stop.signal);
    const other = source.current();
    stop.abort(new Error('stopped by a person'));
    await expect(given).rejects.toThrow('stopped by a person');
    expect(await other).toEqual({ headers: { authorization: 'Bearer t' } });
  });

  it('that gives nothing has one word for all calls at the same time, and is asked again by the next', async () => {
    const count = join(await temporaryFolder(), 'count');
    const exec = await plugin(`echo x >> ${count}; exit 1`);
    const access = { context: 'c', server: 'https://h', skipVerify: false, user: { exec } };
    const source = createCredentialSource(access, { environment: SETTINGS.environment, now: () => 0 });
    const all = await Promise.allSettled([source.current(), source.current(), source.current()]);
    const refused = { status: 'rejected', reason: { code: 'KUBERNETES_UNAUTHORIZED' } };
    expect(all).toMatchObject([refused, refused, refused]);
    expect(await readFile(count, 'utf8')).toBe('x\n');
    await raised(() => source.current());
    expect(await readFile(count, 'utf8')).toBe('x\nx\n');
  });

  it('has its own time limit, whatever that of a call is', async () => {
    const exec = await plugin('sleep 600 & wait');
    const client = createApiClient(
      { context: 'c', server: 'https://127.0.0.1:1', skipVerify: false, user: { exec } },
      { environment: SETTINGS.environment, now: () => 0, callTimeoutMs: 10, execTimeoutMs: 200 },
    );
    const failure = await raised(() => client.send({ method: 'GET', path: '/version', what: 'read the version' }));
    expect(failure).toMatchObject({ code: 'KUBERNETES_UNAUTHORIZED' });
    await client.close();
  });

  it('has nothing to renew where the kubeconfig holds a token', () => {
    const user = { token: 't' };
    const source = createCredentialSource(
      { context: 'c', server: 'https://h', skipVerify: false, user },
      { environment: {}, now: () => 0 },
    );
    expect(source.renew()).toBe(false);
  });
});
