import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Digest } from '../../src/core/digest.ts';
import { isDigest } from '../../src/core/digest.ts';
import { MEDIA_TYPES } from '../../src/formats/oci/manifest.ts';
import type { ImageContent } from './image-content.ts';
import { serveOnLoopback } from './loopback-server.ts';

/** What a test may do instead of answering: answer itself and return true, or let the registry answer. */
export type Fault = (request: IncomingMessage, response: ServerResponse) => boolean | undefined;

export interface FaultRegistryOptions {
  readonly fault?: Fault;
  /** The referrers API. On unless it is switched off. */
  readonly referrers?: boolean;
  readonly tls?: { readonly key: string; readonly cert: string };
}

export interface FaultRegistry {
  /** `127.0.0.1:port`, as references write it. */
  readonly host: string;
  readonly requests: readonly {
    readonly method: string;
    readonly path: string;
    readonly headers: IncomingMessage['headers'];
  }[];
  close(): Promise<void>;
}

/** An in-process registry: the reading half of the OCI distribution specification, with faults on demand. */
export async function startFaultRegistry(
  content: ImageContent,
  options: FaultRegistryOptions = {},
): Promise<FaultRegistry> {
  const requests: { method: string; path: string; headers: IncomingMessage['headers'] }[] = [];
  const handler = (request: IncomingMessage, response: ServerResponse): void => {
    requests.push({ method: request.method ?? '', path: request.url ?? '', headers: request.headers });
    if (options.fault?.(request, response)) return;
    serve(content, options, request, response);
  };
  const server = await serveOnLoopback(handler, options.tls);
  return {
    host: server.host,
    requests,
    close: () => server.close(),
  };
}

/** A registry's own way to say no. */
export function refuse(
  response: ServerResponse,
  status: number,
  code: string,
  headers: Record<string, string> = {},
  message = 'said the registry',
): true {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ errors: [{ code, message }] }));
  return true;
}

function serve(
  content: ImageContent,
  options: FaultRegistryOptions,
  request: IncomingMessage,
  response: ServerResponse,
) {
  const [, kind, name = ''] =
    /^(?:http:\/\/[^/]+)?\/v2\/.+\/(manifests|blobs|referrers)\/([^/?]+)/.exec(request.url ?? '') ?? [];
  if (kind === 'manifests') return serveManifest(content, name, response);
  if (kind === 'blobs' && isDigest(name)) return serveBlob(content, name, request, response);
  if (kind === 'referrers' && isDigest(name) && options.referrers !== false)
    return serveReferrers(content, name, response);
  refuse(response, 404, 'NOT_FOUND');
}

function serveManifest(content: ImageContent, name: string, response: ServerResponse): void {
  const digest = isDigest(name) ? name : content.tags.get(name)?.digest;
  const bytes = digest && content.blobs.get(digest);
  const mediaType = digest && content.manifestTypes.get(digest);
  if (!bytes || !mediaType) return void refuse(response, 404, 'MANIFEST_UNKNOWN');
  response.writeHead(200, {
    'content-type': mediaType,
    'content-length': bytes.byteLength,
    // A lie on purpose: nobody may believe it.
    'docker-content-digest': `sha256:${'0'.repeat(64)}`,
  });
  response.end(bytes);
}

function serveBlob(content: ImageContent, digest: Digest, request: IncomingMessage, response: ServerResponse): void {
  const bytes = content.blobs.get(digest);
  if (!bytes) return void refuse(response, 404, 'BLOB_UNKNOWN');
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  if (from > 0 && from >= bytes.byteLength) return void refuse(response, 416, 'RANGE_INVALID');
  const headers = { 'content-type': 'application/octet-stream', 'content-length': bytes.byteLength - from };
  const range = { 'content-range': `bytes ${from}-${bytes.byteLength - 1}/${bytes.byteLength}` };
  response.writeHead(from > 0 ? 206 : 200, from > 0 ? { ...headers, ...range } : headers);
  response.end(bytes.subarray(from));
}

function serveReferrers(content: ImageContent, subject: Digest, response: ServerResponse): void {
  const manifests = [...content.manifestTypes].flatMap(([digest, mediaType]) => {
    const bytes = content.blobs.get(digest);
    if (!bytes) return [];
    const document = JSON.parse(new TextDecoder().decode(bytes)) as { subject?: { digest: string } };
    return document.subject?.digest === subject ? [{ mediaType, digest, size: bytes.byteLength }] : [];
  });
  response.writeHead(200, { 'content-type': MEDIA_TYPES.ociIndex });
  response.end(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests }));
}
