import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Paths of PEM files. */
export interface PrivateCertificate {
  readonly caFile: string;
  readonly certificate: string;
  readonly key: string;
}

/** An authority of its own, and a certificate for an address that it signed, in `folder`. */
export async function makePrivateCertificate(folder: string, address = '127.0.0.1'): Promise<PrivateCertificate> {
  await mkdir(folder, { recursive: true });
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  await openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Test CA', '-days', '2');
  const name = ['-subj', '/CN=server', '-addext', `subjectAltName=IP:${address}`];
  await openssl('req', ...newKey, '-keyout', 'server.key', '-out', 'server.csr', ...name);
  const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-copy_extensions', 'copy', '-days', '2'];
  await openssl('x509', '-req', '-in', 'server.csr', ...by, '-out', 'server.pem');
  return {
    caFile: join(folder, 'ca.pem'),
    certificate: join(folder, 'server.pem'),
    key: join(folder, 'server.key'),
  };
}
