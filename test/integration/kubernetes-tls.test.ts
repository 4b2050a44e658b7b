import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type KubernetesSettings, openKubernetes } from '../../src/adapters/kubernetes/open-kubernetes.ts';
import { answerStatus, type FaultApiServer, startFaultApiServer } from '../support/fault-api-server.ts';
import { succeed } from '../support/program.ts';
import { raised } from '../support/raised.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** Certificates of one authority: `good`, `early`, `late`, `other-name`, and a client's. */
let certificates: string;

const QUICK = { attempts: 2, baseDelayMs: 1, maxDelayMs: 2 };

beforeAll(async () => {
  certificates = await mkdtemp(join(tmpdir(), 'portolan-test-'));
  const openssl = (...args: string[]) => succeed('openssl', args, { cwd: certificates });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  for (const authority of ['ca', 'other-ca']) {
    await openssl(
      ...['req', '-x509', ...newKey, '-keyout', `${authority}.key`, '-out', `${authority}.crt`],
      ...['-days', '36500', '-subj', `/CN=${authority}`],
    );
  }
  await writeFile(
    join(certificates, 'ca.cnf'),
    `[ca]
default_ca = own
[own]
database = index.txt
new_certs_dir = .
certificate = ca.crt
private_key = ca.key
serial = serial
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
`,
  );
  await writeFile(join(certificates, 'index.txt'), '');
  await writeFile(join(certificates, 'serial'), '1000');
  const all = [
    ['good', 'IP:127.0.0.1', '20200101000000Z', '20990101000000Z'],
    ['early', 'IP:127.0.0.1', '20900101000000Z', '20990101000000Z'],
    ['late', 'IP:127.0.0.1', '20200101000000Z', '20210101000000Z'],
    ['other-name', 'DNS:cluster.example', '20200101000000Z', '20990101000000Z'],
    ['client', 'DNS:client', '20200101000000Z', '20990101000000Z'],
    ['client-late', 'DNS:client', '20200101000000Z', '20210101000000Z'],
  ] as const;
  for (const [name, subject, start, end] of all) {
    await openssl(
      ...['req', ...newKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`],
      ...['-addext', `subjectAltName=${subject}`],
    );
    await openssl(
      ...['ca', '-batch', '-notext', '-config', 'ca.cnf', '-in', `${name}.csr`, '-out', `${name}.crt`],
      ...['-startdate', start, '-enddate', end],
    );
  }
});

afterAll(() => rm(certificates, { recursive: true, force: true }));

const pem = (name: string) => readFile(join(certificates, name), 'utf8');

async function serve(name: string, options: { readonly wantsClient?: boolean } = {}): Promise<FaultApiServer> {
  const server = await startFaultApiServer(
    // As API servers do it: everybody is let in, and told then.
    {
      before: ({ socket }, response) =>
        options.wantsClient === true && (socket as TLSSocket).authorized !== true && answerStatus(response, 401),
    },
    {
      key: await pem(`${name}.key`),
      cert: await pem(`${name}.crt`),
      ...(options.wantsClient === true
        ? { requestCert: true, rejectUnauthorized: false, ca: await pem('ca.crt') }
        : {}),
    },
  );
  onTestFinished(() => server.close());
  return server;
}

interface Access {
  readonly cluster?: string;
  readonly user?: string;
  readonly settings?: Partial<KubernetesSettings>;
}

async function open(url: string, { cluster, user, settings }: Access = {}) {
  const path = join(await temporaryFolder(), 'config');
  await writeFile(
    path,
    `current-context: here
clusters: [{ name: c, cluster: { server: '${url}', ${cluster ?? `certificate-authority: ${certificates}/ca.crt`} } }]
users: [{ name: u, user: { ${user ?? ''} } }]
contexts: [{ name: here, context: { cluster: c, user: u } }]
`,
  );
  const kubernetes = await openKubernetes(
    { kind: 'kubeconfig', paths: [path] },
    { environment: {}, now: () => Date.now(), firstRetry: QUICK, retry: QUICK, ...settings },
  );
  onTestFinished(() => kubernetes.close());
  return kubernetes;
}

const VERSION = { gitVersion: 'v1.34.4' };

describe("the server's certificate", () => {
  test('is trusted by its authority, from a file or from data', async () => {
    const { url } = await serve('good');
    expect(await (await open(url)).version()).toEqual(VERSION);
    const data = Buffer.from(await pem('ca.crt')).toString('base64');
    expect(await (await open(url, { cluster: `certificate-authority-data: ${data}` })).version()).toEqual(VERSION);
  });

  test('of another name is trusted by tls-server-name', async () => {
    const { url } = await serve('other-name');
    const error = await raised(async () => (await open(url)).version());
    expect(error).toMatchObject({ code: 'KUBERNETES_UNTRUSTED', found: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    const cluster = `certificate-authority: ${certificates}/ca.crt, tls-server-name: cluster.example`;
    expect(await (await open(url, { cluster })).version()).toEqual(VERSION);
  });

  test('of another authority is not trusted, nor by the system, unless it is said', async () => {
    const { url, requests } = await serve('good');
    for (const cluster of [`certificate-authority: ${certificates}/other-ca.crt`, 'proxy-url: ""']) {
      const error = await raised(async () => (await open(url, { cluster, user: 'token: t' })).version());
      expect(error).toMatchObject({ name: 'AdapterError', code: 'KUBERNETES_UNTRUSTED' });
    }
    expect(requests).toEqual([]);
    expect(await (await open(url, { cluster: 'insecure-skip-tls-verify: true' })).version()).toEqual(VERSION);
  });

  test.each([
    ['early', 'CERT_NOT_YET_VALID', '2090-01-01'],
    ['late', 'CERT_HAS_EXPIRED', '2021-01-01'],
  ])('%s: the error has its dates and the clock, and no credentials were shown', async (name, found, day) => {
    const { url, requests } = await serve(name);
    const kubernetes = await open(url, { user: 'token: a-token' });
    const error = await raised(() => kubernetes.version());
    expect(error).toMatchObject({ code: 'KUBERNETES_UNTRUSTED', found });
    expect(error.message).toContain(day);
    expect(requests.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });

  test("and this machine's clock: the server's own clock tells which one is wrong", async () => {
    const { url } = await serve('late');
    const now = () => Date.parse('2044-05-06T00:00:00Z');
    const error = await raised(async () => (await open(url, { settings: { now } })).version());
    expect(error).toMatchObject({ code: 'KUBERNETES_UNTRUSTED' });
    expect(error.message).toContain('2044-05-06');
    expect(error.message).toContain(new Date().toISOString().slice(0, 10));
  });

  test('a port that speaks no TLS', async () => {
    const plain = await startFaultApiServer();
    onTestFinished(() => plain.close());
    const error = await raised(async () => (await open(plain.url.replace('http:', 'https:'))).version());
    expect(error).toMatchObject({ code: 'KUBERNETES_UNTRUSTED' });
  });
});

describe("the client's certificate", () => {
  const user = (name: string) =>
    `client-certificate: ${certificates}/${name}.crt, client-key: ${certificates}/${name}.key`;

  test('is shown', async () => {
    const { url } = await serve('good', { wantsClient: true });
    expect(await (await open(url, { user: user('client') })).version()).toEqual(VERSION);
  });

  test.each([
    ['none', '', '401'],
    ['one that ran out, and when', 'client-late', '2021-01-01'],
  ])('%s: unauthorized', async (_, name, told) => {
    const { url } = await serve('good', { wantsClient: true });
    const error = await raised(async () => (await open(url, { user: name === '' ? '' : user(name) })).version());
    expect(error).toMatchObject({ code: 'KUBERNETES_UNAUTHORIZED' });
    expect(error.message).toContain(told);
  });

  test('with the key of another one is refused before anything is connected', async () => {
    const { url } = await serve('good');
    const mixed = `client-certificate: ${certificates}/client.crt, client-key: ${certificates}/late.key`;
    const error = await raised(async () => (await open(url, { user: mixed })).version());
    expect(error).toMatchObject({ code: 'KUBERNETES_UNAUTHORIZED' });
    expect(error.message).not.toContain('PRIVATE');
  });
});

describe('a proxy', () => {
  /** A tunnelling proxy, and who asked it for what. */
  async function startProxy() {
    const asked: string[] = [];
    const proxy: Server = createServer();
    proxy.on('connect', (request, socket) => {
      asked.push(request.url ?? '');
      const [host, port] = (request.url ?? '').split(':');
      const onward = connect(Number(port), host, () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
      for (const one of [socket, onward]) {
        one.on('error', () => {});
        one.on('close', () => {
          socket.destroy();
          onward.destroy();
        });
      }
      socket.pipe(onward);
      onward.pipe(socket);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      proxy.close();
      proxy.closeAllConnections();
    });
    return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, asked };
  }

  test('of the kubeconfig is used, and the certificate is that of the server all the same', async () => {
    const proxy = await startProxy();
    const { url } = await serve('good');
    const cluster = `certificate-authority: ${certificates}/ca.crt, proxy-url: '${proxy.url}'`;
    expect(await (await open(url, { cluster })).version()).toEqual(VERSION);
    expect(proxy.asked).toEqual([new URL(url).host]);
    const other = `certificate-authority: ${certificates}/other-ca.crt, proxy-url: '${proxy.url}'`;
    const error = await raised(async () => (await open(url, { cluster: other })).version());
    expect(error).toMatchObject({ code: 'KUBERNETES_UNTRUSTED' });
  });
});
