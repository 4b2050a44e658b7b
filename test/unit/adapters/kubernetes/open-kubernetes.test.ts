import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inClusterAccess } from '../../../../src/adapters/kubernetes/in-cluster.ts';
import { openClusterFromOptions } from '../../../../src/compose/kubernetes.ts';
import { raised } from '../../../support/raised.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

async function write(path: string, context: string, server = `https://${context}.example`): Promise<string> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(
    path,
    `current-context: ${context}
clusters: [{ name: ${context}, cluster: { server: '${server}' } }]
users: [{ name: u, user: { token: t } }]
contexts: [{ name: ${context}, context: { cluster: ${context}, user: u } }]
`,
  );
  return path;
}

async function find(options: { kubeconfig?: string; context?: string; env?: Record<string, string>; cwd?: string }) {
  const { kubeconfig, context, env = {}, cwd = '/' } = options;
  const opened = await openClusterFromOptions({ kubeconfig, context, env, cwd, now: () => 0 });
  await opened.kubernetes.close();
  return { server: opened.kubernetes.server, context: opened.kubernetes.context, paths: opened.kubeconfigPaths };
}

describe('openClusterFromOptions', () => {
  test('takes --kubeconfig before KUBECONFIG before the one of the user', async () => {
    const folder = await temporaryFolder();
    const home = join(folder, 'home');
    const own = await write(join(home, '.kube', 'config'), 'own');
    const listed = await write(join(folder, 'listed'), 'listed');
    const given = await write(join(folder, 'given'), 'given');
    const env = { HOME: home, KUBECONFIG: listed };
    expect(await find({ kubeconfig: given, env })).toMatchObject({ context: 'given', paths: [given] });
    expect(await find({ kubeconfig: 'given', env, cwd: folder })).toMatchObject({ context: 'given', paths: [given] });
    expect(await find({ env })).toMatchObject({ context: 'listed', paths: [listed] });
    expect(await find({ env: { HOME: home } })).toMatchObject({ context: 'own', paths: [own] });
  });

  test('merges a list, passes over what is missing in it, and takes a context of any of them', async () => {
    const folder = await temporaryFolder();
    const first = await write(join(folder, 'first'), 'first');
    const second = await write(join(folder, 'second'), 'second');
    const KUBECONFIG = `${join(folder, 'missing')}::${first}:${second}`;
    expect(await find({ env: { KUBECONFIG } })).toMatchObject({ context: 'first', server: 'https://first.example' });
    expect(await find({ env: { KUBECONFIG }, context: 'second' })).toMatchObject({ server: 'https://second.example' });
    expect(await raised(() => find({ env: { KUBECONFIG }, context: 'third' }))).toMatchObject({
      code: 'KUBECONFIG_INVALID',
    });
  });

  test('says which file is missing', async () => {
    const path = join(await temporaryFolder(), 'missing');
    const missing = { name: 'AdapterError', code: 'KUBECONFIG_MISSING', at: { file: path } };
    expect(await raised(() => find({ kubeconfig: path }))).toMatchObject(missing);
    expect(await raised(() => find({ env: { KUBECONFIG: path } }))).toMatchObject(missing);
  });
});

describe('inClusterAccess', () => {
  const environment = { KUBERNETES_SERVICE_HOST: '10.43.0.1', KUBERNETES_SERVICE_PORT: '443' };

  test('is the service account of the Pod', async () => {
    const folder = await temporaryFolder();
    expect(inClusterAccess(environment, folder)).toBeUndefined();
    await writeFile(join(folder, 'token'), 't');
    expect(inClusterAccess({}, folder)).toBeUndefined();
    expect(inClusterAccess(environment, folder)).toMatchObject({
      context: 'in-cluster',
      server: 'https://10.43.0.1:443',
      authority: { file: join(folder, 'ca.crt') },
      user: { tokenFile: join(folder, 'token') },
    });
    const six = { ...environment, KUBERNETES_SERVICE_HOST: 'fd00::1' };
    expect(inClusterAccess(six, folder)).toMatchObject({ server: 'https://[fd00::1]:443' });
  });
});
