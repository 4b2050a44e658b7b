import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { writeFileDurable } from '../adapters/files/durable.ts';
import { fileError } from '../adapters/files/file-error.ts';
import { readSmallFile } from '../adapters/files/small-file.ts';
import { defaultStateFolder } from './environment.ts';

/**
 * What this machine keeps about a repository, outside of it:
 *
 *     <configuration>/repositories/<slug>/     trust.json, writer.json (mode 0600), repository.json: by the address
 *     <state>/repositories/<repository id>/    documents/checkpoint.document: what was seen last; by the id
 *
 * The configuration goes by the address and not by the id: else a storage that serves another repository of the same user
 * under this address would be believed.
 */
export interface RepositoryPlaces {
  /** Absolute, also when it does not exist. */
  readonly folder: string;
  readonly trust: string;
  readonly writerKey: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

const SETTINGS_MAX_BYTES = 64 * 1024;

const settingsSchema = z.object({ address: z.string(), signKey: z.string().optional() });

export interface RepositorySettings {
  readonly address: string;
  /** Absolute path of the signing key that `backup init` was given. */
  readonly signKey?: string | undefined;
}

/** `address`: the store's `place`. */
export function repositoryPlaces(address: string, env: Environment, cwd: string): RepositoryPlaces {
  const base = env.XDG_CONFIG_HOME || join(env.HOME ?? cwd, '.config');
  const readable = address
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(-40)
    .replace(/^-+/, '');
  const hash = createHash('sha256').update(address).digest('hex').slice(0, 12);
  const folder = join(
    resolve(cwd, base),
    'portolan',
    'repositories',
    `${readable === '' ? '' : `${readable}-`}${hash}`,
  );
  return { folder, trust: join(folder, 'trust.json'), writerKey: join(folder, 'writer.json') };
}

/** The folder for checkpoints and locks of a repository. `state` is what --state named. */
export function repositoryStateFolder(
  repository: string,
  { state, env, cwd }: { readonly state: string | undefined; readonly env: Environment; readonly cwd: string },
): string {
  const base = state === undefined ? defaultStateFolder(env) : resolve(cwd, state);
  return join(base, 'repositories', repository);
}

/** `undefined` when `backup init` was not run here for this address. */
export async function readRepositorySettings(places: RepositoryPlaces): Promise<RepositorySettings | undefined> {
  const bytes = await readSmallFile(join(places.folder, 'repository.json'), SETTINGS_MAX_BYTES);
  if (bytes === undefined) return undefined;
  try {
    return settingsSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    // A convenience: what it says can be said by options.
    return undefined;
  }
}

export async function writeRepositorySettings(places: RepositoryPlaces, settings: RepositorySettings): Promise<void> {
  await makePrivateFolder(places.folder);
  await writeFileDurable(join(places.folder, 'repository.json'), `${JSON.stringify(settings, undefined, 2)}\n`);
}

export async function makePrivateFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw fileError(cause, folder, 'write');
  }
}
