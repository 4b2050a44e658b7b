/**
 * MinIO's own interface for its administrator, as far as users and what they may do. Bodies that hold secrets are encrypted
 * with the administrator's secret key (madmin-go, encrypt.go; sio-go, the format of its streams):
 *
 *     salt (32) | 0x02 | nonce (8) | AES-256-GCM of the body | tag (16)        bodies of up to 16 KiB: one fragment
 *
 *     key                  PBKDF2-HMAC-SHA-256 of the secret key, 8,192 rounds
 *     nonce of fragment n  nonce | n as 32 bits, little-endian; the fragments count from 1
 *     associated data      0x80 for the last fragment | the tag of an empty message with n = 0
 */
import { createCipheriv, createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import { pause } from '../../src/core/retry.ts';
import type { PolicyStatement } from '../../src/formats/storage/policy.ts';
import type { S3Credentials, S3Process } from './s3-process.ts';

export interface MinioAdmin {
  createPolicy(name: string, statements: readonly PolicyStatement[]): Promise<void>;
  createUser(user: S3Credentials, statements: readonly PolicyStatement[]): Promise<void>;
  /** His credentials are unknown from then on. */
  removeUser(user: Pick<S3Credentials, 'accessKeyId'>): Promise<void>;
}

type Server = Pick<S3Process, 'endpoint' | 'region' | 'root' | 'caFile'>;

export function minioAdmin(server: Server): MinioAdmin {
  const createPolicy: MinioAdmin['createPolicy'] = (name, statements) => {
    const document = JSON.stringify({ Version: '2012-10-17', Statement: statements });
    return ask(server, 'PUT', 'add-canned-policy', { name }, Buffer.from(document));
  };
  return {
    createPolicy,
    async createUser(user, statements) {
      const policy = `policy-${user.accessKeyId}`;
      await createPolicy(policy, statements);
      const account = JSON.stringify({ secretKey: user.secretAccessKey, status: 'enabled' });
      const sealed = sealBody(server.root.secretAccessKey, Buffer.from(account));
      await ask(server, 'PUT', 'add-user', { accessKey: user.accessKeyId }, sealed);
      const query = { isGroup: 'false', policyName: policy, userOrGroup: user.accessKeyId };
      await ask(server, 'PUT', 'set-user-or-group-policy', query, Buffer.alloc(0));
    },
    removeUser: ({ accessKeyId }) => ask(server, 'DELETE', 'remove-user', { accessKey: accessKeyId }, Buffer.alloc(0)),
  };
}

function sealBody(secret: string, body: Buffer): Buffer {
  const salt = randomBytes(32);
  const nonce = randomBytes(8);
  const key = pbkdf2Sync(secret, salt, 8192, 32, 'sha256');
  const seal = (fragment: number, content: Buffer, associated: Buffer) => {
    const fragmentNonce = Buffer.concat([nonce, Buffer.alloc(4)]);
    fragmentNonce.writeUInt32LE(fragment, 8);
    const cipher = createCipheriv('aes-256-gcm', key, fragmentNonce).setAAD(associated);
    return Buffer.concat([cipher.update(content), cipher.final(), cipher.getAuthTag()]);
  };
  const associated = Buffer.concat([Buffer.of(0x80), seal(0, Buffer.alloc(0), Buffer.alloc(0))]);
  return Buffer.concat([salt, Buffer.of(0x02), nonce, seal(1, body, associated)]);
}

/** Buckets are there before users and policies are. */
const READY_MS = 60_000;

type Method = 'PUT' | 'DELETE';

/** A request that is signed as S3's are (Signature Version 4). `query` in the order of its names. */
async function ask(
  server: Server,
  method: Method,
  operation: string,
  query: Readonly<Record<string, string>>,
  body: Buffer,
): Promise<void> {
  const { endpoint, region, root } = server;
  const path = `/minio/admin/v3/${operation}`;
  const search = Object.entries(query)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&');
  const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const bodyHash = createHash('sha256').update(body).digest('hex');
  const headers = { host: new URL(endpoint).host, 'x-amz-content-sha256': bodyHash, 'x-amz-date': time };
  const signed = Object.keys(headers).join(';');
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
  const canonical = [method, path, search, lines.join(''), signed, bodyHash].join('\n');
  const scope = `${time.slice(0, 8)}/${region}/s3/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', time, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
  const key = scope.split('/').reduce<string | Buffer>(hmac, `AWS4${root.secretAccessKey}`);
  const authorization =
    `AWS4-HMAC-SHA256 Credential=${root.accessKeyId}/${scope}, SignedHeaders=${signed}, ` +
    `Signature=${hmac(key, toSign).toString('hex')}`;
  const url = `${endpoint}${path}?${search}`;
  for (const deadline = Date.now() + READY_MS; ; await pause(50)) {
    if ((await send(method, url, { ...headers, authorization }, body, server.caFile)) === 'done') return;
    if (Date.now() > deadline) throw new Error('MinIO does not come to know its users and policies');
  }
}

function send(
  method: Method,
  url: string,
  headers: Record<string, string>,
  body: Buffer,
  caFile: string | undefined,
): Promise<'done' | 'not yet'> {
  return new Promise((resolve, reject) => {
    const options = { method, headers: { ...headers, 'content-length': body.length } };
    const request =
      caFile === undefined ? requestPlain(url, options) : requestTls(url, { ...options, ca: readFileSync(caFile) });
    request.once('error', reject).once('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.once('error', reject).once('end', () => {
        if (response.statusCode === 200) resolve('done');
        else if (response.statusCode === 503) resolve('not yet');
        else reject(new Error(`MinIO answered ${response.statusCode}: ${text}`));
      });
    });
    request.end(body);
  });
}
