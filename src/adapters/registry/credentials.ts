import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { AdapterError } from '../errors.ts';
import { fileError, isErrno } from '../files/file-error.ts';
import type { CredentialLookup, Credentials } from './authorization.ts';
import { askCredentialHelper } from './credential-helper.ts';

/**
 * Credentials as the container engines keep them: docker's config.json and containers' auth.json.
 *
 *     { "auths": { "registry.example": { "auth": base64("user:password"), "identitytoken"?, "registrytoken"? } },
 *       "credHelpers": { "registry.example": "pass" },      docker-credential-pass
 *       "credsStore": "secretservice" }
 *
 * Keys of `auths` are hosts, hosts with a part of a path (containers), or addresses (`https://index.docker.io/v1/`).
 */
export interface CredentialSettings {
  /** Absolute paths, asked in order. A file that does not exist is passed over. */
  readonly files: readonly string[];
  /** For docker-credential-NAME; by default that of this process. */
  readonly helperEnvironment?: Readonly<Record<string, string>>;
  /** 30 s: a helper may ask a person to unlock a key ring. */
  readonly helperTimeoutMs?: number;
}

const MAX_CONFIG_BYTES = 4 * 1024 * 1024;
const HELPER_TIMEOUT_MS = 30_000;
const DOCKER_HUB_KEY = 'https://index.docker.io/v1/';
const DOCKER_HUB_NAMES = ['docker.io', 'index.docker.io', 'registry-1.docker.io'];

const entrySchema = z.object({
  auth: z.string().nullish(),
  username: z.string().nullish(),
  password: z.string().nullish(),
  identitytoken: z.string().nullish(),
  registrytoken: z.string().nullish(),
});
const configSchema = z.object({
  auths: z.record(z.string(), entrySchema).nullish(),
  credHelpers: z.record(z.string(), z.string()).nullish(),
  credsStore: z.string().nullish(),
});
type Config = z.infer<typeof configSchema>;

/** Reads the files at each question: a token may be renewed while we run. Raises AdapterError CREDENTIALS_UNUSABLE. */
export function createCredentialLookup(settings: CredentialSettings): CredentialLookup {
  return async (host, repository, options = {}) => {
    for (const path of settings.files) {
      const config = await readConfig(path);
      if (!config) continue;
      const helper = helperFor(config, host);
      const credentials = helper
        ? await askCredentialHelper(helper, serverKey(host), {
            timeoutMs: settings.helperTimeoutMs ?? HELPER_TIMEOUT_MS,
            ...(settings.helperEnvironment ? { environment: settings.helperEnvironment } : {}),
            ...options,
          })
        : undefined;
      const found = credentials ?? fromEntries(config, path, host, repository);
      if (found) return found;
    }
    return undefined;
  };
}

async function readConfig(path: string): Promise<Config | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if (isErrno(cause) && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR')) return undefined;
    throw fileError(cause, path, 'read');
  }
  let document: unknown;
  try {
    document = text.length > MAX_CONFIG_BYTES ? undefined : JSON.parse(text);
  } catch {
    document = undefined; // The parser's message would quote the file, secrets and all.
  }
  const parsed = configSchema.safeParse(document);
  if (parsed.success) return parsed.data;
  const key = parsed.error.issues[0]?.path.map(String).join('.') || undefined;
  throw new AdapterError('CREDENTIALS_UNUSABLE', `${path} is not a configuration of a container engine`, {
    at: { file: path, ...(key === undefined ? {} : { key }) },
    hint: 'Correct the file, or log in again with your container tool.',
  });
}

function helperFor(config: Config, host: string): string | undefined {
  for (const name of namesOf(host)) {
    const helper = config.credHelpers?.[name];
    if (helper) return helper;
  }
  return config.credsStore || undefined;
}

function fromEntries(config: Config, path: string, host: string, repository: string): Credentials | undefined {
  const entries = new Map(Object.entries(config.auths ?? {}).map(([key, entry]) => [normaliseKey(key), entry]));
  for (const name of namesOf(host)) {
    // The longest path wins: registry.example/team before registry.example.
    for (let key = `${name}/${repository}`; key !== ''; key = key.slice(0, Math.max(key.lastIndexOf('/'), 0))) {
      const entry = entries.get(key);
      const credentials = entry && toCredentials(entry, path, key);
      if (credentials) return credentials;
    }
  }
  return undefined;
}

function toCredentials(entry: z.infer<typeof entrySchema>, path: string, key: string): Credentials | undefined {
  if (entry.registrytoken) return { kind: 'registry-token', token: entry.registrytoken };
  if (entry.identitytoken) return { kind: 'identity-token', token: entry.identitytoken };
  if (entry.auth) {
    // docker pads with zero bytes.
    const pair = Buffer.from(entry.auth, 'base64').toString('utf8').replace(/\0+$/, '');
    const colon = pair.indexOf(':');
    if (colon > 0) return { kind: 'password', username: pair.slice(0, colon), password: pair.slice(colon + 1) };
    throw new AdapterError('CREDENTIALS_UNUSABLE', `The entry of ${key} in ${path} holds no user name and password`, {
      at: { file: path, key: `auths.${key}.auth` },
      expected: 'base64 of USER:PASSWORD',
      hint: 'Log in again with your container tool.',
    });
  }
  return entry.username && entry.password
    ? { kind: 'password', username: entry.username, password: entry.password }
    : undefined;
}

function namesOf(host: string): readonly string[] {
  return host === 'docker.io' ? DOCKER_HUB_NAMES : [host];
}

/** What helpers know a server by. */
function serverKey(host: string): string {
  return host === 'docker.io' ? DOCKER_HUB_KEY : host;
}

/** `https://index.docker.io/v1/` → `index.docker.io`; a path that is no API version stays. */
function normaliseKey(key: string): string {
  return key
    .replace(/^https?:\/\//, '')
    .replace(/\/v[12]\/?$/, '')
    .replace(/\/+$/, '');
}
