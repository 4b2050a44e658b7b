/**
 * Where a repository or a bucket lies:
 *
 *     PATH
 *     s3://BUCKET[/PREFIX][?endpoint=http[s]://HOST[:PORT]&region=NAME&path-style=true|false&checksum=crc32|sha256|none]
 *
 * An address never holds a secret: addresses stand in lists of processes, in logs and in configuration files.
 */
import { FormatError } from '../errors.ts';

const CHECKSUMS = ['crc32', 'sha256', 'none'] as const;
/** What a client sends with an object so that the storage can tell damage on the way; `none` for storages that know no such thing. */
export type ChecksumMode = (typeof CHECKSUMS)[number];

export interface FolderAddress {
  readonly kind: 'folder';
  /** As it was written. */
  readonly path: string;
}

export interface BucketAddress {
  readonly kind: 's3';
  readonly bucket: string;
  /** Empty, or segments joined by `/` without one at either end. */
  readonly prefix: string;
  /** `https://host:port`; without it, the region's at Amazon. */
  readonly endpoint?: string;
  readonly region?: string;
  /** `endpoint/bucket/key` instead of `bucket.endpoint/key`; the default wherever an endpoint is named. */
  readonly pathStyle: boolean;
  readonly checksum: ChecksumMode;
}

export type RepositoryAddress = FolderAddress | BucketAddress;

const PARAMETERS = ['endpoint', 'region', 'path-style', 'checksum'];
const FORM = 's3://BUCKET/PREFIX?endpoint=https://HOST:PORT';
/** Names that DNS takes, as every S3 storage wants them (Amazon S3, "General purpose bucket naming rules"). */
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const PREFIX = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;
const MAX_PREFIX_LENGTH = 256;
const source = (pattern: RegExp) => pattern.source.slice(1, -1);
/** The shape of a bucket's address, for schemas: {@link parseBucketAddress} looks at the parameters' values as well. */
export const BUCKET_ADDRESS_PATTERN = new RegExp(
  `^s3://${source(BUCKET)}(?:/${source(PREFIX)})?/?(?:\\?(?:${PARAMETERS.join('|')})=[^&#\\s]+(?:&(?:${PARAMETERS.join('|')})=[^&#\\s]+)*)?$`,
);
const SECRET_PARAMETER = /key|secret|token|password|credential|signature/i;

/** @throws FormatError STORAGE_ADDRESS_INVALID, which never shows the address: somebody may have put a secret into it. */
export function parseRepositoryAddress(text: string): RepositoryAddress {
  if (text === '' || text.includes('\0')) throw invalid('The address is empty or holds a NUL', `a path, or ${FORM}`);
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text)?.[1];
  if (scheme === undefined) return { kind: 'folder', path: text };
  if (scheme !== 's3') throw invalid('The address has a scheme that is not supported', `a path, or ${FORM}`);
  return parseBucketAddress(text);
}

/** The form with `s3://` alone: where a folder makes no sense. */
export function parseBucketAddress(text: string): BucketAddress {
  const match = /^s3:\/\/([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(text);
  if (match === null) throw invalid('This is not the address of a bucket');
  const [, bucket = '', path = '', query = ''] = match;
  if (bucket.includes('@')) throw secretInAddress();
  if (!BUCKET.test(bucket)) {
    throw invalid('The address has a wrong name of a bucket', '3 to 63 of a-z, 0-9, dots and hyphens');
  }
  const prefix = path.replace(/\/$/, '');
  if (prefix !== '' && (!PREFIX.test(prefix) || prefix.length > MAX_PREFIX_LENGTH)) {
    throw invalid('The address has a wrong prefix', 'names of A-Z a-z 0-9 . _ - joined by /, none starting with a dot');
  }
  const parameters = parametersOf(query);
  const endpoint = parameters.get('endpoint');
  const region = parameters.get('region');
  if (region !== undefined && !/^[A-Za-z0-9-]{1,64}$/.test(region)) throw invalid('The address has a wrong region');
  const pathStyle = oneOf(parameters.get('path-style'), 'path-style', ['true', 'false'] as const);
  return {
    kind: 's3',
    bucket,
    prefix,
    ...(endpoint === undefined ? {} : { endpoint: parseEndpoint(endpoint) }),
    ...(region === undefined ? {} : { region }),
    pathStyle: pathStyle === undefined ? endpoint !== undefined : pathStyle === 'true',
    checksum: oneOf(parameters.get('checksum'), 'checksum', CHECKSUMS) ?? 'crc32',
  };
}

/** For messages: `s3://bucket/prefix at host:9000`, or the path. */
export function placeOfRepository(address: RepositoryAddress): string {
  if (address.kind === 'folder') return address.path;
  const name = `s3://${address.bucket}${address.prefix === '' ? '' : `/${address.prefix}`}`;
  return address.endpoint === undefined ? name : `${name} at ${new URL(address.endpoint).host}`;
}

/**
 * `http://host:9000` or `https://host/path`; what else a URL can hold is refused.
 *
 * @throws FormatError STORAGE_ADDRESS_INVALID
 */
export function parseEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw invalid('The endpoint is not an address', 'http://HOST:PORT or https://HOST:PORT');
  }
  if (url.username !== '' || url.password !== '') throw secretInAddress();
  // A path is where a gateway serves S3 beside other things, as Supabase does under /storage/v1/s3.
  if (url.search !== '' || url.hash !== '' || !/^[\w./-]*$/.test(url.pathname)) {
    throw invalid(
      'The endpoint holds more than a host, a port and a path',
      'http://HOST:PORT or https://HOST:PORT/PATH',
    );
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

function parametersOf(query: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (!PARAMETERS.includes(name)) {
      if (SECRET_PARAMETER.test(name)) throw secretInAddress();
      throw invalid('The address has a parameter that is not supported', PARAMETERS.join(', '));
    }
    if (parameters.has(name)) throw invalid(`The address names ${name} twice`);
    parameters.set(name, value);
  }
  return parameters;
}

function oneOf<T extends string>(text: string | undefined, name: string, allowed: readonly T[]): T | undefined {
  if (text === undefined) return undefined;
  const found = allowed.find((one) => one === text);
  if (found === undefined) throw invalid(`The address has a wrong ${name}`, allowed.join(', '));
  return found;
}

function secretInAddress(): FormatError {
  return new FormatError('STORAGE_ADDRESS_INVALID', 'The address holds credentials', {
    expected: FORM,
    hint: 'Take them out: everybody on this machine can read the arguments of a program. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_SHARED_CREDENTIALS_FILE, and make a new access key if this one was in a list of processes or in a history.',
  });
}

function invalid(message: string, expected = FORM): FormatError {
  return new FormatError('STORAGE_ADDRESS_INVALID', message, { expected, hint: 'Correct the address.' });
}
