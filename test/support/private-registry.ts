import { execFile, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from './free-port.ts';
import { startTokenService } from './token-service.ts';

const run = promisify(execFile);

/** bcrypt of the password below, as htpasswd -B writes it. */
const HTPASSWD = 'ann:$2b$05$abcdefghijklmnopqrstuumoWSW6IBCI8Qap9GLyPPuIAGtzuSxrK\n';
const USER = { username: 'ann', password: 'a throw-away password' };

/** The distribution project's registry as people run it inside: a private authority's certificate, and htpasswd. */
export interface PrivateRegistry {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** PEM file of the authority. */
  readonly caFile: string;
  /** A folder with a config.json that holds the credentials: DOCKER_CONFIG. */
  readonly dockerConfig: string;
  start(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** The token service as well. */
  close(): Promise<void>;
}

export interface PrivateRegistryOptions {
  /** `token`: a token service beside it, which lets the user push to `cms/…` and pull from there, and nothing else. */
  readonly auth?: 'htpasswd' | 'token';
}

export async function createPrivateRegistry(
  folder: string,
  options: PrivateRegistryOptions = {},
): Promise<PrivateRegistry> {
  await mkdir(folder, { recursive: true });
  const at = (name: string): string => join(folder, name);
  await makeCertificates(folder);
  const host = `127.0.0.1:${await freePort()}`;
  const auth = Buffer.from(`${USER.username}:${USER.password}`).toString('base64');
  await mkdir(at('docker'));
  await writeFile(at('docker/config.json'), JSON.stringify({ auths: { [host]: { auth } } }));
  await writeFile(at('htpasswd'), HTPASSWD);
  const htpasswd = { htpasswd: { realm: 'test', path: at('htpasswd') } };
  const tokens =
    options.auth === 'token'
      ? await startTokenService({ key: at('server.key'), certificate: at('server.pem') }, { service: host, ...USER })
      : undefined;
  const config = {
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: at('storage') }, delete: { enabled: true } },
    http: { addr: host, tls: { certificate: at('server.pem'), key: at('server.key') } },
    auth: tokens === undefined ? htpasswd : { token: { ...tokens.settings, rootcertbundle: at('ca.pem') } },
  };
  await writeFile(at('config.yml'), JSON.stringify(config));
  let stop = async (): Promise<void> => {};
  return {
    host,
    caFile: at('ca.pem'),
    dockerConfig: at('docker'),
    async start() {
      const child = spawn('registry', ['serve', at('config.yml')], { stdio: 'ignore' });
      const exited = new Promise((resolve) => child.once('exit', resolve).once('error', resolve));
      stop = async () => {
        child.kill('SIGKILL');
        await exited;
      };
      const deadline = Date.now() + 60_000;
      while (!(await answers(host, at('ca.pem')))) {
        if (child.exitCode !== null || Date.now() > deadline) throw new Error('the registry did not start');
        await sleep(50);
      }
    },
    kill: () => stop(),
    async close() {
      await stop();
      await tokens?.close();
    },
  };
}

/** An authority of our own, and a certificate for 127.0.0.1 that it signed. */
async function makeCertificates(folder: string): Promise<void> {
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  await openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Test CA', '-days', '2');
  const name = ['-subj', '/CN=registry', '-addext', 'subjectAltName=IP:127.0.0.1'];
  await openssl('req', ...newKey, '-keyout', 'server.key', '-out', 'server.csr', ...name);
  const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-copy_extensions', 'copy', '-days', '2'];
  await openssl('x509', '-req', '-in', 'server.csr', ...by, '-out', 'server.pem');
}

async function answers(host: string, caFile: string): Promise<boolean> {
  const args = ['s_client', '-connect', host, '-CAfile', caFile, '-verify_return_error'];
  const child = run('openssl', args);
  child.child.stdin?.end();
  return child.then(
    () => true,
    () => false,
  );
}
