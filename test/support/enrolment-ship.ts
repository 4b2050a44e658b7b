/**
 * A ship whose enrolment, approval, root and roster are attacked: a provider in ZITADEL's shape, a root of two approvers of two, and a
 * repository in a folder by it; all of it made by commands. Each attack has a copy of its own, and machines that saw nothing.
 */
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt, type JWTPayload } from 'jose';
import { expect } from 'vitest';
import { canonicalJson } from '../../src/core/canonical-json.ts';
import { encodeEnrolment, enrolmentNonce } from '../../src/formats/identity/enrolment.ts';
import type { PinnedIssuer } from '../../src/formats/identity/pinned-issuer.ts';
import type { RepositoryId } from '../../src/formats/repository/keys.ts';
import type { TrustFile } from '../../src/formats/repository/repository-trust.ts';
import { encodeRoster, type Roster, readUnverifiedRoster } from '../../src/formats/repository/roster.ts';
import { openCosignKey, type SigningKey } from '../../src/formats/sigstore/cosign-key.ts';
import { writeBrowserProgram } from './browser-program.ts';
import type { OpenIdProvider, Person } from './openid-provider.ts';
import {
  type Ended,
  type Event,
  type PortolanEnded,
  type ProgramOptions,
  portolan,
  portolanText,
  succeed,
} from './program.ts';
import { temporaryFolder } from './temporary.ts';

const PASSWORD = 'throw-away password';

/** The files that every attack gets a copy of. */
export interface EnrolmentShip extends AsyncDisposable {
  /** For the running test. */
  copy(): Promise<AttackedCopy>;
  readonly carol: Person;
  /** Of Carol, made by `keys enroll` with her own login. */
  readonly enrolment: Buffer;
}

export interface AttackedCopy {
  readonly at: (...names: string[]) => string;
  readonly repository: RepositoryId;
  readonly enrolment: Buffer;
  /** Somebody with a configuration and a state of their own. */
  seat(name: string): Seat;
  /** Digests of all objects of the repository. */
  contents(): Promise<Readonly<Record<string, string>>>;
  /** Names of what lies beside it; but not what people keep for themselves. */
  files(): Promise<readonly string[]>;
  /** As somebody who knows both approvers' keys signs it: in the repository, whoever would refuse it. */
  publish(change: (roster: Roster) => Roster, signers?: readonly ('ada' | 'ben' | 'cleo')[]): Promise<void>;
  keyOf(name: 'ada' | 'ben' | 'cleo'): Promise<SigningKey>;
  trust(): Promise<TrustFile & { readonly issuer: PinnedIssuer }>;
  recipientOf(file: string): Promise<string>;
}

export interface Seat {
  run(args: readonly string[], options?: ProgramOptions): Promise<PortolanEnded>;
  text(args: readonly string[]): Promise<Ended>;
  /** `keys approve`, with the own key. */
  approve(args: readonly string[], options?: ProgramOptions): Promise<PortolanEnded>;
  /** As the writer. */
  backup(): Promise<PortolanEnded>;
  readonly options: { readonly cwd: string; readonly env: Readonly<Record<string, string | undefined>> };
}

/** The result of a command that must succeed. */
export function done(ended: PortolanEnded): Readonly<Record<string, unknown>> {
  expect(ended.status, ended.stderr + ended.stdout).toBe(0);
  return ended.result ?? {};
}

/** That a command is refused, and leaves the repository and what lies beside it as they were. */
export async function refuses(
  copy: AttackedCopy,
  command: () => Promise<Pick<PortolanEnded, 'status' | 'error' | 'stdout'>>,
  expected: { readonly status: number; readonly code: string },
): Promise<Event> {
  const before = [await copy.contents(), await copy.files()];
  const { status, error, stdout } = await command();
  expect({ status, code: error?.code }, stdout).toEqual(expected);
  expect([await copy.contents(), await copy.files()]).toEqual(before);
  return error as Event;
}

export async function createEnrolmentShip(provider: OpenIdProvider): Promise<EnrolmentShip> {
  const root = await mkdtemp(join(tmpdir(), 'portolan-enrolment-'));
  const carol = provider.addPerson({ name: 'carol' });
  const setUp = seats(root);
  for (const name of ['ada', 'ben', 'cleo']) {
    await succeed('cosign', ['generate-key-pair', '--output-key-prefix', name], setUp('ada').options);
  }
  for (const name of ['safe', 'carol', 'mallory'])
    await succeed('age-keygen', ['-pq', '-o', join(root, `${name}.txt`)]);
  await mkdir(join(root, 'files'));
  await writeFile(join(root, 'files', 'note'), 'what was on the ship');
  const safe = (await succeed('age-keygen', ['-y', join(root, 'safe.txt')])).trim();
  const clients = ['--enrolment-client', provider.clients.enrolment, '--login-client', provider.clients.login];
  const issuer = ['--issuer', provider.issuer, '--enrolment-project', provider.projects.enrolment, ...clients];
  const approvers = ['--approver', 'ada=ada.pub', '--approver', 'ben=ben.pub', '--threshold', '2'];
  const { options } = setUp('ada');
  done(await portolan(['keys', 'init', '--out', 'root.json', ...approvers, '--break-glass', safe, ...issuer], options));
  const keys = ['--sign-key', 'ada.key', '--co-sign-key', 'ben.key', '--break-glass', `safe=${safe}`, '--writer', 'w'];
  const init = ['backup', 'init', '--repo', join(root, 'store'), '--root', 'root.json', ...keys];
  const made = done(await portolan(init, options));
  await cp(String(made.trust), join(root, 'trust.json'));
  await cp(String(made.writerKey), join(root, 'writer.json'));
  const enrol = ['keys', 'enroll', '--trust', 'trust.json', '-i', 'carol.txt', '--enrolment-out', 'carol.enrolment'];
  const browser = await writeBrowserProgram(join(root, 'browser'), carol);
  done(await portolan(enrol, { ...options, env: { ...options.env, BROWSER: browser } }));
  await rm(join(root, 'people'), { recursive: true });
  const enrolment = await readFile(join(root, 'carol.enrolment'));
  return {
    ...{ carol, enrolment },
    async copy() {
      const folder = await temporaryFolder();
      await cp(root, folder, { recursive: true });
      return copyAt(folder, enrolment);
    },
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}

function seats(root: string) {
  return (name: string): Seat => {
    const home = join(root, 'people', name);
    const env = {
      ...{ HOME: home, XDG_CONFIG_HOME: join(home, 'config'), COSIGN_PASSWORD: PASSWORD, PORTOLAN_JSON: undefined },
      ...{
        PORTOLAN_STATE: join(home, 'state'),
        XDG_CACHE_HOME: process.env.XDG_CACHE_HOME ?? join(process.env.HOME ?? '', '.cache'),
      },
    };
    const options = { cwd: root, env };
    const all = (given: ProgramOptions = {}) => ({ ...options, ...given, env: { ...env, ...given.env } });
    const repository = ['--repo', join(root, 'store'), '--trust', join(root, 'trust.json')];
    return {
      options,
      run: (args, given) => portolan([...args, ...repository], all(given)),
      backup: () => {
        const keys = ['--writer-key', 'writer.json', '--sign-key', 'ada.key'];
        return portolan(
          ['backup', 'run', '--files', join(root, 'files'), '--repo', join(root, 'store'), ...keys],
          options,
        );
      },
      text: (args) => portolanText([...args, ...repository], options),
      approve: (args, given) =>
        portolan(['keys', 'approve', ...repository, '--sign-key', `${name}.key`, ...args], all(given)),
    };
  };
}

async function copyAt(root: string, enrolment: Buffer): Promise<AttackedCopy> {
  const at = (...names: string[]) => join(root, ...names);
  const trust = async () => JSON.parse(await readFile(at('trust.json'), 'utf8'));
  const { repository } = await trust();
  const keyOf = async (name: string) => openCosignKey(await readFile(at(`${name}.key`)), PASSWORD);
  return {
    ...{ at, repository, enrolment, trust, keyOf },
    seat: seats(root),
    recipientOf: async (file) => (await succeed('age-keygen', ['-y', at(file)])).trim(),
    async contents() {
      const files = (await readdir(at('store'), { recursive: true, withFileTypes: true })).filter((one) =>
        one.isFile(),
      );
      const digests = files.map(async ({ parentPath, name }) => {
        const path = join(parentPath, name);
        return [
          path.slice(root.length),
          createHash('sha256')
            .update(await readFile(path))
            .digest('hex'),
        ] as const;
      });
      return Object.fromEntries((await Promise.all(digests)).sort(([a], [b]) => (a < b ? -1 : 1)));
    },
    files: async () => (await readdir(root)).filter((name) => name !== 'people').sort(),
    async publish(change, signers = ['ada', 'ben']) {
      const names = (await readdir(at('store', 'keys'))).sort();
      const { document, digest } = readUnverifiedRoster(await readFile(at('store', 'keys', names.at(-1) ?? '')));
      const { closed: _, fresh: __, ...rest } = document;
      const epoch = document.epoch + 1;
      const next = { ...rest, epoch, previous: digest, created: new Date().toISOString() };
      const bytes = encodeRoster(change(next), await Promise.all(signers.map(keyOf)));
      await writeFile(at('store', 'keys', `${String(epoch).padStart(8, '0')}.json`), bytes);
    },
  };
}

/** What an enrolment says, with its token's claims. */
export function readEnrolmentFile(bytes: Uint8Array) {
  const document = JSON.parse(Buffer.from(bytes).toString()) as Record<
    'repository' | 'recipient' | 'random' | 'idToken',
    string
  >;
  return { document, claims: decodeJwt(document.idToken) };
}

/** The file with other members. */
export function alteredEnrolment(bytes: Uint8Array, change: object): Buffer {
  return Buffer.from(canonicalJson({ ...readEnrolmentFile(bytes).document, ...change }));
}

/** An enrolment as it would be after a login, without one: `sign` is whoever signs its token. */
export async function forgedEnrolment(
  {
    repository,
    recipient,
    random,
  }: { readonly repository: string; readonly recipient: string; readonly random: string },
  claims: JWTPayload,
  sign: (claims: JWTPayload) => Promise<string>,
): Promise<Uint8Array> {
  const commitment = { repository: repository as RepositoryId, recipient, random };
  const idToken = await sign({ ...claims, nonce: enrolmentNonce(commitment) });
  return encodeEnrolment({ version: 1, kind: 'portolan-enrolment', ...commitment, idToken });
}
