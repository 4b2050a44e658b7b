import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { Agent, type Dispatcher, EnvHttpProxyAgent } from 'undici';

/** How connections are made. Times in milliseconds. */
export interface TransportSettings {
  /** Certificate authorities in PEM that are trusted beside the system's. */
  readonly caPem?: string;
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
  dispatcherFor(url: URL): Dispatcher;
  readonly bodyTimeoutMs: number;
  readonly documentTimeoutMs: number;
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 15_000;
const ANSWER_TIMEOUT_MS = 60_000;
const DOCUMENT_TIMEOUT_MS = 120_000;

export function createTransport(settings: TransportSettings): Transport {
  const bodyTimeoutMs = settings.bodyTimeoutMs ?? ANSWER_TIMEOUT_MS;
  let dispatchers: { http: Dispatcher; https: Dispatcher } | undefined;
  return {
    bodyTimeoutMs,
    documentTimeoutMs: settings.documentTimeoutMs ?? DOCUMENT_TIMEOUT_MS,
    dispatcherFor(url) {
      // Made with the first request: reading the system's certificates takes tens of milliseconds.
      dispatchers ??= createDispatchers(settings, bodyTimeoutMs);
      return url.protocol === 'https:' ? dispatchers.https : dispatchers.http;
    },
    async close() {
      await Promise.all([dispatchers?.http.destroy(), dispatchers?.https.destroy()]);
    },
  };
}

function createDispatchers(
  settings: TransportSettings,
  bodyTimeoutMs: number,
): { http: Dispatcher; https: Dispatcher } {
  const connect = {
    secureContext: secureContext(settings.caPem),
    timeout: settings.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
  };
  const common = {
    connect,
    // Ranges, resets and several connections at once are what layers need; one multiplexed connection is slower.
    allowH2: false,
    headersTimeout: settings.headersTimeoutMs ?? ANSWER_TIMEOUT_MS,
    bodyTimeout: bodyTimeoutMs,
  };
  const make = (proxy: string | undefined): Dispatcher => {
    if (!proxy) return new Agent(common);
    // Both given: undici would otherwise look into the environment, and send HTTPS through the proxy meant for HTTP.
    return new EnvHttpProxyAgent({
      ...common,
      httpProxy: proxy,
      httpsProxy: proxy,
      noProxy: settings.proxy?.noProxy ?? '',
      requestTls: connect,
      proxyTls: connect,
    });
  };
  return { http: make(settings.proxy?.httpProxy), https: make(settings.proxy?.httpsProxy) };
}

/** Node replaces its own list when `ca` is given: the system's store and Node's are named beside ours. */
function secureContext(caPem: string | undefined): SecureContext {
  const own = caPem === undefined ? [] : [caPem];
  return createSecureContext({ ca: [...getCACertificates('bundled'), ...getCACertificates('system'), ...own] });
}
