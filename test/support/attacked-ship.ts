/**
 * A whole ship to be attacked: a provider in ZITADEL's shape, a real MinIO with web identity (its role mode) under the policies that are
 * given out, a root, a roster of three epochs, a reader who enrolled, one who was revoked, and two snapshots; all of it made by commands.
 */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { JWTPayload } from 'jose';
import { assumeWebIdentity } from '../../src/adapters/object-store/s3/web-identity.ts';
import { openStore } from '../../src/compose/object-store.ts';
import type { SessionKeys } from '../../src/formats/storage/web-identity-answer.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import { writeBrowserProgram } from './browser-program.ts';
import { type MinioProcess, startMinio } from './minio-process.ts';
import { type OpenIdProvider, type Person, type ServiceAccountEntry, startOpenIdProvider } from './openid-provider.ts';
import { type PortolanEnded, portolan, succeed } from './program.ts';
import { makeBucket } from './s3-bucket.ts';
import { policyOf } from './storage-policies.ts';

export const BUCKET = 'backups';
export const WRITER = 'db-1';
/** Where the ship's repository lies. */
const HOME_PREFIX = 'shop';
export const PASSWORD = 'throw-away password';
export const CONTENT = 'what was on the ship\n';

export interface AttackedShip extends AsyncDisposable {
  readonly provider: OpenIdProvider;
  readonly minio: MinioProcess;
  /** The service account of the writer. */
  readonly account: ServiceAccountEntry;
  readonly anna: Person;
  readonly at: (...names: string[]) => string;
  /** anna (enrolled), safe (break-glass), ben (revoked in epoch 3), and spy, who is on no roster. */
  readonly recipients: Readonly<Record<'anna' | 'safe' | 'ben' | 'spy', string>>;
  /** Lets nothing of this process's environment into it that could be somebody's keys. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly ownerEnv: Readonly<Record<string, string>>;
  /** Options of the service account. */
  readonly asAccount: readonly string[];
  /** A copy of the repository in the same bucket, for one attack, with the writer's rights and with state folders of its own. */
  fork(): Promise<Fork>;
  command(args: readonly string[], env?: Readonly<Record<string, string | undefined>>): Promise<PortolanEnded>;
  /** Keys of the storage for a token with these claims, as the provider signs it. */
  keysFor(claims: JWTPayload): Promise<SessionKeys>;
}

export interface Fork {
  readonly address: string;
  /** As whoever owns the storage has them: everything, and every version. */
  keys(): Promise<readonly string[]>;
  get(key: string): Promise<Buffer>;
  put(key: string, bytes: Uint8Array | string): Promise<void>;
  remove(key: string): Promise<void>;
  /** Puts the objects back as they were when the fork was made. */
  restore(): Promise<void>;
  /** The bucket's folder with some keys. */
  open(keys?: SessionKeys): Promise<ObjectStore>;
  /** `remembers`: on a machine that saw the repository; else on a new one each time. */
  run(options: {
    readonly remembers: boolean;
    readonly more?: readonly string[];
    readonly clock?: string;
  }): Promise<PortolanEnded>;
  /** Of the approvers' reader: on a machine that saw nothing. */
  read(args: readonly string[]): Promise<PortolanEnded>;
  /** Restores the newest snapshot, with an identity. */
  restoreAs(
    name: string,
    snapshot?: string,
    more?: readonly string[],
  ): Promise<{ readonly ended: PortolanEnded; readonly content: string | undefined }>;
}

export async function createAttackedShip(): Promise<AttackedShip> {
  const root = await mkdtemp(join(tmpdir(), 'portolan-ship-'));
  const at = (...names: string[]) => join(root, ...names);
  const provider = await startOpenIdProvider();
  const anna = provider.addPerson({ name: 'anna' });
  const account = provider.addServiceAccount({ name: 'backup-writer' });
  const openId = { issuer: provider.issuer, audience: provider.projects.storage, policies: ['writer'] };
  const minio = await startMinio(at('minio'), { openId });
  const end = async () => {
    await minio.close();
    await provider[Symbol.asyncDispose]();
    await rm(root, { recursive: true, force: true });
  };
  const client = minio.client();
  await makeBucket(client, BUCKET, { versioning: true });
  const prefixes = [HOME_PREFIX];
  const allowPrefixes = () =>
    minio.createPolicy(
      'writer',
      prefixes.flatMap((prefix) => policyOf('Writer', { bucket: BUCKET, prefix, writer: WRITER }, account.id)),
    );
  await allowPrefixes();
  const ownerEnv = {
    AWS_ACCESS_KEY_ID: minio.root.accessKeyId,
    AWS_SECRET_ACCESS_KEY: minio.root.secretAccessKey,
  };
  const env = {
    ...{ HOME: root, XDG_CONFIG_HOME: at('config'), XDG_CACHE_HOME: at('cache'), PORTOLAN_STATE: at('state') },
    ...{ COSIGN_PASSWORD: PASSWORD, PORTOLAN_JSON: undefined, BROWSER: at('browser') },
  };
  const command = (args: readonly string[], more: Readonly<Record<string, string | undefined>> = {}) =>
    portolan(args, { env: { ...env, ...more }, cwd: root });
  const addressOf = (prefix: string) => `s3://${BUCKET}/${prefix}?endpoint=${minio.endpoint}`;

  const done = async (
    args: readonly string[],
    more: Readonly<Record<string, string | undefined>> = ownerEnv,
  ): Promise<Readonly<Record<string, unknown>>> => {
    const ended = await command(args, more);
    if (ended.status !== 0) throw new Error(`${args.join(' ')}: ${ended.stdout}${ended.stderr}`);
    return ended.result ?? {};
  };
  for (const name of ['approver', 'writer', 'stranger']) {
    await succeed('cosign', ['generate-key-pair', '--output-key-prefix', name], { cwd: root, env });
  }
  const recipientOf = async (name: string) => {
    await succeed('age-keygen', ['-pq', '-o', at(`${name}.txt`)]);
    return (await succeed('age-keygen', ['-y', at(`${name}.txt`)])).trim();
  };
  const recipients = {
    ...{ anna: await recipientOf('anna'), safe: await recipientOf('safe') },
    ...{ ben: await recipientOf('ben'), spy: await recipientOf('spy') },
  };
  await writeFile(at('service.json'), account.keyFile, { mode: 0o600 });
  await mkdir(at('files'));
  await writeFile(at('files', 'notes'), CONTENT);
  try {
    await makeRepository();
  } catch (cause) {
    await end();
    throw cause;
  }
  return {
    ...{ provider, minio, account, anna, at, recipients, env, ownerEnv, command },
    asAccount: ['--service-key', at('service.json'), '--role-arn', minio.roleArn],
    fork: forkOf,
    async keysFor(claims) {
      const now = Math.floor(Date.now() / 1000);
      const times = { iat: now, nbf: now, exp: now + 3600 };
      const whole = { iss: provider.issuer, aud: [provider.projects.storage], ...times, ...claims };
      const token = await provider.keys.sign(whole);
      return await assumeWebIdentity({
        ...{ sts: minio.endpoint, token: async () => token, roleArn: minio.roleArn },
        ...{ sessionName: 'test', now: Date.now, retries: { attempts: 1, baseDelayMs: 1, maxDelayMs: 1 } },
      });
    },
    [Symbol.asyncDispose]: end,
  };

  async function makeRepository(): Promise<void> {
    const repo = ['--repo', addressOf(HOME_PREFIX)];
    const projects = [
      ...['--enrolment-project', provider.projects.enrolment, '--storage-project', provider.projects.storage],
      ...['--enrolment-client', provider.clients.enrolment, '--login-client', provider.clients.login],
    ];
    const pinned = ['--approver', at('approver.pub'), '--break-glass', recipients.safe, '--minimum-recipients', '2'];
    await done(['keys', 'init', '--out', at('root.json'), '--issuer', provider.issuer, ...projects, ...pinned]);
    const signed = ['--sign-key', at('approver.key')];
    const writer = ['--writer', WRITER, '--writer-pub', at('writer.pub'), '-r', `ben=${recipients.ben}`];
    const made = await done(['backup', 'init', '--root', at('root.json'), ...repo, ...signed, ...writer]);
    await cp(String(made.trust), at('trust.json'));
    await cp(String(made.writerKey), at('writer.json'));
    await enrolAnna(repo, signed);
    await done(backup(addressOf(HOME_PREFIX)));
    await done(['keys', 'revoke', '--recipient', 'ben', ...repo, ...signed]);
    await done(backup(addressOf(HOME_PREFIX)));
  }

  async function enrolAnna(repo: readonly string[], signed: readonly string[]): Promise<void> {
    await writeBrowserProgram(at('browser'), anna);
    const trust = ['--trust', at('trust.json')];
    provider.settings.idTokenSeconds = 4;
    await done(['keys', 'enroll', '-i', at('anna.txt'), '--enrolment-out', at('anna.enrolment'), ...trust], {});
    provider.settings.idTokenSeconds = 43_200;
    const approve = ['keys', 'approve', ...repo, '--enrolment', at('anna.enrolment'), ...signed];
    await done([...approve, '--name', 'anna', '--challenge-out', at('challenge')]);
    const answer = ['--challenge', at('challenge'), '--enrolment', at('anna.enrolment'), '--answer-out', at('answer')];
    await done(['keys', 'enroll', '-i', at('anna.txt'), ...answer], {});
    await done([...approve, '--name', 'anna', '--answer', at('answer')]);
    // Evidence is published once its token has ended for everybody, whatever the clock.
    const published = await portolan(approve, { env: { ...env, ...ownerEnv }, cwd: root, clock: '+700s' });
    if (published.status !== 0) throw new Error(published.stdout + published.stderr);
  }

  function backup(address: string): string[] {
    const keys = ['--writer-key', at('writer.json'), '--sign-key', at('writer.key')];
    return ['backup', 'run', '--files', at('files'), '--repo', address, ...keys];
  }

  async function forkOf(): Promise<Fork> {
    const prefix = `fork-${prefixes.length}`;
    prefixes.push(prefix);
    await allowPrefixes();
    const address = addressOf(prefix);
    const objects = objectsBelow(client, prefix);
    const whole = objectsBelow(client, HOME_PREFIX);
    const restore = async () => {
      for (const key of await objects.keys()) await objects.remove(key);
      for (const key of await whole.keys()) await objects.put(key, await whole.get(key));
    };
    await restore();
    let machines = 0;
    const newMachine = async (remembers: boolean) => {
      machines += 1;
      const state = at('machines', `${prefix}-${machines}`);
      if (remembers) await cp(at('state'), state, { recursive: true });
      return { ...ownerEnv, PORTOLAN_STATE: state, XDG_CACHE_HOME: join(state, 'cache') };
    };
    return {
      ...objects,
      ...{ address, restore },
      open: (keys) =>
        openStore(address, {
          environment: {
            AWS_ACCESS_KEY_ID: keys?.accessKeyId ?? minio.root.accessKeyId,
            AWS_SECRET_ACCESS_KEY: keys?.secretAccessKey ?? minio.root.secretAccessKey,
            AWS_SESSION_TOKEN: keys?.sessionToken,
          },
          now: Date.now,
        }),
      async run({ remembers, more = [], clock }) {
        const own = { env: { ...env, ...(await newMachine(remembers)) }, cwd: root };
        return await portolan([...backup(address), ...more], clock === undefined ? own : { ...own, clock });
      },
      read: async (args) => command([...args, '--repo', address, '--trust', at('trust.json')], await newMachine(false)),
      async restoreAs(name, snapshot = 'latest', more = []) {
        const machine = await newMachine(false);
        const target = `${machine.PORTOLAN_STATE}-restored`;
        const to = ['-i', at(`${name}.txt`), '--to', `folder:${target}`, '--break-glass'];
        const read = ['--repo', address, '--trust', at('trust.json')];
        const ended = await command(['restore', snapshot, ...to, ...read, ...more], machine);
        const content = await readFile(join(target, 'files', 'notes'), 'utf8').catch(() => undefined);
        return { ended, content };
      },
    };
  }
}

function objectsBelow(client: S3Client, prefix: string): Pick<Fork, 'keys' | 'get' | 'put' | 'remove'> {
  const Bucket = BUCKET;
  const versionsOf = async (start: string) => {
    const { Versions = [], DeleteMarkers = [] } = await client.send(
      new ListObjectVersionsCommand({ Bucket, Prefix: `${prefix}/${start}` }),
    );
    return { Versions, all: [...Versions, ...DeleteMarkers] };
  };
  return {
    async keys() {
      const { Versions } = await versionsOf('');
      return Versions.filter(({ IsLatest }) => IsLatest).map(({ Key }) => String(Key).slice(prefix.length + 1));
    },
    async get(key) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: `${prefix}/${key}` }));
      return Buffer.from((await Body?.transformToByteArray()) ?? []);
    },
    async put(key, bytes) {
      // Nothing of what lay there can be found again.
      await this.remove(key);
      await client.send(new PutObjectCommand({ Bucket, Key: `${prefix}/${key}`, Body: bytes }));
    },
    async remove(key) {
      const Key = `${prefix}/${key}`;
      for (const one of (await versionsOf(key)).all) {
        if (one.Key !== Key) continue;
        await client.send(new DeleteObjectCommand({ Bucket, Key, VersionId: one.VersionId }));
      }
    },
  };
}
