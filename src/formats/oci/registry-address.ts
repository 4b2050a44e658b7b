import type { Digest } from '../../core/digest.ts';
import { printable } from '../../core/printable.ts';
import { FormatError } from '../errors.ts';
import { formatReference, type ImageReference, parseReference } from './reference.ts';

/**
 * A registry, and a place in it, as a person writes it:
 *
 *     HOST[:PORT][/PREFIX]            TLS
 *     https://HOST[:PORT][/PREFIX]    TLS
 *     http://HOST[:PORT][/PREFIX]     plain HTTP, which is never assumed
 *
 * An image lies there under its own path, without the host that it came from: this is where containerd looks for it once
 * the place is named as a mirror of that host (registries.yaml of k3s, hosts.toml of containerd), with no rewriting.
 */
export interface RegistryAddress {
  /** As references write it: `registry.example:5000`. */
  readonly host: string;
  /** `mirror/closed`; empty where there is none. */
  readonly prefix: string;
  readonly plainHttp: boolean;
}

/** Two images that would lie under one name. */
export interface ReferenceCollision {
  readonly name: string;
  readonly references: readonly string[];
}

/** Raises FormatError REGISTRY_ADDRESS_INVALID. What is wrong is told without what stands before an `@`: a password. */
export function parseRegistryAddress(text: string): RegistryAddress {
  const [, scheme, rest = ''] = /^(?:([A-Za-z][A-Za-z0-9+.-]*):\/\/)?(.*)$/s.exec(text) ?? [];
  if (rest.includes('@')) throw invalid(rest.slice(rest.lastIndexOf('@') + 1), 'it may not hold a user or a password');
  if (scheme !== undefined && !/^https?$/i.test(scheme)) throw invalid(text, `${scheme}:// is not a registry's scheme`);
  const trimmed = rest.replace(/\/+$/, '');
  const slash = trimmed.indexOf('/');
  const host = slash < 0 ? trimmed : trimmed.slice(0, slash);
  const prefix = slash < 0 ? '' : trimmed.slice(slash + 1);
  // A word without a dot or a port would be read as a part of docker.io's paths wherever a reference is read.
  if (!/[.:]/.test(host) && host !== 'localhost') {
    const port = /^http$/i.test(scheme ?? '') ? 80 : 443;
    throw invalid(text, `"${printable(host, 100)}" is not a full host name`, `Give a port: ${host || 'HOST'}:${port}.`);
  }
  const sample = parseSample(text, `${host}/${prefix === '' ? '' : `${prefix}/`}image`);
  if (sample.host !== host) throw invalid(text, `"${printable(host, 100)}" is not a host name`);
  return { host, prefix, plainHttp: /^http$/i.test(scheme ?? '') };
}

/** `registry.example/mirror`: what a mirror is set to, and what errors call it. */
export function formatRegistryAddress({ host, prefix }: RegistryAddress): string {
  return prefix === '' ? host : `${host}/${prefix}`;
}

/**
 * Where an image lies in the target: `registry.example/cms/web:1.4.0` → `HOST/PREFIX/cms/web:1.4.0`. Tag and digest stay.
 * Raises FormatError REFERENCE_INVALID, also for what would be longer than a reference may be.
 */
export function mirroredReference(reference: string, target: RegistryAddress): string {
  return formatReference(parseReference(formatReference(mirroredImage(reference, target))));
}

/** The same, in parts. */
export function mirroredImage(reference: string, target: RegistryAddress): ImageReference {
  const { repository, tag, digest } = parseReference(reference);
  return {
    host: target.host,
    repository: target.prefix === '' ? repository : `${target.prefix}/${repository}`,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
    ...(tag === undefined && digest === undefined ? { tag: 'latest' } : {}),
  };
}

/** Names that several images of different content would get, as two registries with one path give them. */
export function findCollisions(
  images: readonly { readonly reference: string; readonly digest: Digest }[],
  target: RegistryAddress,
): ReferenceCollision[] {
  const byName = new Map<string, Map<Digest, string[]>>();
  for (const { reference, digest } of images) {
    const { tag, ...rest } = mirroredImage(reference, target);
    if (tag === undefined) continue; // A digest is a name that cannot be taken twice.
    const name = `${rest.host}/${rest.repository}:${tag}`;
    const digests = byName.get(name) ?? new Map<Digest, string[]>();
    digests.set(digest, [...(digests.get(digest) ?? []), reference]);
    byName.set(name, digests);
  }
  return [...byName]
    .filter(([, digests]) => digests.size > 1)
    .map(([name, digests]) => ({ name, references: [...digests.values()].flat().sort() }));
}

function parseSample(text: string, sample: string): ImageReference {
  try {
    return parseReference(sample);
  } catch (cause) {
    if (cause instanceof FormatError) throw invalid(text, cause.message.replace(/^.* is not an image reference: /, ''));
    throw cause;
  }
}

function invalid(text: string, reason: string, hint?: string): FormatError {
  return new FormatError('REGISTRY_ADDRESS_INVALID', `"${printable(text, 200)}" is not a registry: ${reason}`, {
    expected: 'HOST[:PORT][/PREFIX], with http:// in front for plain HTTP',
    found: printable(text, 200),
    hint: hint ?? 'Write it like registry.example:5000/mirror; who logs in stands in config.json.',
  });
}
