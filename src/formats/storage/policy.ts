/**
 * What each role of a repository may do with its bucket (docs/storage-policies.md), as Amazon S3 and MinIO take it: JSON of IAM's
 * policy language, version 2012-10-17.
 */
import { KEY_PREFIXES } from '../repository/keys.ts';
import { WEB_IDENTITY_SECONDS } from './web-identity-answer.ts';

export const STORAGE_ROLES = ['reader', 'writer', 'pruner', 'verifier', 'approver'] as const;
export type StorageRole = (typeof STORAGE_ROLES)[number];

type Conditions = Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;

export interface PolicyStatement {
  readonly Effect: 'Allow' | 'Deny';
  readonly Action: readonly string[];
  /** `arn:aws:s3:::BUCKET` or `arn:aws:s3:::BUCKET/KEY*`; not of actions of STS. */
  readonly Resource?: readonly string[];
  readonly Condition?: Conditions;
}

export interface Policy {
  readonly Version: '2012-10-17';
  readonly Statement: readonly PolicyStatement[];
}

/** Whose objects a role's policy is about. */
export interface PolicyNames {
  readonly bucket: string;
  /** Without a slash at either end; empty for the whole bucket. */
  readonly prefix: string;
  /** Of a writer's policy. */
  readonly writer: string;
  /** Of a verifier's policy. */
  readonly verifier: string;
}

/** Keys below the prefix, with * at their ends. */
export interface RolePlaces {
  readonly puts: readonly string[];
  readonly deletes: readonly string[];
}

const below = (...prefixes: readonly string[]) => prefixes.map((prefix) => `${prefix}*`);
const { roster, evidence, runKey, pack, index, contents, snapshot, forgotten, rewrap, mark, verification } =
  KEY_PREFIXES;

/** What a role puts and deletes. Everybody reads everything. */
export function placesOfRole(
  role: StorageRole,
  { writer, verifier }: Omit<PolicyNames, 'bucket' | 'prefix'>,
): RolePlaces {
  switch (role) {
    case 'reader':
      return { puts: [], deletes: [] };
    case 'writer':
      return {
        puts: below(runKey, pack, ...[index, contents, snapshot].map((prefix) => `${prefix}${writer}/`)),
        deletes: [],
      };
    case 'pruner':
      return { puts: below(mark, forgotten), deletes: below(runKey, pack, index, contents, snapshot, mark) };
    case 'verifier':
      return { puts: [`${verification}*/${verifier}-*`], deletes: [] };
    case 'approver':
      return { puts: below(roster, evidence, runKey, rewrap), deletes: [] };
  }
}

/** To whom MinIO gives a policy by an OpenID provider. */
export interface MinioIdentity {
  /** Of its role: whom alone the policy is for. Absent where a claim of the token names the policy. */
  readonly subject?: string | undefined;
}

/** For users, and for roles whose identity somebody else checks. With `identity`: for MinIO's OpenID provider. */
export function storagePolicy(role: StorageRole, names: PolicyNames, identity?: MinioIdentity): Policy {
  const statements = [...readStatements(names), ...ownStatements(role, names)];
  if (identity === undefined) return { Version: '2012-10-17', Statement: statements };
  const { subject } = identity;
  const own = subject === undefined ? statements : statements.map((statement) => onlyOf(statement, subject));
  return { Version: '2012-10-17', Statement: [...own, ...shortLived()] };
}

function readStatements({ bucket, prefix }: PolicyNames): PolicyStatement[] {
  return [
    {
      Effect: 'Allow',
      Action: ['s3:ListBucket', 's3:ListBucketVersions'],
      Resource: [bucketArn(bucket)],
      ...(prefix === '' ? {} : { Condition: { StringLike: { 's3:prefix': [`${prefix}/*`] } } }),
    },
    {
      Effect: 'Allow',
      Action: ['s3:GetBucketVersioning', 's3:GetBucketObjectLockConfiguration'],
      Resource: [bucketArn(bucket)],
    },
    { Effect: 'Allow', Action: ['s3:GetObject', 's3:GetObjectVersion'], Resource: [objectArn(bucket, prefix, '*')] },
  ];
}

function ownStatements(role: StorageRole, { bucket, prefix, ...names }: PolicyNames): PolicyStatement[] {
  const { puts, deletes } = placesOfRole(role, names);
  const allow = (action: string, keys: readonly string[]): PolicyStatement[] =>
    keys.length === 0
      ? []
      : [{ Effect: 'Allow', Action: [action], Resource: keys.map((key) => objectArn(bucket, prefix, key)) }];
  // MinIO lets whoever may delete an object delete its versions as well, unless that is denied.
  const kept: PolicyStatement[] =
    deletes.length === 0
      ? []
      : [{ Effect: 'Deny', Action: ['s3:DeleteObjectVersion'], Resource: [objectArn(bucket, prefix, '*')] }];
  return [...allow('s3:PutObject', puts), ...allow('s3:DeleteObject', deletes), ...kept];
}

/** MinIO gives credentials to every identity of the issuer: what they may do must name the one. */
function onlyOf(statement: PolicyStatement, subject: string): PolicyStatement {
  return { ...statement, Condition: { ...statement.Condition, StringEquals: { 'jwt:sub': [subject] } } };
}

/** Who names no duration gets keys for as long as the token lives: two statements, since the conditions of one hold together. */
function shortLived(): PolicyStatement[] {
  const Action = ['sts:AssumeRoleWithWebIdentity'];
  const limit = String(WEB_IDENTITY_SECONDS);
  return [
    { Effect: 'Deny', Action, Condition: { NumericGreaterThan: { 'sts:DurationSeconds': limit } } },
    { Effect: 'Deny', Action, Condition: { Null: { 'sts:DurationSeconds': 'true' } } },
  ];
}

/** Whom Amazon gives the credentials of a role (IAM User Guide, "Creating a role for OpenID Connect federation"). */
export interface TrustedIdentity {
  /** Of the Amazon account, 12 digits. */
  readonly account: string;
  /** `https://id.example`, as in the tokens. */
  readonly issuer: string;
  readonly audience: string;
  readonly subject: string;
}

export interface TrustPolicy {
  readonly Version: '2012-10-17';
  readonly Statement: readonly [
    {
      readonly Effect: 'Allow';
      readonly Principal: { readonly Federated: string };
      readonly Action: 'sts:AssumeRoleWithWebIdentity';
      readonly Condition: Conditions;
    },
  ];
}

export function trustPolicy({ account, issuer, audience, subject }: TrustedIdentity): TrustPolicy {
  const provider = issuer.replace(/^https:\/\//, '');
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { Federated: `arn:aws:iam::${account}:oidc-provider/${provider}` },
        Action: 'sts:AssumeRoleWithWebIdentity',
        Condition: { StringEquals: { [`${provider}:aud`]: audience, [`${provider}:sub`]: subject } },
      },
    ],
  };
}

function bucketArn(bucket: string): string {
  return `arn:aws:s3:::${bucket}`;
}

function objectArn(bucket: string, prefix: string, key: string): string {
  return `${bucketArn(bucket)}/${prefix === '' ? '' : `${prefix}/`}${key}`;
}
