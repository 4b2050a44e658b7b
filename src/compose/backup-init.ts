import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { writeFileDurable } from '../adapters/files/durable.ts';
import { readSmallFile } from '../adapters/files/small-file.ts';
import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import { MAX_IDENTITY_FILE_BYTES } from '../formats/age/identity-file.ts';
import { joinRecipients, parseRecipient, parseRecipientsFile } from '../formats/age/recipients.ts';
import { parseWriterName, type WriterName } from '../formats/repository/keys.ts';
import { type PinnedRoot, pinnedRootOf } from '../formats/repository/pinned-root.ts';
import {
  decodeRepositoryTrust,
  encodeRepositoryTrust,
  REPOSITORY_TRUST_MAX_BYTES,
} from '../formats/repository/repository-trust.ts';
import type { RosterKey, RosterRecipient } from '../formats/repository/roster.ts';
import {
  decodeWriterKey,
  encodeWriterKey,
  WRITER_KEY_MAX_BYTES,
  type WriterKey,
} from '../formats/repository/writer-key.ts';
import type { SigningKey } from '../formats/sigstore/cosign-key.ts';
import { PUBLIC_KEY_FILE_MAX_BYTES, parsePublicKey } from '../formats/sigstore/public-key.ts';
import { UseCaseError } from '../usecases/errors.ts';
import { type InitFiles, type InitReport, initRepository } from '../usecases/repository/init.ts';
import { openPlace, type RepositoryOptions, type Running } from './repository.ts';
import { makePrivateFolder, type RepositoryPlaces, writeRepositorySettings } from './repository-places.ts';

export interface InitSettings extends Omit<RepositoryOptions, 'trust' | 'checkpoint'> {
  readonly signer: SigningKey;
  /** Of further approvers. */
  readonly coSigners: readonly SigningKey[];
  /** The root that `keys init` made; absolute. */
  readonly root?: string | undefined;
  /** Absolute path of its file. */
  readonly signKey: string;
  /** `RECIPIENT` or `NAME=RECIPIENT`. */
  readonly recipients: readonly string[];
  /** Absolute paths of recipients files. */
  readonly recipientsFiles: readonly string[];
  readonly breakGlass: readonly string[];
  readonly writer?: string | undefined;
  /** The writer's public key, where it is not the signer's. Absolute. */
  readonly writerPub?: string | undefined;
  /** `FILE` or `NAME=FILE`. */
  readonly approvers: readonly string[];
  readonly pruners: readonly string[];
  readonly verifiers: readonly string[];
}

export interface InitOutcome extends InitReport {
  readonly place: string;
  readonly writerKey: string;
  readonly trust: string;
}

export async function composeBackupInit(settings: InitSettings, running: Running): Promise<InitOutcome> {
  const { signer, cwd } = { ...settings, ...running };
  const own = { publicKey: publicKeyText(signer.publicKey) };
  const named = <Name extends string>(given: readonly string[], role: string) => readNamedKeys<Name>(given, role, cwd);
  const root = settings.root === undefined ? undefined : await readRoot(settings.root);
  const approvers = root?.approvers ?? (await named(settings.approvers, 'approver'));
  const pruners = await named<WriterName>(settings.pruners, 'pruner');
  const verifiers = await named<WriterName>(settings.verifiers, 'verifier');
  const writer = parseWriterName(settings.writer ?? writerNameOfHost());
  const writerPub = settings.writerPub === undefined ? own.publicKey : await readPublicKey(settings.writerPub);
  await using place = await openPlace(settings, running);
  const { places, store, memory } = place;
  const report = await initRepository(
    {
      signer,
      coSigners: settings.coSigners,
      ...(root === undefined ? {} : { root: root.pinned, threshold: root.threshold }),
      approvers: approvers.length > 0 ? approvers : [{ name: 'approver-1', ...own }],
      recipients: withPinned(await readRosterRecipients(settings), root?.pinned.breakGlass ?? []),
      writer: { name: writer, publicKey: writerPub },
      pruners: pruners.length > 0 ? pruners : [{ name: 'pruner-1' as WriterName, ...own }],
      verifiers,
    },
    { store, files: initFiles(places), memory, now: running.now },
    { signal: running.signal },
  );
  await writeRepositorySettings(places, { address: store.place, signKey: settings.signKey });
  return { ...report, place: store.place, writerKey: places.writerKey, trust: places.trust };
}

interface Root {
  readonly approvers: readonly RosterKey[];
  readonly threshold: number;
  readonly pinned: PinnedRoot;
}

async function readRoot(path: string): Promise<Root> {
  const bytes = await createProjectFiles().read(path, REPOSITORY_TRUST_MAX_BYTES);
  const { repository, keys, threshold = 1, ...rest } = decodeRepositoryTrust(bytes, path);
  if (repository === undefined) {
    const approvers = keys.map(({ name, publicKey }) => ({ name, publicKey: publicKeyText(publicKey) }));
    return { approvers, threshold, pinned: pinnedRootOf(rest) };
  }
  throw new UseCaseError('ROOT_DIFFERS', 'this root belongs to a repository already', {
    found: repository,
    at: { file: path, key: 'repository' },
    hint: 'Give the root that `portolan keys init` made: it names no repository.',
  });
}

/** Recipients that the root pins are there without being named, and have their role by whatever name. */
function withPinned(named: readonly RosterRecipient[], pinned: readonly string[]): readonly RosterRecipient[] {
  const absent = pinned.filter((recipient) => !named.some((one) => one.recipient === recipient));
  const names = freeNames('break-glass', named);
  const added = absent.map((recipient) => ({ name: names(), recipient, role: 'break-glass' as const }));
  const all = [...named, ...added];
  joinRecipients(all.map(({ recipient }) => parseRecipient(recipient)));
  return all;
}

function initFiles(places: RepositoryPlaces): InitFiles {
  return {
    place: places.folder,
    async readWriterKey() {
      const bytes = await readSmallFile(places.writerKey, WRITER_KEY_MAX_BYTES);
      return bytes === undefined ? undefined : decodeWriterKey(bytes, places.writerKey);
    },
    async write(writerKey: WriterKey) {
      await makePrivateFolder(places.folder);
      await writeFileDurable(
        places.trust,
        encodeRepositoryTrust(writerKey.repository, writerKey.approvers, writerKey.root),
      );
      // Last: where it is, trust.json is.
      await writeFileDurable(places.writerKey, encodeWriterKey(writerKey), { mode: 0o600 });
    },
  };
}

/** Recipients with the names that they have in the roster; those without get `reader-1` and so on, as far as that is not `taken`. */
export async function readRosterRecipients(
  { recipients, recipientsFiles, breakGlass }: Pick<InitSettings, 'recipients' | 'recipientsFiles' | 'breakGlass'>,
  taken: readonly { readonly name: string }[] = [],
): Promise<readonly RosterRecipient[]> {
  const readers = recipients.map(splitName);
  for (const path of recipientsFiles) {
    const text = new TextDecoder().decode(await createProjectFiles().read(path, MAX_IDENTITY_FILE_BYTES));
    readers.push(...parseRecipientsFile(text, path).map((recipient) => ({ name: undefined, value: recipient.text })));
  }
  const numbered = (given: readonly Named[], role: RosterRecipient['role']) => {
    const names = freeNames(role, taken);
    return given.map(({ name, value }) => ({ name: name ?? names(), recipient: parseRecipient(value).text, role }));
  };
  const all = [...numbered(readers, 'reader'), ...numbered(breakGlass.map(splitName), 'break-glass')];
  if (all.length > 0) joinRecipients(all.map(({ recipient }) => parseRecipient(recipient)));
  return all;
}

/** `FILE` or `NAME=FILE` of public keys. */
export async function readNamedKeys<Name extends string>(
  given: readonly string[],
  role: string,
  cwd: string,
  taken: readonly { readonly name: string }[] = [],
): Promise<readonly RosterKey<Name>[]> {
  const keys: RosterKey<Name>[] = [];
  const names = freeNames(role, taken);
  for (const text of given) {
    const { name, value } = splitName(text);
    const publicKey = await readPublicKey(resolve(cwd, value));
    keys.push({ name: parseWriterName(name ?? names()) as string as Name, publicKey });
  }
  return keys;
}

export async function readPublicKey(path: string): Promise<string> {
  return publicKeyText(parsePublicKey(await createProjectFiles().read(path, PUBLIC_KEY_FILE_MAX_BYTES), path));
}

function publicKeyText(key: SigningKey['publicKey']): string {
  return key.export({ type: 'spki', format: 'der' }).toString('base64');
}

/** `ROLE-1`, `ROLE-2` and on, without those that somebody has: a new entry replaces nobody by accident. */
function freeNames(role: string, taken: readonly { readonly name: string }[]): () => string {
  const names = new Set(taken.map(({ name }) => name));
  let number = 0;
  return () => {
    do number += 1;
    while (names.has(`${role}-${number}`));
    return `${role}-${number}`;
  };
}

interface Named {
  readonly name: string | undefined;
  readonly value: string;
}

/** `NAME=VALUE`; the name is short and plain, so that a path with `=` in it is seldom taken apart. */
function splitName(text: string): Named {
  const [, name, value] = /^([A-Za-z0-9][A-Za-z0-9 ._@-]{0,62})=(.+)$/s.exec(text) ?? [];
  return value === undefined ? { name: undefined, value: text } : { name, value };
}

function writerNameOfHost(): string {
  const name = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63);
  return name === '' ? 'writer' : name;
}
