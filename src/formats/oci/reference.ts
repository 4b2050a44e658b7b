import { type Digest, isDigest } from '../../core/digest.ts';
import { printable } from '../../core/printable.ts';
import { FormatError } from '../errors.ts';

/**
 * Image references, read as docker and containerd read them (distribution reference grammar):
 *
 *     reference  = [ host "/" ] path [ ":" tag ] [ "@" digest ]
 *     host       = name [ ":" port ] | "[" IPv6 "]" [ ":" port ]   only if it has a dot, a colon or capitals, or is "localhost"
 *     path       = component *( "/" component )                    lower case
 *     tag        = word character, then up to 127 of [A-Za-z0-9_.-]
 *
 * Without a host it is docker.io, and a single component there lies under `library/`.
 */
export interface ImageReference {
  /** `docker.io`, `registry.example:5000`. */
  readonly host: string;
  /** `library/nginx`, `cms/web`. */
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const HOST_NAME =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]{1,5})?$/;
const HOST_IPV6 = /^\[[a-fA-F0-9:]{2,39}\](?::[0-9]{1,5})?$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const MAX_REFERENCE_LENGTH = 1024;
const MAX_REPOSITORY_LENGTH = 255;

/** Parses and normalises. Raises FormatError REFERENCE_INVALID, naming the part that is wrong. */
export function parseReference(text: string): ImageReference {
  if (text.length === 0) throw invalid(text, 'it is empty');
  if (text.length > MAX_REFERENCE_LENGTH) throw invalid(text, `it is longer than ${MAX_REFERENCE_LENGTH} characters`);
  const { name, digest } = splitDigest(text);
  const { path, tag } = splitTag(text, name);
  if (tag === undefined && digest === undefined && /^[0-9a-f]{64}$/.test(path)) {
    throw invalid(text, 'it is a bare digest and names no repository');
  }
  const { host, repository } = splitHost(path);
  if (!HOST_NAME.test(host) && !HOST_IPV6.test(host)) throw invalid(text, `"${shown(host)}" is not a host name`);
  const port = /:([0-9]+)$/.exec(host.replace(/^\[[^\]]*\]/, ''))?.[1];
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65535)) throw invalid(text, `${port} is not a port`);
  if (repository.length > MAX_REPOSITORY_LENGTH) {
    throw invalid(text, `its repository is longer than ${MAX_REPOSITORY_LENGTH} characters`);
  }
  for (const component of repository.split('/')) {
    if (COMPONENT.test(component)) continue;
    if (component === '') throw invalid(text, 'a part of its path is empty');
    if (COMPONENT.test(component.toLowerCase())) throw invalid(text, `"${shown(component)}" must be in lower case`);
    throw invalid(text, `"${shown(component)}" is not allowed in a repository's path`);
  }
  return { host, repository, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) };
}

/** `docker.io/library/nginx:1.27`; without tag and digest `:latest` is added, as the container engines do. */
export function formatReference(reference: ImageReference): string {
  const tag = reference.tag ?? (reference.digest === undefined ? 'latest' : undefined);
  const name = repositoryName(reference);
  return `${name}${tag === undefined ? '' : `:${tag}`}${reference.digest === undefined ? '' : `@${reference.digest}`}`;
}

/** Two spellings of one reference give the same text: `nginx` and `docker.io/library/nginx:latest`. */
export function normaliseReference(text: string): string {
  return formatReference(parseReference(text));
}

/** `docker.io/library/nginx`: host and repository without tag and digest. */
function repositoryName(reference: ImageReference): string {
  return `${reference.host}/${reference.repository}`;
}

/** Whether it may name other content tomorrow: no tag or `latest`, and no digest. */
export function isFloating(reference: string | ImageReference): boolean {
  const parsed = typeof reference === 'string' ? parseReference(reference) : reference;
  return parsed.digest === undefined && (parsed.tag === undefined || parsed.tag === 'latest');
}

function splitDigest(text: string): { name: string; digest: Digest | undefined } {
  const at = text.indexOf('@');
  if (at < 0) return { name: text, digest: undefined };
  const digest = text.slice(at + 1);
  if (!isDigest(digest)) {
    const reason = /^sha512:/.test(digest) ? 'its digest is not a SHA-256' : 'its digest is not sha256: and 64 digits';
    throw invalid(text, reason);
  }
  return { name: text.slice(0, at), digest };
}

function splitTag(text: string, name: string): { path: string; tag: string | undefined } {
  // A colon before the last slash belongs to a port.
  const colon = name.indexOf(':', name.lastIndexOf('/') + 1);
  if (colon < 0) return { path: name, tag: undefined };
  const tag = name.slice(colon + 1);
  if (!TAG.test(tag)) throw invalid(text, tag === '' ? 'its tag is empty' : `"${shown(tag)}" is not a tag`);
  return { path: name.slice(0, colon), tag };
}

function splitHost(path: string): { host: string; repository: string } {
  const slash = path.indexOf('/');
  const first = path.slice(0, Math.max(slash, 0));
  const isHost = slash > 0 && (/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase());
  let host = isHost ? first : 'docker.io';
  let repository = isHost ? path.slice(slash + 1) : path;
  if (host === 'index.docker.io') host = 'docker.io';
  if (host === 'docker.io' && !repository.includes('/')) repository = `library/${repository}`;
  return { host, repository };
}

/** References come from charts: what is shown must not steer a terminal. */
function shown(text: string): string {
  return printable(text, 200);
}

function invalid(text: string, reason: string): FormatError {
  return new FormatError('REFERENCE_INVALID', `"${shown(text)}" is not an image reference: ${reason}`, {
    expected: 'HOST/REPOSITORY:TAG or HOST/REPOSITORY@sha256:DIGEST',
    found: shown(text),
    hint: 'Write it like registry.example/team/web:1.4.0.',
  });
}
