import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { minioAdmin, type PolicyStatement } from './minio-admin.ts';
import {
  newCredentials,
  type S3Credentials,
  type S3Process,
  type S3ProcessOptions,
  startS3Process,
} from './s3-process.ts';

export interface MinioProcess extends S3Process {
  /** A new user who may do what the statements allow, and nothing else. */
  createUser(statements: readonly PolicyStatement[]): Promise<S3Credentials>;
  removeUser(user: Pick<S3Credentials, 'accessKeyId'>): Promise<void>;
}

/** MinIO from PATH, with its data, log and certificates in `folder`. */
export async function startMinio(folder: string, options: S3ProcessOptions = {}): Promise<MinioProcess> {
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
        return {
          args: ['server', data, '--address', address, '--certs-dir', certificates],
          environment: {
            MINIO_ROOT_USER: root.accessKeyId,
            MINIO_ROOT_PASSWORD: root.secretAccessKey,
            MINIO_BROWSER: 'off',
            MINIO_UPDATE: 'off',
          },
        };
      },
    },
    options,
  );
  return {
    ...server,
    async createUser(statements) {
      const user = newCredentials();
      await minioAdmin(server).createUser(user, statements);
      return user;
    },
    removeUser: (user) => minioAdmin(server).removeUser(user),
  };
}
