/** How libpq is told where to connect to: by the environment of the one child (PostgreSQL, "Environment Variables"). */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getCACertificates } from 'node:tls';
import type { DatabaseConnection } from '../../ports/database-connection.ts';
import { parseDatabaseUrl } from '../postgres/database-url.ts';

/**
 * The variables for one connection. `folder` is private to the child: certificates are written into it where libpq needs a
 * file and the address trusts the system's.
 *
 * @throws AdapterError DATABASE_URL_INVALID
 */
export async function libpqEnvironment(
  connection: DatabaseConnection,
  folder: string,
  applicationName = 'portolan',
): Promise<Record<string, string>> {
  const address = parseDatabaseUrl(connection.url);
  const named = connection.caFile ?? (address.rootCertificates === 'system' ? undefined : address.rootCertificates);
  const isVerified = address.sslMode === 'verify-ca' || address.sslMode === 'verify-full';
  return {
    PGHOST: address.host,
    ...(address.hostAddress === undefined ? {} : { PGHOSTADDR: address.hostAddress }),
    PGPORT: String(address.port),
    PGUSER: address.user,
    PGDATABASE: address.name,
    // A Unix socket leaves this machine for nobody, and the server offers no TLS on it.
    PGSSLMODE: address.host.startsWith('/') ? 'disable' : address.sslMode,
    // A file that is not there, so that nothing is looked up in a home folder: not even certificates that would be checked.
    PGSSLROOTCERT: named ?? (isVerified ? await systemCertificates(folder) : join(folder, 'none')),
    PGSSLCERT: join(folder, 'none'),
    PGSSLKEY: join(folder, 'none'),
    PGSSLCRL: join(folder, 'none'),
    PGGSSENCMODE: 'disable',
    PGCONNECT_TIMEOUT: String(Math.ceil((address.connectTimeoutMs ?? CONNECT_TIMEOUT_MS) / 1000)),
    PGAPPNAME: applicationName,
    // Neither a file of passwords nor of services of the person who started us.
    PGPASSFILE: join(folder, 'none'),
    PGSERVICEFILE: join(folder, 'none'),
    ...(connection.password === undefined ? {} : { PGPASSWORD: connection.password }),
  };
}

const CONNECT_TIMEOUT_MS = 15_000;

/** The same that our own connections trust. libpq below 16 has no word for the certificates of the system. */
async function systemCertificates(folder: string): Promise<string> {
  const file = join(folder, 'certificates.pem');
  const all = [...getCACertificates('bundled'), ...getCACertificates('system')];
  await writeFile(file, `${all.join('\n')}\n`, { mode: 0o600 });
  return file;
}
