import { canonicalJson } from '../../core/canonical-json.ts';
import type { PinnedIssuer, PinnedIssuerKey } from '../../formats/identity/pinned-issuer.ts';
import {
  type IssuerKey,
  type IssuerKeyChange,
  keyThumbprint,
  type UpdatedIssuerKeys,
  updateIssuerKeys,
} from '../../formats/repository/issuer-keys.ts';
import type { TrustFile } from '../../formats/repository/repository-trust.ts';
import { UseCaseError } from '../errors.ts';

/** What is to be pinned; of a file that is there already, what is to be added, if anything. */
export interface RootRequest {
  readonly approvers: readonly { readonly name: string; readonly publicKey: string }[];
  readonly threshold?: number | undefined;
  readonly breakGlass: readonly string[];
  readonly minimumRecipients?: number | undefined;
  /** No roster before it counts. It may be raised, and is never lowered. */
  readonly minimumEpoch?: number | undefined;
  readonly issuer?: Omit<PinnedIssuer, 'keys'> | undefined;
  /** Takes over what the provider shows otherwise than the file has it: whoever asked compared it by another way. */
  readonly updateKeys?: boolean | undefined;
}

/** The file of the root. */
export interface RootFile {
  /** For messages. */
  readonly path: string;
  /** `undefined`: there is none. @throws FormatError TRUST_INVALID */
  read(): Promise<TrustFile | undefined>;
  /** Durably; checks that it can be read again. */
  write(root: TrustFile): Promise<void>;
}

export interface RootDependencies {
  readonly file: RootFile;
  /** The keys that the provider shows now. */
  readonly keysOf: (issuer: string) => Promise<readonly IssuerKey[]>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface RootReport {
  readonly root: TrustFile;
  readonly created: boolean;
  /** What a root that was there did not say before: names such as `breakGlass`, `issuer.loginClient`. */
  readonly added: readonly string[];
  readonly issuerKeys: readonly RootKey[];
  /** Whether the file was written. */
  readonly changed: boolean;
  /** The provider shows other keys than the file has, and nobody said that they are to be taken over: the file keeps its own. */
  readonly keysDiffer: boolean;
}

export interface RootKey {
  readonly kid: string;
  readonly algorithm: string;
  /** RFC 7638. */
  readonly thumbprint: string;
  readonly from: string;
  readonly until?: string;
  readonly change?: IssuerKeyChange;
}

/**
 * Makes the root, or brings its history of the issuer's keys up to date. What the file says already is not changed, but for the lowest
 * epoch, which may rise; what it lacks is added. Run again, it changes nothing. Keys are added to and ended in a file on request alone: what
 * is shown may be somebody else's, and an end that was set stays.
 *
 * @throws UseCaseError ROOT_INCOMPLETE, ROOT_DIFFERS; FormatError TRUST_INVALID, ISSUER_KEY_CHANGED; what `keysOf` throws
 */
export async function pinRoot(request: RootRequest, { file, keysOf, now }: RootDependencies): Promise<RootReport> {
  const present = await file.read();
  if (present === undefined) requireComplete(request);
  else requireSame(present, request, file.path);
  const wanted = { ...membersOf(request), ...present, ...minimumEpochOf(request, present, file.path) };
  const issuer = issuerOf(present, request);
  const pinned = present?.issuer?.keys ?? [];
  const updated = issuer === undefined ? NO_KEYS : await updatedKeys(issuer.url, pinned, keysOf, new Date(now()));
  const isOther = [...updated.changes.values()].some((change) => change !== 'back');
  const keysDiffer = pinned.length > 0 && isOther && request.updateKeys !== true;
  const keys = keysDiffer ? pinned : updated.keys;
  const root = issuer === undefined ? wanted : { ...wanted, issuer: { ...issuer, keys } };
  const changed = canonicalJson(root) !== canonicalJson(present ?? null);
  if (changed) await file.write(root);
  return {
    root,
    created: present === undefined,
    added: present === undefined ? [] : Object.keys(factsOf(request)).filter((name) => !(name in factsOf(present))),
    issuerKeys: updated.keys.map((key) => describeKey(key, updated.changes.get(key.kid))),
    ...{ changed, keysDiffer },
  };
}

const NO_KEYS: UpdatedIssuerKeys = { keys: [], changes: new Map() };

async function updatedKeys(
  issuer: string,
  pinned: readonly PinnedIssuerKey[],
  keysOf: RootDependencies['keysOf'],
  now: Date,
): Promise<UpdatedIssuerKeys> {
  return updateIssuerKeys(pinned, await keysOf(issuer), now);
}

function describeKey(
  { kid, algorithm, publicKey, from, until }: PinnedIssuerKey,
  change: IssuerKeyChange | undefined,
): RootKey {
  return {
    ...{ kid, algorithm, thumbprint: keyThumbprint(publicKey), from },
    ...(until === undefined ? {} : { until }),
    ...(change === undefined ? {} : { change }),
  };
}

function requireComplete({ approvers, breakGlass }: RootRequest): void {
  if (approvers.length > 0 && breakGlass.length > 0) return;
  const missing = approvers.length === 0 ? 'an approver' : 'a break-glass recipient';
  throw new UseCaseError('ROOT_INCOMPLETE', `a new root needs ${missing}`, {
    hint: 'Give --approver FILE (cosign.pub) and --break-glass RECIPIENT, each at least once.',
  });
}

/** What is there stays: only a person who edits the file changes what everybody pinned. @throws UseCaseError ROOT_DIFFERS */
function requireSame(present: TrustFile, request: RootRequest, path: string): void {
  const there = factsOf(present);
  for (const [name, wanted] of Object.entries(factsOf(request))) {
    const found = there[name];
    if (found === undefined || found === wanted) continue;
    throw new UseCaseError('ROOT_DIFFERS', `the root is there already and says otherwise: ${name}`, {
      expected: wanted.slice(0, 200),
      found: found.slice(0, 200),
      at: { file: path, key: name },
      hint: 'Nothing was changed. Leave out what the file says already, choose another file, or edit this one and give it again to everybody who pinned it.',
    });
  }
}

/** @throws UseCaseError ROOT_DIFFERS */
function minimumEpochOf(
  { minimumEpoch: wanted }: RootRequest,
  present: TrustFile | undefined,
  path: string,
): Pick<TrustFile, 'minimumEpoch'> {
  const found = present?.minimumEpoch;
  if (wanted === undefined) return found === undefined ? {} : { minimumEpoch: found };
  if (found === undefined || found <= wanted) return { minimumEpoch: wanted };
  throw new UseCaseError('ROOT_DIFFERS', 'the root takes no roster of so low an epoch', {
    expected: `${found} or later`,
    found: wanted,
    at: { file: path, key: 'minimumEpoch' },
    hint: 'Nothing was changed. Leave --minimum-epoch out, or look at the newest epoch with `portolan keys list`.',
  });
}

/** What is told apart, by name; the keys of the issuer are its history. */
function factsOf(root: RootRequest | TrustFile): Readonly<Record<string, string>> {
  const approvers = 'approvers' in root ? root.approvers : root.keys;
  const { threshold, breakGlass = [], minimumRecipients, issuer } = root;
  const { keys: _, ...provider } = { keys: undefined, ...issuer };
  const facts = {
    approvers: approvers.length === 0 ? undefined : approvers.map(({ publicKey }) => plainKey(publicKey)).sort(),
    ...{ threshold, minimumRecipients },
    breakGlass: breakGlass.length === 0 ? undefined : breakGlass.toSorted(),
    ...Object.fromEntries(Object.entries(provider).map(([name, value]) => [`issuer.${name}`, value])),
  };
  return Object.fromEntries(
    Object.entries(facts).flatMap(([name, value]) => (value === undefined ? [] : [[name, canonicalJson(value)]])),
  );
}

/** PEM or its base64 alone. */
function plainKey(publicKey: string): string {
  return publicKey.replaceAll(/-----[^-]*-----|\s/g, '');
}

function membersOf({ approvers, threshold, breakGlass, minimumRecipients }: RootRequest): TrustFile {
  return {
    keys: approvers,
    ...(threshold === undefined ? {} : { threshold }),
    ...(breakGlass.length === 0 ? {} : { breakGlass }),
    ...(minimumRecipients === undefined ? {} : { minimumRecipients }),
  };
}

function issuerOf(present: TrustFile | undefined, { issuer }: RootRequest): Omit<PinnedIssuer, 'keys'> | undefined {
  return present?.issuer === undefined && issuer === undefined
    ? undefined
    : ({ ...present?.issuer, ...issuer } as Omit<PinnedIssuer, 'keys'>);
}
