import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { Agent } from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListBucketsCommand, S3Client } from '@aws-sdk/client-s3';
import { freePort } from './free-port.ts';
import { makePrivateCertificate, type PrivateCertificate } from './private-certificate.ts';

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** A server of object storage on a port of this machine, with its files in one folder. */
export interface S3Process extends AsyncDisposable {
  /** `http://HOST:PORT`, or with https. */
  readonly endpoint: string;
  readonly region: string;
  /** Of the one who may do everything. */
  readonly root: S3Credentials;
  /** PEM file of the authority, where it speaks TLS. */
  readonly caFile: string | undefined;
  /** What it wrote to its log. */
  readonly logFile: string;
  /** Connects with path-style addresses, as `root` unless told. The clients are ended by `close`. */
  client(credentials?: S3Credentials): S3Client;
  /** Again, on the same folder and port. Resolves once it answers. */
  start(): Promise<void>;
  /** SIGTERM, and waits. */
  stop(): Promise<void>;
  /** SIGKILL, and waits. */
  kill(): Promise<void>;
  /** SIGKILL; the clients end. The folder stays. */
  close(): Promise<void>;
}

export interface S3ProcessOptions {
  /** Speaks TLS, with a certificate of a private authority. */
  readonly tls?: boolean;
  /** An address of this machine that others reach too; 127.0.0.1 unless said. */
  readonly host?: string;
}

/** How one kind of server is started. */
export interface S3Program {
  readonly program: string;
  command(at: {
    /** `HOST:PORT`. */
    readonly address: string;
    readonly region: string;
    readonly root: S3Credentials;
    readonly certificate: PrivateCertificate | undefined;
  }): Promise<{ readonly args: readonly string[]; readonly environment: Readonly<Record<string, string>> }>;
}

const REGION = 'us-east-1';
const START_ATTEMPTS = 3;
const READY_MS = 120_000;
const STOP_MS = 30_000;

export async function startS3Process(
  folder: string,
  kind: S3Program,
  options: S3ProcessOptions = {},
): Promise<S3Process> {
  await mkdir(folder, { recursive: true });
  const logFile = join(folder, 'log');
  const root = newCredentials();
  const { host = '127.0.0.1' } = options;
  const certificate =
    options.tls === true ? await makePrivateCertificate(join(folder, 'certificate'), host) : undefined;
  const clients: S3Client[] = [];
  let port = await freePort();
  let running: { readonly child: ChildProcess; readonly ended: Promise<void> } | undefined;
  const endpoint = () => `${certificate === undefined ? 'http' : 'https'}://${host}:${port}`;
  const newClient = (credentials: S3Credentials, maxAttempts: number) =>
    new S3Client({
      endpoint: endpoint(),
      region: REGION,
      credentials,
      forcePathStyle: true,
      maxAttempts,
      ...(certificate === undefined
        ? {}
        : { requestHandler: { httpsAgent: new Agent({ ca: readFileSync(certificate.caFile) }) } }),
    });

  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    if (running === undefined) return;
    const { child, ended } = running;
    running = undefined;
    child.kill(signal);
    const limit = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await ended;
    clearTimeout(limit);
  };
  const start = async () => {
    if (running !== undefined) throw new Error(`${kind.program} is running already`);
    const { args, environment } = await kind.command({
      address: `${host}:${port}`,
      region: REGION,
      root,
      certificate,
    });
    const log = await open(logFile, 'a');
    const child = spawn(kind.program, args, {
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: folder, ...environment },
      stdio: ['ignore', log.fd, log.fd],
    });
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()).once('error', () => resolve()));
    await log.close();
    running = { child, ended };
    const gone = { now: false };
    void ended.then(() => {
      gone.now = true;
    });
    const probe = newClient(root, 1);
    try {
      for (const deadline = Date.now() + READY_MS; ; ) {
        const answer = await probe.send(new ListBucketsCommand({})).catch(() => undefined);
        if (answer !== undefined && !gone.now) return;
        if (gone.now || Date.now() > deadline) break;
        await sleep(50);
      }
    } finally {
      probe.destroy();
    }
    await end('SIGKILL');
    throw new Error(`${kind.program} did not start; see ${logFile}: ${readFileSync(logFile, 'utf8').slice(-2000)}`);
  };

  for (let attempt = 1; ; attempt += 1) {
    try {
      await start();
      break;
    } catch (cause) {
      if (attempt === START_ATTEMPTS) throw cause;
      port = await freePort();
    }
  }
  const close = async () => {
    for (const client of clients.splice(0)) client.destroy();
    await end('SIGKILL');
  };
  return {
    endpoint: endpoint(),
    region: REGION,
    root,
    caFile: certificate?.caFile,
    logFile,
    client(credentials = root) {
      const client = newClient(credentials, 3);
      clients.push(client);
      return client;
    },
    start,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Of the form that AWS gives out. */
export function newCredentials(): S3Credentials {
  return {
    accessKeyId: `AK${randomBytes(9).toString('hex').toUpperCase()}`,
    secretAccessKey: randomBytes(20).toString('hex'),
  };
}
