import { randomBytes, randomInt } from 'node:crypto';
import { digestOf } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import { KEY_PREFIXES, REPOSITORY_KEY } from '../../formats/repository/keys.ts';
import { placesOfRole, type StorageRole } from '../../formats/storage/policy.ts';
import type { ObjectStore } from '../../ports/object-store.ts';
import type {
  BucketAction,
  BucketSettings,
  RightsOptions,
  StorageRights,
  StorageTrial,
  Verdict,
} from '../../ports/storage-rights.ts';
import { PROBE_NAME, PROBES_PREFIX } from './probe-store.ts';

export interface RightsRequest {
  readonly role: StorageRole;
  /** The writer or the verifier that it is, where it is one. */
  readonly writer: string;
  readonly verifier: string;
}

export interface RightsDeps {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly store: ObjectStore;
  readonly rights: StorageRights;
  /** Whether the token service gives keys for so many seconds; `undefined`: for as long as the token lives. */
  readonly givesKeysFor?: (seconds: number | undefined, options: RightsOptions) => Promise<boolean>;
}

/** One row of the table. */
export interface RightsFinding {
  readonly action: string;
  /** On what: a key below the prefix, the bucket. */
  readonly on: string;
  readonly expected: string;
  readonly found: string;
  /** The storage's own word. */
  readonly said?: string;
  readonly ok: boolean;
}

export interface RightsReport {
  readonly place: string;
  readonly role: StorageRole;
  readonly findings: readonly RightsFinding[];
  readonly settings: BucketSettings;
}

/** No writer and no verifier has this name. */
const STRANGER = PROBE_NAME;
const ELSEWHERE = `${PROBE_NAME}-elsewhere/${PROBE_NAME}`;
const BUCKET_ACTIONS: readonly BucketAction[] = [
  'set versioning',
  'set object lock',
  'set life cycle',
  'set bucket policy',
];
const DAY_MS = 86_400_000;
/** Beyond what keys are asked for, in seconds. */
const LONG_KEYS_SECONDS = 3600;

/**
 * Tries with the credentials at hand everything that a role must be allowed, and what it must be refused. Nothing of a repository
 * is touched: puts have a wrong checksum, versions do not exist, documents are malformed, names mean nothing. Only one small object is
 * really stored, twice, to see whether what an overwrite hid can still be read; and where the role may delete, the deletions of names
 * that are not there leave their marks in a bucket that keeps versions.
 */
export async function checkRights(
  request: RightsRequest,
  { store, rights, givesKeysFor, now }: RightsDeps,
  options: RightsOptions = {},
): Promise<RightsReport> {
  const findings: RightsFinding[] = [];
  for (const { trial, on, isAllowed } of trialsOf(request, rights.prefix)) {
    const verdict = await rights.attempt(trial, options);
    findings.push(findingOf({ action: trial.action, on, isAllowed }, verdict));
  }
  const settings = await rights.bucketSettings(options);
  findings.push(...settingFindings(settings));
  findings.push(...(await overwriteFindings(request, { store, rights, now }, settings, options)));
  if (givesKeysFor !== undefined) {
    for (const seconds of [LONG_KEYS_SECONDS, undefined]) {
      const may = (await givesKeysFor(seconds, options)) ? 'allowed' : 'refused';
      const on = seconds === undefined ? 'as long as the token lives' : `${seconds} s`;
      findings.push(findingOf({ action: 'get keys for', on, isAllowed: false }, { may, said: '' }));
    }
  }
  return { place: store.place, role: request.role, findings, settings };
}

interface Trial extends Pick<Expectation, 'on' | 'isAllowed'> {
  readonly trial: StorageTrial;
}

interface Expectation {
  readonly action: string;
  readonly on: string;
  readonly isAllowed: boolean;
}

function findingOf({ action, on, isAllowed }: Expectation, { may, said }: Verdict): RightsFinding {
  const expected = isAllowed ? 'allowed' : 'refused';
  return { action, on, expected, found: may, ...(said === '' ? {} : { said }), ok: may === expected };
}

function* trialsOf(request: RightsRequest, prefix: string): Generator<Trial> {
  const { puts, deletes } = placesOfRole(request.role, request);
  const keys = keysOf(request);
  for (const action of ['list', 'list versions'] as const) {
    yield { trial: { action, place: 'prefix' }, on: 'the repository', isAllowed: true };
  }
  for (const action of ['get', 'get version'] as const) {
    for (const key of keys) yield { trial: { action, key }, on: key, isAllowed: true };
  }
  for (const key of [REPOSITORY_KEY, ...keys]) {
    yield { trial: { action: 'put', key }, on: key, isAllowed: puts.some((pattern) => fits(key, pattern)) };
  }
  // Not repo.json: it is there.
  for (const key of keys) {
    yield { trial: { action: 'delete', key }, on: key, isAllowed: deletes.some((pattern) => fits(key, pattern)) };
  }
  for (const action of ['delete version', 'set legal hold'] as const) {
    for (const key of keys) yield { trial: { action, key }, on: key, isAllowed: false };
  }
  if (prefix !== '') {
    yield { trial: { action: 'list', place: 'bucket' }, on: 'the whole bucket', isAllowed: false };
    for (const action of ['put', 'delete'] as const) {
      yield { trial: { action, key: ELSEWHERE, outside: true }, on: 'another folder', isAllowed: false };
    }
  }
  for (const action of BUCKET_ACTIONS) yield { trial: { action }, on: 'the bucket', isAllowed: false };
}

/** One for each folder that a policy can tell from others. Nothing lies there but what this check put there. */
function keysOf({ role, writer, verifier }: RightsRequest): string[] {
  const { roster, evidence, runKey, pack, index, contents, snapshot, forgotten, rewrap, mark, verification } =
    KEY_PREFIXES;
  const writers = role === 'writer' ? [writer, STRANGER] : [STRANGER];
  const verifiers = role === 'verifier' ? [verifier, STRANGER] : [STRANGER];
  return [
    ...[roster, evidence, rewrap, runKey, pack].map((prefix) => `${prefix}${PROBE_NAME}`),
    ...[index, contents, snapshot, forgotten].flatMap((prefix) =>
      writers.map((name) => `${prefix}${name}/${PROBE_NAME}`),
    ),
    `${mark}${PROBE_NAME}`,
    ...verifiers.map((name) => `${verification}${STRANGER}/${name}-${PROBE_NAME}`),
    `${PROBES_PREFIX}${PROBE_NAME}`,
  ];
}

/** As policies match: `*` stands for anything. */
function fits(key: string, pattern: string): boolean {
  const parts = pattern.split('*').map((part) => part.replaceAll(/[.]/g, '\\.'));
  return new RegExp(`^${parts.join('.*')}$`).test(key);
}

/** What the storage does not say to these credentials is nobody's fault: the overwrite tells what counts. */
function settingFindings({ versioning, lock }: BucketSettings): RightsFinding[] {
  const lockText =
    lock === undefined || lock === 'off' ? lock : `${lock.mode}, ${lock.days} ${lock.days === 1 ? 'day' : 'days'}`;
  return [
    {
      action: 'versions',
      on: 'the bucket',
      expected: 'enabled',
      found: versioning ?? 'not shown',
      ok: versioning === undefined || versioning === 'enabled',
    },
    {
      action: 'object lock by default',
      on: 'the bucket',
      expected: 'compliance',
      found: lockText ?? 'not shown',
      ok: lock === undefined || (lock !== 'off' && lock.mode === 'compliance'),
    },
  ];
}

async function overwriteFindings(
  request: RightsRequest,
  { store, rights, now }: Omit<RightsDeps, 'givesKeysFor'>,
  { lock }: BucketSettings,
  options: RightsOptions,
): Promise<RightsFinding[]> {
  const { puts, deletes } = placesOfRole(request.role, request);
  const key = keysOf(request).findLast((one) => puts.some((pattern) => fits(one, pattern)));
  if (key === undefined) return [];
  // Of chance lengths: those of former checks are told apart by them.
  const [first, second] = [randomBytes(randomInt(1000, 4000)), randomBytes(randomInt(4000, 8000))];
  const readable = (action: string, bytes: Uint8Array) => readableFinding({ action, key, bytes }, store, options);
  const findings: RightsFinding[] = [];
  const stored = await succeeds(async () => {
    await rights.overwrite(key, first, options);
    await rights.overwrite(key, second, options);
  });
  if (stored !== undefined)
    return [{ action: 'store', on: key, expected: 'allowed', found: 'refused', said: stored, ok: false }];
  findings.push(await readable('read what an overwrite hid', first));
  const [newest] = await store.versions(key, options);
  if (newest !== undefined) {
    // Longer than the lock that it has already: else the lock refuses it, whatever the policy says.
    const lockDays = lock === undefined || lock === 'off' ? 0 : lock.days;
    const until = new Date(now() + (lockDays + 1) * DAY_MS);
    const verdict = await rights.attempt({ action: 'set retention', key, version: newest.version, until }, options);
    findings.push(findingOf({ action: 'set retention', on: key, isAllowed: false }, verdict));
  }
  if (deletes.some((pattern) => fits(key, pattern))) {
    const removed = await succeeds(() => store.remove([key], options));
    if (removed === undefined) findings.push(await readable('read what a deletion hid', second));
  }
  return findings;
}

async function readableFinding(
  { action, key, bytes }: { readonly action: string; readonly key: string; readonly bytes: Uint8Array },
  store: ObjectStore,
  options: RightsOptions,
): Promise<RightsFinding> {
  const expected = { digest: digestOf(bytes), sizeBytes: bytes.length };
  const problem = await succeeds(() => store.get(key, { ...options, maxBytes: bytes.length, expected }));
  return {
    action,
    on: key,
    expected: 'there',
    found: problem === undefined ? 'there' : 'gone',
    ...(problem === undefined ? {} : { said: problem }),
    ok: problem === undefined,
  };
}

const REFUSALS = new Set(['STORE_DENIED', 'OBJECT_MISSING', 'OBJECT_DAMAGED']);

/** The code of what went wrong; other failures are thrown. */
async function succeeds(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (failure) {
    if (failure instanceof PortolanError && REFUSALS.has(failure.code)) return failure.code;
    throw failure;
  }
}
