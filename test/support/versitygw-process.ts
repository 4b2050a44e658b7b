import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { succeed } from './program.ts';
import {
  newCredentials,
  type S3Credentials,
  type S3Process,
  type S3ProcessOptions,
  startS3Process,
} from './s3-process.ts';

export interface VersitygwProcess extends S3Process {
  /** A new user, who may do what policies of buckets say. */
  createUser(): Promise<S3Credentials>;
}

/** The Versity gateway from PATH: objects are files below `folder`, which must hold extended attributes (ext4, XFS, tmpfs). */
export async function startVersitygw(folder: string, options: S3ProcessOptions = {}): Promise<VersitygwProcess> {
  const data = join(folder, 'data');
  const versions = join(folder, 'versions');
  await mkdir(data, { recursive: true });
  await mkdir(versions, { recursive: true });
  const users = join(folder, 'users');
  await mkdir(users, { recursive: true });
  const server = await startS3Process(
    folder,
    {
      program: 'versitygw',
      command: async ({ address, region, root, certificate }) => ({
        args: [
          ...['--port', address, '--region', region, '--quiet', '--iam-dir', users],
          ...(certificate === undefined ? [] : ['--cert', certificate.certificate, '--key', certificate.key]),
          ...['posix', '--versioning-dir', versions, data],
        ],
        environment: { ROOT_ACCESS_KEY: root.accessKeyId, ROOT_SECRET_KEY: root.secretAccessKey },
      }),
    },
    options,
  );
  return {
    ...server,
    async createUser() {
      const user = newCredentials();
      const args = ['admin', '--endpoint-url', server.endpoint, '--region', server.region, 'create-user'];
      await succeed(
        'versitygw',
        [...args, '--access', user.accessKeyId, '--secret', user.secretAccessKey, '--role', 'user'],
        {
          env: { ADMIN_ACCESS_KEY_ID: server.root.accessKeyId, ADMIN_SECRET_ACCESS_KEY: server.root.secretAccessKey },
        },
      );
      return user;
    },
  };
}
