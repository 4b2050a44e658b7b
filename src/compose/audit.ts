import { hostname, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import { createFolderState } from '../adapters/target-state/folder-state.ts';
import { decodeExported, EXPORTED_MAX_BYTES } from '../formats/audit/exported.ts';
import type { JournalHead } from '../formats/audit/journal.ts';
import type { AuditedWork } from '../formats/audit/record.ts';
import type { VerifiedIdToken } from '../formats/identity/id-token.ts';
import { keyHint, PUBLIC_KEY_FILE_MAX_BYTES, parsePublicKeys } from '../formats/sigstore/public-key.ts';
import type { TrustedKey } from '../formats/sigstore/signature-bundle.ts';
import type { TargetState } from '../ports/target-state.ts';
import { type AuditJournal, readJournal } from '../usecases/audit/journal.ts';
import { type JournalReport, lookIntoJournal } from '../usecases/audit/look-into-journal.ts';
import { defaultStateFolder, type Running } from './environment.ts';

export interface AuditPlace {
  /** What --state named. */
  readonly state?: string | undefined;
}

/** The journal of this machine, to be written. */
export function openAuditJournal(place: AuditPlace, running: Running): AuditJournal {
  const { now, progress } = running;
  const holder = `${userInfo().username} on ${hostname()} (process ${process.pid})`;
  return { state: auditState(place, running), holder, now, progress };
}

/** Who and where, of a record; `login` is the person whom the identity provider named. */
export function actorOf(login?: VerifiedIdToken): AuditedWork['who'] {
  const { username: user, uid } = userInfo();
  if (login === undefined) return { user, uid };
  const { issuer, subject, expiresAt } = login;
  return { user, uid, login: { issuer, subject, until: expiresAt.toISOString() } };
}

export interface AuditRequest extends AuditPlace {
  /** What `audit list --json` printed, instead of the journal of this machine. */
  readonly file?: string | undefined;
  /** PEM with public keys of journals. */
  readonly key?: string | undefined;
  readonly head?: JournalHead | undefined;
}

export interface AuditReport extends JournalReport {
  /** Where the records were read. */
  readonly place: string;
}

/** @throws FormatError AUDIT_EXPORT_INVALID, PUBLIC_KEY_…, TARGET_STATE_INVALID; AdapterError FILE_… */
export async function composeAudit(
  { file, key, head, ...place }: AuditRequest,
  running: Running,
): Promise<AuditReport> {
  const given = key === undefined ? undefined : await readKeys(resolve(running.cwd, key));
  if (file !== undefined) {
    const documents = decodeExported(
      await createProjectFiles().read(resolve(running.cwd, file), EXPORTED_MAX_BYTES),
      file,
    );
    return { place: file, ...lookIntoJournal({ documents, keys: given ?? [], head }) };
  }
  const state = auditState(place, running);
  const { documents, key: own } = await readJournal(state, running);
  const keys = given ?? (own === undefined ? [] : [own]);
  return { place: state.place, ...lookIntoJournal({ documents, keys, head }) };
}

async function readKeys(path: string): Promise<TrustedKey[]> {
  const pem = await createProjectFiles().read(path, PUBLIC_KEY_FILE_MAX_BYTES);
  return parsePublicKeys(pem, path).map((publicKey) => ({ publicKey, keyHint: keyHint(publicKey), name: path }));
}

function auditState({ state }: AuditPlace, { env, cwd, now }: Running): TargetState {
  const base = state === undefined ? defaultStateFolder(env) : resolve(cwd, state);
  return createFolderState({ folder: join(base, 'audit'), now });
}
