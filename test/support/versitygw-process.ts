import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type S3Process, type S3ProcessOptions, startS3Process } from './s3-process.ts';

/** The Versity gateway from PATH: objects are files below `folder`, which must hold extended attributes (ext4, XFS, tmpfs). */
export async function startVersitygw(folder: string, options: S3ProcessOptions = {}): Promise<S3Process> {
  const data = join(folder, 'data');
  const versions = join(folder, 'versions');
  await mkdir(data, { recursive: true });
  await mkdir(versions, { recursive: true });
  return startS3Process(
    folder,
    {
      program: 'versitygw',
      command: async ({ address, region, root, certificate }) => ({
        args: [
          ...['--port', address, '--region', region, '--quiet'],
          ...(certificate === undefined ? [] : ['--cert', certificate.certificate, '--key', certificate.key]),
          ...['posix', '--versioning-dir', versions, data],
        ],
        environment: { ROOT_ACCESS_KEY: root.accessKeyId, ROOT_SECRET_KEY: root.secretAccessKey },
      }),
    },
    options,
  );
}
