import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { accessOf, decodeKubeconfig, mergeKubeconfigs } from '../../../../src/formats/kubernetes/kubeconfig.ts';
import { raised } from '../../../support/raised.ts';

const FILE = '/home/ann/.kube/config';
const PEM = Buffer.from('pem').toString('base64');

function config(parts: { cluster?: string; user?: string; context?: string; current?: string } = {}): string {
  const { cluster = 'server: https://10.0.0.1:6443/', user = 'token: t', context = '', current = 'here' } = parts;
  return `apiVersion: v1
kind: Config
current-context: ${current}
clusters: [{ name: c, cluster: { ${cluster} } }]
users: [{ name: u, user: { ${user} } }]
contexts: [{ name: here, context: { cluster: c, user: u, ${context} } }]
`;
}

const access = (parts: Parameters<typeof config>[0], name?: string) =>
  accessOf(decodeKubeconfig(config(parts), FILE), name);

describe('accessOf', () => {
  it('gives the current context', () => {
    expect(access({})).toEqual({
      context: 'here',
      server: 'https://10.0.0.1:6443',
      skipVerify: false,
      user: { token: 't' },
    });
  });

  it('reads everything about a cluster', () => {
    const cluster =
      `server: https://h, certificate-authority-data: ${PEM}, certificate-authority: ca.crt, tls-server-name: name, ` +
      'proxy-url: http://proxy:3128, insecure-skip-tls-verify: true';
    expect(access({ cluster })).toMatchObject({
      server: 'https://h',
      authority: { bytes: Buffer.from('pem') },
      serverName: 'name',
      proxyUrl: 'http://proxy:3128',
      skipVerify: true,
    });
  });

  it.each([
    ['certificate-authority: ca.crt', '/home/ann/.kube/ca.crt'],
    ['certificate-authority: /etc/ca.crt', '/etc/ca.crt'],
    ['certificate-authority: ../ca.crt', '/home/ann/ca.crt'],
  ])('a path is relative to the file: %s', (authority, expected) => {
    expect(access({ cluster: `server: https://h, ${authority}` }).authority).toEqual({ file: expected });
  });

  it('reads everything about a user', () => {
    const user =
      'client-certificate: a.crt, client-key: a.key, tokenFile: token, username: ann, password: p, as: bob, as-groups: [g]';
    expect(access({ user }).user).toEqual({
      clientCertificate: { file: '/home/ann/.kube/a.crt' },
      clientKey: { file: '/home/ann/.kube/a.key' },
      tokenFile: '/home/ann/.kube/token',
      basic: { username: 'ann', password: 'p' },
      impersonate: { user: 'bob', groups: ['g'] },
    });
  });

  it.each([
    ['aws', 'aws'],
    ['./bin/plugin', '/home/ann/.kube/bin/plugin'],
    ['/opt/plugin', '/opt/plugin'],
  ])('reads a credential plugin: %s', (command, expected) => {
    const exec = `apiVersion: client.authentication.k8s.io/v1beta1, command: ${command}, args: [a, b], env: [{ name: A, value: "1" }]`;
    expect(access({ user: `exec: { ${exec}, provideClusterInfo: true, installHint: get it }` }).user.exec).toEqual({
      apiVersion: 'client.authentication.k8s.io/v1beta1',
      command: expected,
      arguments: ['a', 'b'],
      environment: { A: '1' },
      provideClusterInfo: true,
      installHint: 'get it',
    });
  });

  it('takes a context without a user, and another one than the current', () => {
    const text = config().replace('contexts: [', 'contexts: [{ name: other, context: { cluster: c } }, ');
    expect(accessOf(decodeKubeconfig(text, FILE), 'other')).toMatchObject({ context: 'other', user: {} });
  });

  const invalid: readonly [string, string, Parameters<typeof config>[0], string?][] = [
    ['a context that is not there', 'contexts', {}, 'nowhere'],
    ['a current context that is not there', 'current-context', { current: 'nowhere' }],
    ['no current context', 'current-context', { current: '""' }],
    ['a server that is no address', 'clusters[0].cluster.server', { cluster: 'server: nowhere' }],
    ['a missing server', 'clusters[0].cluster.server', { cluster: 'proxy-url: ""' }],
    ['a SOCKS proxy', 'clusters[0].cluster.proxy-url', { cluster: 'server: https://h, proxy-url: socks5://p' }],
    [
      'data that is not base64',
      'clusters[0].cluster.certificate-authority-data',
      { cluster: 'server: https://h, certificate-authority-data: "***"' },
    ],
    ['a certificate without its key', 'users[0].user.client-key', { user: 'client-certificate: a.crt' }],
    ['a key without its certificate', 'users[0].user.client-certificate', { user: 'client-key: a.key' }],
    ['credentials of a former kind', 'users[0].user.auth-provider', { user: 'auth-provider: { name: gcp }' }],
    [
      'a plugin of another version',
      'users[0].user.exec.apiVersion',
      { user: 'exec: { apiVersion: client.authentication.k8s.io/v1alpha1, command: a }' },
    ],
    [
      'a plugin that must talk with a person',
      'users[0].user.exec.interactiveMode',
      { user: 'exec: { apiVersion: client.authentication.k8s.io/v1, command: a, interactiveMode: Always }' },
    ],
    ['a token that is a number', 'users[0].user.token', { user: 'token: 12345' }],
  ];
  it.each(invalid)('refuses %s', async (...[, key, parts, name]) => {
    const error = await raised(() => access(parts, name));
    expect(error).toMatchObject({ name: 'FormatError', code: 'KUBECONFIG_INVALID', at: { file: FILE, key } });
  });

  it('never repeats a secret', async () => {
    const secret = 'a-secret-that-is-long';
    const all = [`token: [${secret}]`, `client-key-data: ${secret}!`, `password: { a: ${secret} }`];
    for (const user of all) {
      const error = await raised(() => access({ user: `client-certificate: a.crt, ${user}` }));
      expect(JSON.stringify([error, error.message])).not.toContain(secret);
    }
  });
});

describe('decodeKubeconfig', () => {
  it.each(['', '---\n', 'clusters: null\nusers: null\ncontexts: null\n'])('takes an empty file: %j', (text) => {
    expect(decodeKubeconfig(text, FILE).contexts.size).toBe(0);
  });

  it.each([
    'clusters: {',
    '- a',
    'text',
    'kind: Pod',
    'clusters: [{ name: a }]',
    config().replace('users: [', 'users: [{ name: u, user: {} }, '),
    `${config()}---\n${config()}`,
  ])('refuses %j', async (text) => {
    expect(await raised(() => decodeKubeconfig(text, FILE))).toMatchObject({ code: 'KUBECONFIG_INVALID' });
  });

  test('whatever the text is, it is read or refused with a code', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        try {
          decodeKubeconfig(text, FILE);
        } catch (error) {
          expect(error).toMatchObject({ code: 'KUBECONFIG_INVALID' });
        }
      }),
    );
  });
});

describe('mergeKubeconfigs', () => {
  it('the first file that names something wins, and paths stay those of their own file', () => {
    const first = decodeKubeconfig('users: [{ name: u, user: { tokenFile: token } }]', '/first/config');
    const second = decodeKubeconfig(config({ user: 'tokenFile: token' }), '/second/config');
    const third = decodeKubeconfig(config({ cluster: 'server: https://other', current: 'other' }), '/third/config');
    const merged = mergeKubeconfigs([first, second, third]);
    expect(accessOf(merged, undefined)).toMatchObject({
      context: 'here',
      server: 'https://10.0.0.1:6443',
      user: { tokenFile: '/first/token' },
    });
  });
});
