import { BlockList, isIP } from 'node:net';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { Agent, type Dispatcher, ProxyAgent } from 'undici';
import type { ClusterAccess } from '../../formats/kubernetes/kubeconfig.ts';
import { AdapterError } from '../errors.ts';
import { type Credentials, readMaterial } from './credentials.ts';

export interface ConnectionSettings {
  /** For servers whose kubeconfig names no proxy of its own. */
  readonly proxy?: { readonly httpProxy?: string; readonly httpsProxy?: string; readonly noProxy?: string };
  /** Until a connection stands. 10 s. */
  readonly connectTimeoutMs?: number;
  /** From the request until the answer's headers, and between two pieces of the body. 30 s. */
  readonly answerTimeoutMs?: number;
}

export interface Connection {
  /** For requests with these credentials: a client certificate belongs to the connection. */
  dispatcher(certificate: Credentials['certificate']): Promise<Dispatcher>;
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 10_000;
const ANSWER_TIMEOUT_MS = 30_000;

export function createConnection(access: ClusterAccess, settings: ConnectionSettings): Connection {
  let current: { readonly keyPem: string | undefined; readonly made: Promise<Dispatcher> } | undefined;
  const retired: Promise<Dispatcher>[] = [];
  return {
    dispatcher(certificate) {
      if (current === undefined || current.keyPem !== certificate?.keyPem) {
        if (current !== undefined) retired.push(current.made);
        current = { keyPem: certificate?.keyPem, made: makeDispatcher(access, settings, certificate) };
        current.made.catch(() => {});
      }
      return current.made;
    },
    async close() {
      const all = await Promise.allSettled([...retired, ...(current === undefined ? [] : [current.made])]);
      await Promise.all(all.map((one) => (one.status === 'fulfilled' ? one.value.destroy() : undefined)));
    },
  };
}

async function makeDispatcher(
  access: ClusterAccess,
  settings: ConnectionSettings,
  certificate: Credentials['certificate'],
): Promise<Dispatcher> {
  const connect = {
    secureContext: await secureContext(access, certificate),
    rejectUnauthorized: !access.skipVerify,
    timeout: settings.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    ...(access.serverName === undefined ? {} : { servername: access.serverName }),
  };
  const common = {
    allowH2: false,
    headersTimeout: settings.answerTimeoutMs ?? ANSWER_TIMEOUT_MS,
    bodyTimeout: settings.answerTimeoutMs ?? ANSWER_TIMEOUT_MS,
  };
  const proxy = access.proxyUrl ?? proxyFor(new URL(access.server), settings.proxy ?? {});
  if (proxy === undefined) return new Agent({ ...common, connect });
  return new ProxyAgent({
    ...common,
    uri: proxy,
    requestTls: connect,
    proxyTls: { timeout: connect.timeout },
    // Plain HTTP goes through the proxy as a request for a whole address; HTTPS through a tunnel.
    proxyTunnel: access.server.startsWith('https:'),
  });
}

async function secureContext(
  access: ClusterAccess,
  certificate: Credentials['certificate'],
): Promise<SecureContext | undefined> {
  if (!access.server.startsWith('https:')) return undefined;
  const authority = access.authority === undefined ? undefined : await readMaterial(access.authority);
  try {
    return createSecureContext({
      // Node takes the list for the whole: the cluster's own authority is trusted alone.
      ca: authority ?? [...getCACertificates('bundled'), ...getCACertificates('system')],
      ...(certificate === undefined ? {} : { cert: certificate.certificatePem, key: certificate.keyPem }),
    });
  } catch (cause) {
    // OpenSSL's words about a bad key hold nothing of the key.
    throw new AdapterError(
      'KUBERNETES_UNAUTHORIZED',
      `The certificate or key of context ${access.context} is unreadable`,
      {
        cause,
        expected: 'a certificate and its private key in PEM',
        hint: 'Get the kubeconfig again from where it came from.',
      },
    );
  }
}

/** HTTPS_PROXY, HTTP_PROXY and NO_PROXY as Go reads them (golang.org/x/net/http/httpproxy): networks in NO_PROXY count too. */
export function proxyFor(server: URL, settings: NonNullable<ConnectionSettings['proxy']>): string | undefined {
  const proxy = server.protocol === 'https:' ? settings.httpsProxy : settings.httpProxy;
  if (!proxy) return undefined;
  const host = server.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (host === 'localhost' || host.startsWith('127.') || host === '::1') return undefined;
  const port = server.port || (server.protocol === 'https:' ? '443' : '80');
  const entries = (settings.noProxy ?? '').split(',').map((entry) => entry.trim().toLowerCase());
  if (entries.some((entry) => entry !== '' && isExempt(host, port, entry))) return undefined;
  const address = proxy.includes('://') ? proxy : `http://${proxy}`;
  if (URL.canParse(address) && /^https?:$/.test(new URL(address).protocol)) return address;
  // The address may hold a password and is not repeated.
  throw new AdapterError('PROXY_INVALID', 'The proxy that is set is not an HTTP proxy', {
    expected: 'http://HOST:PORT or https://HOST:PORT',
    hint: 'Correct HTTPS_PROXY and HTTP_PROXY, or name the API server in NO_PROXY. A SOCKS proxy is not supported.',
  });
}

function isExempt(host: string, port: string, entry: string): boolean {
  if (entry === '*') return true;
  const network = /^([0-9a-f.:]+)\/(\d{1,3})$/.exec(entry);
  if (network !== null) return isInNetwork(host, network[1] as string, Number(network[2]));
  if (isIP(entry) === 6) return host === entry;
  const [, name = '', only] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
  if (only !== undefined && only !== port) return false;
  if (name.startsWith('*.')) return host.endsWith(name.slice(1));
  if (name.startsWith('.')) return host.endsWith(name);
  return host === name || (isIP(host) === 0 && host.endsWith(`.${name}`));
}

function isInNetwork(host: string, address: string, bits: number): boolean {
  const family = isIP(host);
  if (family === 0 || isIP(address) !== family || bits > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  list.addSubnet(address, bits, family === 4 ? 'ipv4' : 'ipv6');
  return list.check(host, family === 4 ? 'ipv4' : 'ipv6');
}
