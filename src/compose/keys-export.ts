import { resolve } from 'node:path';
import { writeFileDurable } from '../adapters/files/durable.ts';
import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import {
  armorIdentityFile,
  MAX_IDENTITY_FILE_BYTES,
  parseIdentityFile,
  recipientOf,
} from '../formats/age/identity-file.ts';
import { renderRecoveryPage } from '../formats/repository/recovery-page.ts';
import type { Roster } from '../formats/repository/roster.ts';
import { UseCaseError } from '../usecases/errors.ts';
import { newestSnapshots } from '../usecases/repository/newest-snapshots.ts';
import { openPlace, openTrusted, type RepositoryOptions, type Running } from './repository.ts';

export interface KeysExportSettings extends RepositoryOptions {
  /** As typed; what lies there is not replaced. */
  readonly out: string;
  /** Of a reader; its text comes onto the page. */
  readonly identity?: string | undefined;
  readonly program: string;
  readonly askSecret: (prompt: string) => Promise<string>;
}

export interface KeysExportOutcome {
  readonly file: string;
  readonly repository: string;
  readonly epoch: number;
  /** The name of the reader whose identity is on the page. */
  readonly reader?: string;
}

/** The page for the safe. With an identity on it, only its owner may read the file. */
export async function composeKeysExport(settings: KeysExportSettings, running: Running): Promise<KeysExportOutcome> {
  const file = resolve(running.cwd, settings.out);
  await requireAbsent(file);
  await using place = await openPlace(settings, running);
  const repository = await openTrusted(place, settings, running);
  const { document, digest } = repository.roster;
  const { identity: path, program, askSecret } = settings;
  const identity = path === undefined ? undefined : await readIdentity(resolve(running.cwd, path), document, askSecret);
  const { newest, problems } = await newestSnapshots(repository, running);
  for (const { code, message } of problems) {
    running.progress.warn(
      `${code}: ${message}; what the page says of snapshots may be too old. Run \`portolan backup check\``,
    );
  }
  const page = renderRecoveryPage({
    ...{ program, place: place.store.place, roster: document, rosterDigest: digest, trust: repository.trust },
    made: new Date(running.now()).toISOString(),
    newest,
    identity: identity?.text,
  });
  await writeFileDurable(file, page, { mode: identity === undefined ? 0o644 : 0o600 });
  return {
    ...{ file, repository: repository.id, epoch: document.epoch },
    ...(identity === undefined ? {} : { reader: identity.name }),
  };
}

/** As the file has it: one that a passphrase protects stays protected. A page with the wrong one would be found out too late. */
async function readIdentity(
  path: string,
  roster: Roster,
  askSecret: KeysExportSettings['askSecret'],
): Promise<{ readonly text: string; readonly name: string }> {
  const bytes = await createProjectFiles().read(path, MAX_IDENTITY_FILE_BYTES);
  const askPassphrase = () => askSecret(`Passphrase of ${path}: `);
  for (const identity of await parseIdentityFile(bytes, { file: path, askPassphrase })) {
    const recipient = await recipientOf(identity);
    const reader = roster.recipients.find((one) => one.recipient === recipient);
    if (reader !== undefined) return { text: armorIdentityFile(bytes), name: reader.name };
  }
  throw new UseCaseError('ROLE_MISSING', 'this identity is not one of the readers: its page would open nothing', {
    expected: roster.recipients.map(({ name }) => name).join(', '),
    at: { file: path },
    hint: 'Give the identity file of a reader, such as the break-glass one.',
  });
}

async function requireAbsent(file: string): Promise<void> {
  if ((await createProjectFiles().kind(file)) === 'absent') return;
  throw new UseCaseError('ALREADY_THERE', `${file} exists: it is not written over`, {
    at: { file },
    hint: 'Choose the name of a new file.',
  });
}
