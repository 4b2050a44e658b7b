import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Digest, digestOf } from '../../src/core/digest.ts';
import { refuse } from './fault-registry.ts';
import { serveOnLoopback } from './loopback-server.ts';

/**
 * What a test does to a request: answers it (true), lets the registry take only the first bytes of the body and then breaks
 * the connection, lets it do all and breaks the connection instead of answering, or nothing.
 */
export type UploadFault = (request: IncomingMessage, response: ServerResponse) => FaultOutcome | Promise<FaultOutcome>;
type FaultOutcome = boolean | { readonly cutAfterBytes: number } | 'answer-lost' | undefined;

export interface UploadRegistryOptions {
  readonly fault?: UploadFault;
  /** Links blobs from other repositories. On unless it is switched off. */
  readonly mount?: boolean;
  /** Lists referrers by itself, and says so. Off unless it is switched on. */
  readonly referrers?: boolean;
  /** Takes an index of which it does not hold every manifest. On unless it is switched off. */
  readonly sparseIndexes?: boolean;
  /** What an upload's Location is for its path. Default: the path with a query. */
  readonly location?: (path: string) => string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly tls?: { readonly key: string; readonly cert: string };
}

interface StoredManifest {
  readonly bytes: Buffer;
  readonly mediaType: string;
}

export interface UploadRegistry {
  /** `127.0.0.1:port`, as references write it. */
  readonly host: string;
  readonly requests: readonly {
    readonly method: string;
    readonly path: string;
    readonly headers: IncomingMessage['headers'];
  }[];
  /** Keys are `REPOSITORY DIGEST`. */
  readonly blobs: Map<string, Buffer>;
  readonly manifests: Map<string, StoredManifest>;
  /** Keys are `REPOSITORY:TAG`. */
  readonly tags: Map<string, Digest>;
  /** Uploads that are neither complete nor given up. */
  readonly uploads: Map<string, Buffer[]>;
  close(): Promise<void>;
}

/** An in-process registry: the pushing half of the OCI distribution specification, with faults on demand. */
export async function startUploadRegistry(options: UploadRegistryOptions = {}): Promise<UploadRegistry> {
  const requests: { method: string; path: string; headers: IncomingMessage['headers'] }[] = [];
  const state = { blobs: new Map(), manifests: new Map(), tags: new Map(), uploads: new Map() } as Pick<
    UploadRegistry,
    'blobs' | 'manifests' | 'tags' | 'uploads'
  >;
  const handler = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    request.on('error', () => {});
    requests.push({ method: request.method ?? '', path: request.url ?? '', headers: request.headers });
    const fault = await options.fault?.(request, response);
    if (fault === true) return;
    void serve(
      state,
      options,
      request,
      response,
      typeof fault === 'object' ? fault.cutAfterBytes : undefined,
      fault === 'answer-lost',
    );
  };
  const server = await serveOnLoopback(handler, options.tls);
  return {
    host: server.host,
    requests,
    ...state,
    close: () => server.close(),
  };
}

let lastUpload = 0;

async function serve(
  state: Pick<UploadRegistry, 'blobs' | 'manifests' | 'tags' | 'uploads'>,
  options: UploadRegistryOptions,
  request: IncomingMessage,
  response: ServerResponse,
  cutAfterBytes: number | undefined,
  answerLost: boolean,
): Promise<void> {
  const url = new URL(request.url ?? '', 'http://registry.invalid');
  const { socket } = request;
  const [, repository = '', kind = '', name = ''] = /^\/v2\/(.+?)\/(manifests|blobs)\/(.*)$/.exec(url.pathname) ?? [];
  const answer = (status: number, headers: Record<string, string> = {}, body?: Uint8Array): void => {
    if (answerLost) return void socket.destroy();
    response.writeHead(status, {
      ...options.headers,
      ...headers,
      ...(body ? { 'content-length': body.byteLength } : {}),
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  const method = request.method ?? '';
  if (kind === '') return answer(200);

  if (kind === 'manifests') {
    const digest = (state.tags.get(`${repository}:${name}`) ?? name) as Digest;
    const found = state.manifests.get(`${repository} ${digest}`);
    if (method === 'PUT') return putManifest();
    if (found === undefined) return void refuse(response, 404, 'MANIFEST_UNKNOWN');
    if (method === 'DELETE') {
      state.tags.delete(`${repository}:${name}`);
      return answer(202);
    }
    return answer(200, { 'content-type': found.mediaType, 'docker-content-digest': digest }, found.bytes);
  }
  if (name !== 'uploads/' && kind === 'blobs' && !name.startsWith('uploads/')) {
    const found = state.blobs.get(`${repository} ${name}`);
    return found === undefined ? void refuse(response, 404, 'BLOB_UNKNOWN') : answer(200, {}, found);
  }
  return upload(name.replace(/^uploads\//, ''));

  async function putManifest(): Promise<void> {
    const bytes = await readAll(request);
    const document = JSON.parse(bytes.toString()) as Record<string, { digest: string }[] & { digest?: string }>;
    const parts = [document.config, ...(document.layers ?? [])].flatMap((part) => part?.digest ?? []);
    const unknown = parts.some((digest) => !state.blobs.has(`${repository} ${digest}`));
    const inside = (document.manifests ?? []).map(({ digest }) => digest);
    const isSparse = inside.some((digest) => !state.manifests.has(`${repository} ${digest}`));
    const isList = name.startsWith('sha256-');
    if (unknown || (isSparse && !isList && options.sparseIndexes === false)) {
      return void refuse(response, 400, 'MANIFEST_BLOB_UNKNOWN');
    }
    const digest = digestOf(bytes);
    if (name.startsWith('sha256:') && name !== digest) return void refuse(response, 400, 'DIGEST_INVALID');
    state.manifests.set(`${repository} ${digest}`, { bytes, mediaType: request.headers['content-type'] ?? '' });
    if (!name.startsWith('sha256:')) state.tags.set(`${repository}:${name}`, digest);
    const subject = document.subject?.digest;
    answer(201, options.referrers === true && subject !== undefined ? { 'oci-subject': subject } : {});
  }

  async function upload(id: string): Promise<void> {
    const path = (of: string) => `/v2/${repository}/blobs/uploads/${of}`;
    const where = (of: string) => ({ location: (options.location ?? ((at) => `${at}?_state=state-secret`))(path(of)) });
    if (method === 'POST') {
      request.resume();
      const digest = url.searchParams.get('mount');
      const source = digest && state.blobs.get(`${url.searchParams.get('from')} ${digest}`);
      if (source && options.mount !== false) {
        state.blobs.set(`${repository} ${digest}`, source);
        return answer(201, { location: `/v2/${repository}/blobs/${digest}` });
      }
      lastUpload += 1;
      state.uploads.set(String(lastUpload), []);
      return answer(202, where(String(lastUpload)));
    }
    const parts = state.uploads.get(id);
    if (parts === undefined) {
      request.resume();
      return void refuse(response, 404, 'BLOB_UPLOAD_UNKNOWN');
    }
    const size = (): number => parts.reduce((sum, part) => sum + part.length, 0);
    const range = () => ({ range: `0-${Math.max(0, size() - 1)}` });
    if (method === 'GET') return answer(204, { ...where(id), ...range() });
    if (method === 'DELETE') {
      state.uploads.delete(id);
      return answer(204);
    }
    const from = /^(\d+)-/.exec(request.headers['content-range'] ?? '')?.[1];
    if (from !== undefined && Number(from) !== size()) {
      request.resume();
      return void refuse(response, 416, 'RANGE_INVALID');
    }
    let taken = 0;
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) {
        const piece = cutAfterBytes === undefined ? chunk : chunk.subarray(0, cutAfterBytes - taken);
        parts.push(piece);
        taken += piece.length;
        if (taken === cutAfterBytes) break;
      }
    } catch {
      return; // The client went away.
    }
    if (cutAfterBytes !== undefined) return void socket.destroy();
    if (method === 'PATCH') return answer(202, { ...where(id), ...range() });
    const bytes = Buffer.concat(parts);
    state.uploads.delete(id);
    const digest = url.searchParams.get('digest') ?? '';
    if (digestOf(bytes) !== digest) return void refuse(response, 400, 'DIGEST_INVALID');
    state.blobs.set(`${repository} ${digest}`, bytes);
    answer(201, { 'docker-content-digest': digest });
  }
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) parts.push(chunk);
  return Buffer.concat(parts);
}
