import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { type ConnectionOptions, checkServerIdentity, getCACertificates } from 'node:tls';
import { AdapterError } from '../errors.ts';
import { fileError } from '../files/file-error.ts';
import type { DatabaseAddress } from './database-url.ts';

/** How one attempt at a connection is protected; `false`: not at all. */
export type Protection = ConnectionOptions | false;

/**
 * The attempts that an sslmode stands for, in order (PostgreSQL, "SSL Support"). `pg` on its own checks certificates under
 * `require`, never falls back under `prefer`, and compares no name for an address: all three are set here.
 *
 * @throws AdapterError CA_FILE_INVALID, FILE_MISSING, FILE_UNREADABLE
 */
export async function protectionsOf(address: DatabaseAddress, caFile?: string): Promise<readonly Protection[]> {
  const { host, hostAddress, sslMode } = address;
  // A Unix socket leaves this machine for nobody, and the server offers no TLS on it.
  if (sslMode === 'disable' || host.startsWith('/')) return [false];
  const named = caFile ?? (address.rootCertificates === 'system' ? undefined : address.rootCertificates);
  // Reached by an address, the server is still told by which name it is meant.
  const meant = hostAddress === undefined || isIP(host) !== 0 ? {} : { servername: host };
  if (sslMode === 'prefer') return [{ ...meant, rejectUnauthorized: false }, false];
  // As in libpq: with certificates to check against, `require` checks them.
  if (sslMode === 'require' && named === undefined) return [{ ...meant, rejectUnauthorized: false }];
  const ca =
    named === undefined ? [...getCACertificates('bundled'), ...getCACertificates('system')] : await readPem(named);
  return [
    {
      ...meant,
      ca,
      rejectUnauthorized: true,
      checkServerIdentity: (_, certificate) =>
        sslMode === 'verify-full' ? checkServerIdentity(host, certificate) : undefined,
    },
  ];
}

async function readPem(file: string): Promise<string[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw fileError(cause, file, 'read');
  }
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  try {
    for (const block of blocks) new X509Certificate(block);
    if (blocks.length > 0) return blocks;
  } catch {
    // Said below.
  }
  throw new AdapterError('CA_FILE_INVALID', 'The file of certificate authorities holds no readable certificate', {
    expected: 'certificates in PEM',
    hint: 'Give a file of -----BEGIN CERTIFICATE----- blocks.',
    at: { file },
  });
}
