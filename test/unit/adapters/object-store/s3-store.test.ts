import { inspect } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { CredentialsProvider } from '../../../../src/adapters/object-store/s3/credentials.ts';
import { createS3Store } from '../../../../src/adapters/object-store/s3/s3-store.ts';
import { decideStoreRetry } from '../../../../src/adapters/object-store/store-errors.ts';
import { parseBucketAddress, placeOfRepository } from '../../../../src/formats/storage/repository-address.ts';
import type { ObjectStore } from '../../../../src/ports/object-store.ts';
import { raised } from '../../../support/raised.ts';
import { type S3Fault, startS3FaultServer } from '../../../support/s3-fault-server.ts';

const SECRET = 'the-secret-access-key-of-this-test';
const TOKEN = 'the-session-token-of-this-test';
const LIMITS = { connectTimeoutMs: 5000, answerTimeoutMs: 5000, stallTimeoutMs: 5000 };
const START = Date.UTC(2026, 0, 1);

interface Setting {
  readonly credentials?: CredentialsProvider;
  readonly limits?: Partial<typeof LIMITS>;
  readonly query?: string;
  readonly now?: () => number;
  readonly proxy?: { readonly httpProxy?: string; readonly httpsProxy?: string };
}

function storeAt(endpoint: string, setting: Setting = {}): ObjectStore {
  const address = parseBucketAddress(`s3://bucket/prefix?endpoint=${endpoint}${setting.query ?? ''}`);
  const fixed = async () => ({ accessKeyId: 'key-id', secretAccessKey: SECRET, sessionToken: TOKEN });
  const store = createS3Store({
    address,
    place: placeOfRepository(address),
    region: 'us-east-1',
    credentials: setting.credentials ?? fixed,
    limits: { ...LIMITS, ...setting.limits },
    now: setting.now ?? (() => START),
    ...(setting.proxy === undefined ? {} : { proxy: setting.proxy }),
  });
  onTestFinished(() => store.close());
  return store;
}

/** A storage that answers what the test says, and takes every object. */
async function serve(...faults: S3Fault[]) {
  const server = await startS3FaultServer((from, to) => from.resume().on('end', () => to.end()));
  onTestFinished(() => server.close());
  server.plan(...faults);
  return server;
}

const content = new TextEncoder().encode('content');

describe('what the storage says', () => {
  test.each([
    [403, 'AccessDenied', 'STORE_DENIED', false],
    [403, 'SignatureDoesNotMatch', 'STORE_DENIED', false],
    [403, 'InvalidAccessKeyId', 'STORE_DENIED', false],
    [400, 'ExpiredToken', 'STORE_DENIED', false],
    [403, 'RequestTimeTooSkewed', 'STORE_DENIED', true],
    [400, 'AuthorizationHeaderMalformed', 'STORE_DENIED', false],
    [401, 'Whatever', 'STORE_DENIED', false],
    [404, 'NoSuchBucket', 'STORE_MISSING', false],
    [409, 'ConditionalRequestConflict', 'STORE_BUSY', true],
    [409, 'OperationAborted', 'STORE_BUSY', true],
    [429, 'TooManyRequests', 'STORE_BUSY', true],
    [503, 'SlowDown', 'STORE_BUSY', true],
    [503, 'ServiceUnavailable', 'STORE_BUSY', true],
    [507, 'XMinioStorageFull', 'STORE_FULL', false],
    [507, 'Whatever', 'STORE_FULL', false],
    [400, 'XMinioAdminBucketQuotaExceeded', 'STORE_FULL', false],
    [500, 'InternalError', 'STORE_FAILED', true],
    [502, 'Bad', 'STORE_FAILED', true],
    [504, 'GatewayTimeout', 'STORE_TIMEOUT', true],
    [400, 'BadDigest', 'STORE_FAILED', true],
    [501, 'NotImplemented', 'STORE_FAILED', false],
    [301, 'PermanentRedirect', 'STORE_FAILED', false],
    [400, 'InvalidRequest', 'STORE_FAILED', false],
  ] as const)('HTTP %i %s is %s', async (status, code, expected, isRetried) => {
    const server = await serve({ kind: 'status', status, code, message: 'what it says' });
    const error = await raised(() => storeAt(server.endpoint).put('key', content));
    expect(error).toMatchObject({ name: 'AdapterError', code: expected, found: `HTTP ${status} ${code}` });
    expect(error.hint).toBeTruthy();
    expect(decideStoreRetry(error) !== 'give-up').toBe(isRetried);
    expect(server.requests).toEqual(['PUT /bucket/prefix/key']);
  });

  test('412 is an object that exists', async () => {
    const server = await serve({ kind: 'status', status: 412, code: 'PreconditionFailed' });
    expect(await storeAt(server.endpoint).put('key', content)).toBe('exists');
  });

  test('how long it asks to wait is heeded, within reason', async () => {
    for (const [header, delayMs] of [
      ['7', 7000],
      ['99999', 300_000],
    ] as const) {
      const server = await serve({ kind: 'status', status: 503, code: 'SlowDown', headers: { 'retry-after': header } });
      const error = await raised(() => storeAt(server.endpoint).stat('key'));
      expect(decideStoreRetry(error)).toEqual({ delayMs });
    }
  });

  test('a refusal without a body (HEAD) is told by its status', async () => {
    const server = await serve({ kind: 'status', status: 403 }, { kind: 'status', status: 404 });
    const store = storeAt(server.endpoint);
    expect(await raised(() => store.stat('key'))).toMatchObject({ code: 'STORE_DENIED' });
    expect(await store.stat('key')).toBeUndefined();
  });

  test('what is no answer of S3 at all', async () => {
    const server = await startS3FaultServer((_, to) =>
      to.writeHead(200, { 'content-type': 'text/html' }).end('<html>no'),
    );
    onTestFinished(() => server.close());
    const store = storeAt(server.endpoint);
    const list = async () => {
      for await (const _ of store.list('')) break;
    };
    expect(await raised(list)).toMatchObject({ code: 'STORE_FAILED' });
    expect(await raised(() => store.getRange('key', { offsetBytes: 2, lengthBytes: 2 }))).toMatchObject({
      code: 'STORE_FAILED',
    });
  });

  test('an answer without an end is not read', async () => {
    let sentBytes = 0;
    const server = await startS3FaultServer((_, to) => {
      to.writeHead(403, { 'content-type': 'application/xml' });
      const more = () => {
        do sentBytes += 1 << 20;
        while (!to.destroyed && to.write(Buffer.alloc(1 << 20, 0x20)));
      };
      to.on('drain', more);
      more();
    });
    onTestFinished(() => server.close());
    expect(await raised(() => storeAt(server.endpoint).put('key', content))).toMatchObject({ code: 'STORE_FAILED' });
    expect(sentBytes).toBeLessThan(64 << 20);
  });

  test('a list that is not in order, or runs in a circle', async () => {
    const page = (keys: readonly string[], more: string) =>
      `<?xml version="1.0"?><ListBucketResult>${keys
        .map((key) => `<Contents><Key>prefix/${key}</Key><Size>1</Size></Contents>`)
        .join('')}${more}</ListBucketResult>`;
    const next = '<IsTruncated>true</IsTruncated><NextContinuationToken>same</NextContinuationToken>';
    for (const body of [
      page(['b', 'a'], ''),
      page(['a', 'a'], ''),
      page(['a'], next),
      page([], next),
      page(['a'], '<IsTruncated>true</IsTruncated>'),
    ]) {
      const server = await startS3FaultServer((_, to) => to.end(body));
      onTestFinished(() => server.close());
      const store = storeAt(server.endpoint);
      const list = async () => {
        for await (const { key } of store.list('')) expect(['a', 'b']).toContain(key);
      };
      expect(await raised(list)).toMatchObject({ code: 'STORE_FAILED' });
    }
  });

  test('the names of others are passed over', async () => {
    const names = ['prefix/%01', 'prefix/.x', 'prefix/a', 'prefix/a+b', 'prefix/b%2Fc', 'prefix/%zz', 'else'];
    const body = `<ListBucketResult>${names.map((name) => `<Contents><Key>${name}</Key></Contents>`).join('')}</ListBucketResult>`;
    const server = await startS3FaultServer((_, to) => to.end(body));
    onTestFinished(() => server.close());
    const keys: string[] = [];
    for await (const { key } of storeAt(server.endpoint).list('')) keys.push(key);
    expect(keys).toEqual(['a', 'b/c']);
  });

  test('the time, also of whom may not ask', async () => {
    const date = 'Sun, 04 Jan 2026 10:20:30 GMT';
    const server = await serve(
      { kind: 'status', status: 403, headers: { date } },
      { kind: 'status', status: 500, headers: { date } },
      { kind: 'status', status: 403, headers: { date: 'soon' } },
    );
    const store = storeAt(server.endpoint);
    expect(await store.now()).toEqual(new Date(date));
    expect(decideStoreRetry(await raised(() => store.now()))).not.toBe('give-up');
    expect(await raised(() => store.now())).toMatchObject({ code: 'STORE_FAILED' });
  });
});

describe('the network', () => {
  test('nobody there, no such host, a reset', async () => {
    const server = await serve({ kind: 'reset' });
    const gone = await serve();
    await gone.close();
    for (const endpoint of [server.endpoint, gone.endpoint, 'http://no-such-host.invalid']) {
      const error = await raised(() => storeAt(endpoint).put('key', content));
      expect(error).toMatchObject({ name: 'AdapterError', code: 'STORE_UNREACHABLE' });
      expect(decideStoreRetry(error)).not.toBe('give-up');
    }
  });

  test('a port that speaks no TLS', async () => {
    const server = await serve();
    const error = await raised(() => storeAt(server.endpoint.replace('http:', 'https:')).put('key', content));
    expect(error).toMatchObject({ code: 'STORE_UNTRUSTED' });
    expect(server.requests).toEqual([]);
  });

  test.each(['hang', 'hang-in-request'] as const)('a storage that does not answer (%s)', async (kind) => {
    const server = await serve({ kind });
    const limits = kind === 'hang' ? { answerTimeoutMs: 200 } : { stallTimeoutMs: 200 };
    const error = await raised(() => storeAt(server.endpoint, { limits }).put('key', new Uint8Array(16 << 20)));
    expect(error).toMatchObject({ name: 'AdapterError', code: 'STORE_TIMEOUT' });
    expect(decideStoreRetry(error)).not.toBe('give-up');
  });

  test('a storage that sends a byte now and then', async () => {
    const server = await startS3FaultServer((_, to) => {
      to.writeHead(206, { 'content-length': '1000000', 'content-range': 'bytes 0-999999/1000000' });
      const timer = setInterval(() => to.write('x'), 20);
      to.on('close', () => clearInterval(timer));
    });
    onTestFinished(() => server.close());
    const store = storeAt(server.endpoint, { limits: { stallTimeoutMs: 300 } });
    const error = await raised(() => store.getRange('key', { offsetBytes: 0, lengthBytes: 1_000_000 }));
    expect(error).toMatchObject({ code: 'STORE_TIMEOUT' });
  });

  test('an abort ends a request that hangs', async () => {
    const server = await serve({ kind: 'hang' }, { kind: 'hang-in-request' });
    const store = storeAt(server.endpoint);
    for (const _ of [1, 2]) {
      const reason = new Error('stopped by the test');
      const controller = new AbortController();
      const put = store.put('key', new Uint8Array(16 << 20), { signal: controller.signal });
      setTimeout(() => controller.abort(reason), 50);
      await expect(put).rejects.toBe(reason);
    }
  });

  test('a proxy is used, and what it refuses is said to be its doing', async () => {
    const server = await serve();
    const proxy = `http://user:${SECRET}@${server.host}`;
    const plain = storeAt('http://storage.invalid', { proxy: { httpProxy: proxy } });
    expect(await plain.put('key', content)).toBe('created');
    expect(server.requests).toEqual(['PUT http://storage.invalid/bucket/prefix/key']);
    // It does not know CONNECT.
    const secure = storeAt('https://storage.invalid', { proxy: { httpsProxy: proxy } });
    const error = await raised(() => secure.put('key', content));
    expect(error).toMatchObject({ code: 'STORE_UNREACHABLE' });
    expect(inspect(error, { depth: 9 })).not.toContain(SECRET);
  });
});

describe('credentials', () => {
  test('are no part of any error, even when the storage repeats them', async () => {
    const message = `you sent ${SECRET} and ${TOKEN}`;
    const server = await serve(
      { kind: 'status', status: 403, code: 'SignatureDoesNotMatch', message },
      { kind: 'status', status: 500, code: 'InternalError', message },
      { kind: 'reset' },
      { kind: 'status', status: 404, code: 'NoSuchBucket', message },
    );
    const store = storeAt(server.endpoint);
    for (const _ of [1, 2, 3, 4]) {
      const shown = inspect(await raised(() => store.put('key', content)), { depth: 9, showHidden: true });
      expect(shown).not.toContain(SECRET);
      expect(shown).not.toContain(TOKEN);
    }
  });

  test('are asked for again before they expire, and not before', async () => {
    const server = await serve();
    let time = START;
    let asked = 0;
    const store = storeAt(server.endpoint, {
      now: () => time,
      credentials: async () => {
        asked += 1;
        return { accessKeyId: `key-${asked}`, secretAccessKey: SECRET, expiration: new Date(time + 900_000) };
      },
    });
    for (const [afterMs, expected] of [
      [0, 1],
      [600_000, 1],
      [250_000, 2],
      [60_000, 2],
      [900_000, 3],
    ] as const) {
      time += afterMs;
      await store.put('key', content);
      expect(asked).toBe(expected);
    }
  });

  test.each(['ExpiredToken', 'InvalidToken', 'InvalidAccessKeyId'])(
    'are asked for again when the storage says %s, once',
    async (code) => {
      const expired = { kind: 'status', status: 403, code } as const;
      const server = await serve(expired);
      let asked = 0;
      const credentials = async () => {
        asked += 1;
        return { accessKeyId: `key-${asked}`, secretAccessKey: SECRET };
      };
      const store = storeAt(server.endpoint, { credentials });
      expect(await store.put('key', content)).toBe('created');
      expect(asked).toBe(2);
      server.plan(expired, expired, expired);
      expect(await raised(() => store.put('key', content))).toMatchObject({ code: 'STORE_DENIED' });
      expect(server.requests).toHaveLength(4);
    },
  );

  test('that several requests found expired are renewed once, and whoever gives them out is told which', async () => {
    const expired = { kind: 'status', status: 403, code: 'ExpiredToken' } as const;
    const server = await serve(expired, expired, expired);
    const told: (string | undefined)[] = [];
    const credentials: CredentialsProvider = async ({ refused }) => {
      told.push(refused?.accessKeyId);
      return { accessKeyId: refused === undefined ? 'key-1' : 'key-2', secretAccessKey: SECRET };
    };
    const store = storeAt(server.endpoint, { credentials });
    await Promise.all(['a', 'b', 'c'].map((key) => store.put(key, content)));
    expect(told.filter((one) => one !== undefined)).not.toContain('key-2');
    const before = told.length;
    await store.put('d', content);
    expect(told).toHaveLength(before);
  });

  test('that are the same again are not tried again', async () => {
    const server = await serve({ kind: 'status', status: 403, code: 'ExpiredToken' });
    expect(await raised(() => storeAt(server.endpoint).put('key', content))).toMatchObject({ code: 'STORE_DENIED' });
    expect(server.requests).toHaveLength(1);
  });

  test('a provider that fails or hangs', async () => {
    const server = await serve();
    const failure = new Error('no ticket today');
    const failing = storeAt(server.endpoint, { credentials: () => Promise.reject(failure) });
    expect(await raised(() => failing.put('key', content))).toMatchObject({
      name: 'AdapterError',
      code: 'STORE_CREDENTIALS_MISSING',
      cause: failure,
    });
    const hanging = storeAt(server.endpoint, {
      limits: { stallTimeoutMs: 200 },
      credentials: ({ signal }) =>
        new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason))),
    });
    expect(await raised(() => hanging.put('key', content))).toMatchObject({ code: 'STORE_TIMEOUT' });
    expect(server.requests).toEqual([]);
  });
});
