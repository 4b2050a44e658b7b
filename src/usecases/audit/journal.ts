import { digestOf } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import type { JournalDocument } from '../../formats/audit/journal.ts';
import { type AuditedWork, type AuditRecord, encodeAuditRecord } from '../../formats/audit/record.ts';
import type { SigningKey } from '../../formats/sigstore/cosign-key.ts';
import type { TrustedKey } from '../../formats/sigstore/signature-bundle.ts';
import { createTargetKey, parseTargetKey } from '../../formats/target/target-key.ts';
import type { Progress } from '../../ports/progress.ts';
import type { StateOptions, TargetState } from '../../ports/target-state.ts';
import { UseCaseError } from '../errors.ts';

/**
 * The audit journal of a machine: in its state folder, a document for each record and one for the key. Records are written under the
 * folder's lock, each atomic and durable, and never touched again.
 */
export interface AuditJournal {
  readonly state: TargetState;
  /** Who works, for whoever waits. */
  readonly holder: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly progress: Progress;
  /** Told of every record when it is written. */
  readonly onRecord?: ((record: AuditRecord, bytes: Uint8Array) => void) | undefined;
}

/** What `done`, `failed` and `aborted` say beside the work. */
type Moment = Pick<AuditRecord, 'state' | 'begun' | 'code'>;

const RECORDS = 'record-';
const KEY = 'key';
/** Ten digits, so that names sort as numbers do. */
const DIGITS = 10;
/** Another process that writes a record does so in milliseconds. */
const LOCK_WAIT_MS = 60_000;

/**
 * Does what the journal must tell of. `work` calls `begin` when it knows the snapshot and before it decrypts anything of it: from
 * then on the journal says that it began, and what became of it. A program that is killed leaves a beginning without an end.
 *
 * @param failureOf the code of what a result that is no success went wrong with
 * @throws UseCaseError AUDIT_UNWRITABLE when the beginning cannot be recorded; what `work` throws
 */
export async function recorded<T>(
  journal: AuditJournal,
  facts: Omit<AuditedWork, 'snapshot'>,
  work: (begin: (snapshot: AuditedWork['snapshot']) => Promise<void>) => Promise<T>,
  { signal, failureOf }: { readonly signal: AbortSignal; readonly failureOf: (result: T) => string | undefined },
): Promise<T> {
  let begun: { readonly sequence: number; readonly work: AuditedWork } | undefined;
  const begin = async (snapshot: AuditedWork['snapshot']) => {
    const whole = { ...facts, snapshot };
    try {
      begun = { sequence: await append(journal, whole, { state: 'begun' }, { signal }), work: whole };
    } catch (cause) {
      signal.throwIfAborted();
      throw unwritable(journal, facts.what, cause);
    }
  };
  const end = async (moment: Moment) => {
    if (begun === undefined) return;
    try {
      await append(journal, begun.work, { ...moment, begun: begun.sequence });
    } catch (cause) {
      // What was restored is restored: that it ended is missing, and seen to be missing.
      const { code, message } = unwritable(journal, facts.what, cause);
      journal.progress.warn(`${code}: the journal says that it began, and not how it ended: ${message}`);
    }
  };
  let result: T;
  try {
    result = await work(begin);
  } catch (error) {
    await end(signal.aborted ? { state: 'aborted' } : { state: 'failed', code: codeOf(error) });
    throw error;
  }
  const failure = failureOf(result);
  await end(failure === undefined ? { state: 'done' } : { state: 'failed', code: failure });
  return result;
}

/** The records as they lie there, in order, and the key by which they must be signed: `undefined` where there is no journal. */
export async function readJournal(
  state: TargetState,
  options: StateOptions = {},
): Promise<{ readonly documents: readonly JournalDocument[]; readonly key: TrustedKey | undefined }> {
  const documents: JournalDocument[] = [];
  for (const name of await state.list(RECORDS, options)) {
    const bytes = await state.read(name, options);
    if (bytes !== undefined) documents.push({ bytes, at: `${state.place}, ${name}` });
  }
  const pem = await state.read(KEY, options);
  if (pem === undefined) return { documents, key: undefined };
  const { keyHint, publicKey } = parseTargetKey(pem, state.place);
  return { documents, key: { keyHint, publicKey, name: 'the key of this journal' } };
}

/** @returns the sequence of the new record */
async function append(
  { state, holder, now, progress, onRecord }: AuditJournal,
  work: AuditedWork,
  moment: Moment,
  options: StateOptions = {},
): Promise<number> {
  await using lock = await state.lock(holder, { ...options, waitMs: LOCK_WAIT_MS });
  const last = (await state.list(RECORDS)).at(-1);
  const before = last === undefined ? undefined : await state.read(last);
  const key = await keyOf(state, (message) => last !== undefined && progress.warn(message));
  const sequence = last === undefined ? 1 : Number(last.slice(RECORDS.length)) + 1;
  const record: AuditRecord = {
    version: 1,
    ...work,
    ...moment,
    sequence,
    ...(before === undefined ? {} : { previous: digestOf(before) }),
    time: new Date(now()).toISOString(),
    publicKey: key.publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
  };
  const name = `${RECORDS}${String(sequence).padStart(DIGITS, '0')}`;
  const bytes = encodeAuditRecord(record, key);
  await state.write(name, bytes, { signal: lock.signal });
  onRecord?.(record, bytes);
  return sequence;
}

/** Made on first use. One that is gone is replaced, so that a restore is possible; the records of before show that it was another. */
async function keyOf(state: TargetState, warn: (message: string) => void): Promise<SigningKey> {
  const kept = await state.read(KEY);
  if (kept !== undefined) return parseTargetKey(kept, state.place);
  warn(`${state.place} has records and no key: a new key signs from now on, and \`portolan audit verify\` will say so`);
  const made = createTargetKey();
  await state.write(KEY, made);
  return parseTargetKey(made, state.place);
}

function codeOf(error: unknown): string {
  return error instanceof PortolanError ? error.code : 'INTERNAL';
}

function unwritable({ state }: AuditJournal, what: AuditedWork['what'], cause: unknown): UseCaseError {
  return new UseCaseError('AUDIT_UNWRITABLE', `the ${what} cannot be recorded in the audit journal`, {
    cause,
    at: { file: state.place },
    hint: 'Make room there or make it writable, or name another folder with --state DIR.',
  });
}
