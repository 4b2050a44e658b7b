import { createHash, randomBytes } from 'node:crypto';
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { PolicyStatement } from '../../src/formats/storage/policy.ts';
import { minioAdmin } from './minio-admin.ts';
import {
  newCredentials,
  type S3Credentials,
  type S3Process,
  type S3ProcessOptions,
  startS3Process,
} from './s3-process.ts';

/** Whose tokens MinIO takes for credentials (its "OpenID access management"), by a role or by a claim. */
export interface MinioOpenId {
  readonly issuer: string;
  /** Tokens are for this audience. */
  readonly audience: string;
  /** Names of policies (`createPolicy`), each of which says by its conditions whom it is for; or the claim of a token that names them. */
  readonly policies: readonly string[] | { readonly claim: string };
  /** PEM file of the issuer's certificate authority, where it speaks TLS. */
  readonly caFile?: string;
}

export interface MinioOptions extends S3ProcessOptions {
  readonly openId?: MinioOpenId;
}

export interface MinioProcess extends S3Process {
  /** What a web identity asks for: all tokens of the issuer. Only with `openId` and policies. */
  readonly roleArn: string;
  createPolicy(name: string, statements: readonly PolicyStatement[]): Promise<void>;
  /** A new user who may do what the statements allow, and nothing else. */
  createUser(statements: readonly PolicyStatement[]): Promise<S3Credentials>;
  removeUser(user: Pick<S3Credentials, 'accessKeyId'>): Promise<void>;
}

/** MinIO from PATH, with its data, log and certificates in `folder`. */
export async function startMinio(folder: string, options: MinioOptions = {}): Promise<MinioProcess> {
  const data = join(folder, 'data');
  const certificates = join(folder, 'minio-certificates');
  await mkdir(data, { recursive: true });
  await mkdir(certificates, { recursive: true });
  const server = await startS3Process(
    folder,
    {
      program: 'minio',
      async command({ address, root, certificate }) {
        if (certificate !== undefined) {
          await copyFile(certificate.certificate, join(certificates, 'public.crt'));
          await copyFile(certificate.key, join(certificates, 'private.key'));
        }
        if (options.openId?.caFile !== undefined) {
          await mkdir(join(certificates, 'CAs'), { recursive: true });
          await copyFile(options.openId.caFile, join(certificates, 'CAs', 'issuer.crt'));
        }
        return {
          args: ['server', data, '--address', address, '--certs-dir', certificates],
          environment: {
            MINIO_ROOT_USER: root.accessKeyId,
            MINIO_ROOT_PASSWORD: root.secretAccessKey,
            MINIO_BROWSER: 'off',
            MINIO_UPDATE: 'off',
            ...(options.openId === undefined ? {} : openIdEnvironment(options.openId)),
          },
        };
      },
    },
    options,
  );
  return {
    ...server,
    roleArn: roleArnOf(options.openId?.audience ?? ''),
    createPolicy: (name, statements) => minioAdmin(server).createPolicy(name, statements),
    async createUser(statements) {
      const user = newCredentials();
      await minioAdmin(server).createUser(user, statements);
      return user;
    },
    removeUser: (user) => minioAdmin(server).removeUser(user),
  };
}

/** MinIO names a role after its provider's audience (its internal/config/identity/openid/openid.go). */
function roleArnOf(audience: string): string {
  return `arn:minio:iam:::role/${createHash('sha1').update(audience).digest('base64url')}`;
}

function openIdEnvironment({ issuer, audience, policies }: MinioOpenId): Record<string, string> {
  return {
    MINIO_IDENTITY_OPENID_CONFIG_URL: `${issuer}/.well-known/openid-configuration`,
    MINIO_IDENTITY_OPENID_CLIENT_ID: audience,
    // Without one, MinIO takes a token that anybody has signed by HS256 with an empty key.
    MINIO_IDENTITY_OPENID_CLIENT_SECRET: randomBytes(32).toString('hex'),
    ...('claim' in policies
      ? { MINIO_IDENTITY_OPENID_CLAIM_NAME: policies.claim }
      : { MINIO_IDENTITY_OPENID_ROLE_POLICY: policies.join(',') }),
  };
}
