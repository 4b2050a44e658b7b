import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { Agent, type Dispatcher, EnvHttpProxyAgent } from 'undici';
import { AdapterError } from '../errors.ts';
import { fileError } from '../files/file-error.ts';

/** How one registry is reached, where it is not as most are. */
interface RegistryAccess {
  /** No TLS. Never assumed, not for localhost either. */
  readonly plainHttp?: boolean;
  /** Absolute path of certificate authorities in PEM, trusted in all that this registry leads to, and nowhere else. */
  readonly caFile?: string;
}

/** How connections are made. Times in milliseconds. */
export interface TransportSettings {
  /** By host as references write it: `registry.example:5000`. */
  readonly registries?: Readonly<Record<string, RegistryAccess>>;
  /** Absolute path of certificate authorities in PEM, trusted for every registry beside the system's. */
  readonly caFile?: string;
  readonly proxy?: {
    /** For plain HTTP hosts: `http://proxy.example:3128`, with credentials if the proxy wants them. */
    readonly httpProxy?: string;
    /** For HTTPS hosts. */
    readonly httpsProxy?: string;
    /** Comma separated hosts and domains that are reached directly. */
    readonly noProxy?: string;
  };
  /** Until a connection stands. 15 s. */
  readonly connectTimeoutMs?: number;
  /** From the request until the answer's headers. 60 s. */
  readonly headersTimeoutMs?: number;
  /** Between two pieces of the body; and the window in which a layer must make some progress. 60 s. */
  readonly bodyTimeoutMs?: number;
  /** For a whole small document: a manifest, a token. 120 s. */
  readonly documentTimeoutMs?: number;
}

export interface Transport {
  /** For a request to `url` on behalf of a registry: its token service and its storage are reached as it is. */
  dispatcherFor(url: URL, registryHost: string): Promise<Dispatcher>;
  readonly bodyTimeoutMs: number;
  readonly documentTimeoutMs: number;
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 15_000;
const ANSWER_TIMEOUT_MS = 60_000;
const DOCUMENT_TIMEOUT_MS = 120_000;

export function createTransport(settings: TransportSettings): Transport {
  const bodyTimeoutMs = settings.bodyTimeoutMs ?? ANSWER_TIMEOUT_MS;
  const byCaFile = new Map<string, Promise<Dispatchers>>();
  return {
    bodyTimeoutMs,
    documentTimeoutMs: settings.documentTimeoutMs ?? DOCUMENT_TIMEOUT_MS,
    async dispatcherFor(url, registryHost) {
      const caFile = settings.registries?.[registryHost]?.caFile ?? '';
      // Made with the first request: reading the system's certificates takes tens of milliseconds.
      let dispatchers = byCaFile.get(caFile);
      if (!dispatchers) {
        dispatchers = readAuthorities([settings.caFile, caFile]).then((own) =>
          createDispatchers(settings, bodyTimeoutMs, own),
        );
        byCaFile.set(caFile, dispatchers);
      }
      const { http, https } = await dispatchers;
      return url.protocol === 'https:' ? https() : http();
    },
    async close() {
      const made = await Promise.allSettled(byCaFile.values());
      const all = made.flatMap((one) => (one.status === 'fulfilled' ? one.value.made : []));
      await Promise.all(all.map((dispatcher) => dispatcher.destroy()));
    },
  };
}

interface Dispatchers {
  http(): Dispatcher;
  https(): Dispatcher;
  /** Those that were asked for. */
  readonly made: readonly Dispatcher[];
}

async function readAuthorities(files: readonly (string | undefined)[]): Promise<readonly string[]> {
  const read: string[] = [];
  for (const file of files) {
    if (file === undefined || file === '') continue;
    try {
      read.push(checkedPem(await readFile(file, 'utf8'), file));
    } catch (cause) {
      throw fileError(cause, file, 'read');
    }
  }
  return read;
}

/** Node takes anything for certificates and trusts what it can read of it: a wrong file must not pass for none. */
function checkedPem(pem: string, file: string): string {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  try {
    for (const block of blocks) new X509Certificate(block);
    if (blocks.length > 0) return blocks.join('\n');
  } catch {
    // Said below.
  }
  throw new AdapterError('CA_FILE_INVALID', 'The file of certificate authorities holds no readable certificate', {
    expected: 'certificates in PEM',
    hint: 'Give a file of -----BEGIN CERTIFICATE----- blocks.',
    at: { file },
  });
}

function createDispatchers(
  settings: TransportSettings,
  bodyTimeoutMs: number,
  authorities: readonly string[],
): Dispatchers {
  const common = {
    // Ranges, resets and several connections at once are what layers need; one multiplexed connection is slower.
    allowH2: false,
    headersTimeout: settings.headersTimeoutMs ?? ANSWER_TIMEOUT_MS,
    bodyTimeout: bodyTimeoutMs,
  };
  const timeout = settings.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
  const secure = lazily(() => ({ secureContext: secureContext(authorities), timeout }));
  const make = (proxy: string | undefined, connect: () => { timeout: number }): Dispatcher => {
    if (!proxy) return new Agent({ ...common, connect: connect() });
    const address = proxyAddress(proxy);
    // Both given: undici would otherwise look into the environment, and send HTTPS through the proxy meant for HTTP.
    return new EnvHttpProxyAgent({
      ...common,
      connect: secure(),
      httpProxy: address,
      httpsProxy: address,
      noProxy: settings.proxy?.noProxy ?? '',
      requestTls: secure(),
      proxyTls: secure(),
    });
  };
  const made: Dispatcher[] = [];
  const kept = (dispatcher: Dispatcher): Dispatcher => {
    made.push(dispatcher);
    return dispatcher;
  };
  const http = lazily(() => kept(make(settings.proxy?.httpProxy, () => ({ timeout }))));
  const https = lazily(() => kept(make(settings.proxy?.httpsProxy, secure)));
  return { http, https, made };
}

/** Made when it is first needed: whoever speaks plain HTTP does not wait for the system's certificates. */
function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** As curl reads it: without a scheme it is http. The address may hold a password and is never part of an error. */
function proxyAddress(text: string): string {
  const address = text.includes('://') ? text : `http://${text}`;
  if (URL.canParse(address) && /^https?:$/.test(new URL(address).protocol)) return address;
  throw new AdapterError('PROXY_INVALID', 'The proxy that is set is not an HTTP proxy', {
    expected: 'http://HOST:PORT or https://HOST:PORT',
    hint: 'Correct HTTPS_PROXY and HTTP_PROXY. A SOCKS proxy is not supported.',
  });
}

/** Node replaces its own list when `ca` is given: the system's store and Node's are named beside ours. */
function secureContext(authorities: readonly string[]): SecureContext {
  return createSecureContext({ ca: [...getCACertificates('bundled'), ...getCACertificates('system'), ...authorities] });
}
