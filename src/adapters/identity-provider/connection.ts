import type { ClientAuth, Configuration, ServerMetadata } from 'openid-client';
import { z } from 'zod';
import { printable } from '../../core/printable.ts';
import type { AdapterError } from '../errors.ts';
import { type Answer, createExchange, type Exchange, type ExchangeSettings, protocolFailure } from './exchange.ts';

/** The provider as its parts reach it. */
export interface Connection {
  readonly issuer: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly exchange: Exchange;
  /** What it says of itself (OpenID Connect Discovery 1.0), asked for once. */
  metadata(signal: AbortSignal | undefined): Promise<Metadata>;
  /** The library's view of it, for one operation of a client. */
  client(client: ClientSettings): Promise<Client>;
}

export interface ClientSettings {
  readonly id: string;
  /** A public client without. */
  readonly secret?: string;
  /** The request is no client's: an assertion says who asks. */
  readonly anonymous?: boolean;
  readonly signal: AbortSignal | undefined;
  readonly meaningOf?: (answer: Answer) => AdapterError | undefined;
}

export interface Client {
  readonly library: typeof import('openid-client');
  readonly configuration: Configuration;
}

const metadataSchema = z.looseObject({
  issuer: z.string(),
  authorization_endpoint: z.url(),
  token_endpoint: z.url(),
  jwks_uri: z.url(),
  device_authorization_endpoint: z.url().exactOptional(),
});

export type Metadata = z.infer<typeof metadataSchema>;

export function connect(settings: ExchangeSettings): Connection {
  const { issuer, now } = settings;
  const exchange = createExchange(settings);
  let known: Metadata | undefined;

  async function metadata(signal: AbortSignal | undefined): Promise<Metadata> {
    known ??= await discover(issuer, exchange, signal);
    return known;
  }

  return {
    issuer,
    now,
    exchange,
    metadata,
    async client({ id, secret, anonymous = false, signal, meaningOf }) {
      // Loaded here: most commands never need it.
      const library = await import('openid-client');
      const nothing: ClientAuth = () => {};
      const authentication = secret === undefined ? library.None() : library.ClientSecretBasic(secret);
      const configuration = new library.Configuration(
        (await metadata(signal)) as ServerMetadata,
        id,
        undefined,
        anonymous ? nothing : authentication,
      );
      // The root pins the address, with or without TLS.
      if (issuer.startsWith('http://')) library.allowInsecureRequests(configuration);
      configuration[library.customFetch] = async (url, { method, headers, body, signal: limit }) => {
        const both = [signal, limit].filter((one) => one !== undefined);
        const sent = body === undefined || body === null ? undefined : String(body);
        const answer = await exchange.send(url, {
          method,
          headers,
          body: sent,
          signal: AbortSignal.any(both),
          meaningOf,
        });
        return new Response(answer.body, { status: answer.status, headers: answer.headers });
      };
      // The exchange has limits of its own, and tries again.
      configuration.timeout = 600;
      return { library, configuration };
    },
  };
}

async function discover(issuer: string, exchange: Exchange, signal: AbortSignal | undefined): Promise<Metadata> {
  const answer = await exchange.send(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, {
    method: 'GET',
    signal,
  });
  const metadata = documentOf(answer, metadataSchema, issuer, 'its description (.well-known/openid-configuration)');
  if (metadata.issuer !== issuer) {
    throw protocolFailure(issuer, 'it calls itself by another name', { expected: issuer, found: metadata.issuer });
  }
  const { authorization_endpoint, token_endpoint, jwks_uri, device_authorization_endpoint = token_endpoint } = metadata;
  const { origin } = new URL(issuer);
  // What it describes gets secrets and assertions, and a machine inside of a network that the provider cannot reach asks there.
  const away = [authorization_endpoint, token_endpoint, jwks_uri, device_authorization_endpoint].find(
    (address) => new URL(address).origin !== origin,
  );
  if (away === undefined) return metadata;
  throw protocolFailure(issuer, 'it leads away from itself', { expected: origin, found: printable(away, 200) });
}

/** @throws AdapterError IDENTITY_PROVIDER_PROTOCOL */
export function documentOf<T>({ status, body }: Answer, schema: z.ZodType<T>, issuer: string, what: string): T {
  if (status !== 200) throw protocolFailure(issuer, `it gives no ${what}`, { found: `HTTP ${status}` });
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw protocolFailure(issuer, `${what} is not JSON`);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw protocolFailure(issuer, `${what} lacks ${parsed.error.issues[0]?.path.join('.') || 'what must be there'}`);
}
