/**
 * `postgres://USER@HOST[:PORT]/NAME[?sslmode=…&sslrootcert=…&connect_timeout=…&host=/FOLDER&hostaddr=…]`, as libpq reads it (PostgreSQL,
 * "Connection URIs"). What libpq knows and this does not is refused, never ignored: an option that is silently dropped may
 * be the one that protects.
 */
import { isIP } from 'node:net';
import { AdapterError } from '../errors.ts';

export const SSL_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof SSL_MODES)[number];

export interface DatabaseAddress {
  /** A name or an address; or, absolute, the folder of a Unix socket. */
  readonly host: string;
  /** Where it is reached, when not by its name: an address. The name is what its certificate is held against all the same. */
  readonly hostAddress?: string;
  readonly port: number;
  readonly user: string;
  readonly name: string;
  readonly sslMode: SslMode;
  /** Path of certificates in PEM, or `system`. */
  readonly rootCertificates?: string;
  readonly connectTimeoutMs?: number;
}

const PARAMETERS = ['sslmode', 'sslrootcert', 'connect_timeout', 'host', 'hostaddr', 'port', 'user', 'dbname'];
const FORM = 'postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full';

/** @throws AdapterError DATABASE_URL_INVALID, which never shows the URL: it may hold a password. */
export function parseDatabaseUrl(text: string): DatabaseAddress {
  const match =
    /^(postgres|postgresql):\/\/(?:([^/?#@]*)@)?(\[[^\]]*\]|[^/?#:@]*)(?::(\d*))?(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(
      text,
    );
  if (match === null) throw invalid('This is not the address of a PostgreSQL database');
  const [, , credentials = '', hostText = '', portText = '', nameText = '', query = ''] = match;
  if (credentials.includes(':')) throw passwordInUrl();
  const parameters = new Map<string, string>();
  for (const [key, value] of new URLSearchParams(query)) {
    if (key === 'password') throw passwordInUrl();
    if (!PARAMETERS.includes(key)) {
      throw invalid(`The address has a parameter that is not supported: ${key}`, PARAMETERS.join(', '));
    }
    if (parameters.has(key)) throw invalid(`The address names ${key} twice`);
    parameters.set(key, value);
  }
  const host = parameters.get('host') ?? decoded(hostText.replace(/^\[(.*)\]$/, '$1'));
  const user = parameters.get('user') ?? decoded(credentials);
  const name = parameters.get('dbname') ?? decoded(nameText);
  if (host === '') throw invalid('The address names no host');
  if (host.includes(',')) throw invalid('The address names several hosts', 'one host: the primary');
  if (user === '') throw invalid('The address names no user');
  if (name === '') throw invalid('The address names no database');
  const hostAddress = parameters.get('hostaddr');
  if (hostAddress !== undefined && (isIP(hostAddress) === 0 || host.startsWith('/'))) {
    throw invalid('The address has a wrong hostaddr', 'an IP address, beside the name of a host');
  }
  const sslMode = parameters.get('sslmode') ?? 'prefer';
  if (!isSslMode(sslMode)) throw invalid('The address has an unknown sslmode', SSL_MODES.join(', '));
  const rootCertificates = parameters.get('sslrootcert');
  const connectTimeoutS = wholeNumber(parameters.get('connect_timeout'), 'connect_timeout', 86_400);
  return {
    host,
    ...(hostAddress === undefined ? {} : { hostAddress }),
    port: wholeNumber(parameters.get('port') ?? (portText === '' ? undefined : portText), 'port', 65_535) ?? 5432,
    user,
    name,
    sslMode,
    ...(rootCertificates === undefined ? {} : { rootCertificates }),
    ...(connectTimeoutS === undefined ? {} : { connectTimeoutMs: connectTimeoutS * 1000 }),
  };
}

/** For messages: without parameters. */
export function placeOfDatabase({ host, hostAddress, port, user, name }: DatabaseAddress): string {
  // The port is of the address: a tunnel's, that tells nothing of the server.
  if (hostAddress !== undefined) return `postgres://${user}@${host}/${name} by way of ${hostAddress}:${port}`;
  if (host.startsWith('/')) return `${name} as ${user} at ${host}/.s.PGSQL.${port}`;
  return `postgres://${user}@${host.includes(':') ? `[${host}]` : host}:${port}/${name}`;
}

function isSslMode(text: string): text is SslMode {
  return (SSL_MODES as readonly string[]).includes(text);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid('The address holds a percent sign that starts no escape');
  }
}

function wholeNumber(text: string | undefined, what: string, maximum: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= maximum) return value;
  throw invalid(`The address has a wrong ${what}`, `a number from 1 to ${maximum}`);
}

function passwordInUrl(): AdapterError {
  return new AdapterError('DATABASE_URL_INVALID', 'The address of the database holds a password', {
    expected: FORM,
    hint: 'Take it out: everybody on this machine can read the arguments of a program. Give it by --database-password-file, PGPASSWORD or PGPASSFILE, and change it if it was in the list of processes or in a history.',
  });
}

function invalid(message: string, expected = FORM): AdapterError {
  return new AdapterError('DATABASE_URL_INVALID', message, { expected, hint: 'Correct --database.' });
}

/** The address as text that `parseDatabaseUrl` and libpq read: without a password, for another thread or a program. */
export function urlOfDatabase(address: DatabaseAddress): string {
  const { host, hostAddress, port, user, name, sslMode, rootCertificates, connectTimeoutMs } = address;
  const parameters = new URLSearchParams({
    host,
    ...(hostAddress === undefined ? {} : { hostaddr: hostAddress }),
    port: String(port),
    user,
    dbname: name,
    sslmode: sslMode,
    ...(rootCertificates === undefined ? {} : { sslrootcert: rootCertificates }),
    ...(connectTimeoutMs === undefined ? {} : { connect_timeout: String(connectTimeoutMs / 1000) }),
  });
  // libpq reads a plus sign as it is.
  return `postgres:///?${parameters.toString().replaceAll('+', '%20')}`;
}
