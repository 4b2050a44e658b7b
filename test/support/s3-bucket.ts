import {
  CreateBucketCommand,
  PutBucketVersioningCommand,
  PutObjectLockConfigurationCommand,
  type S3Client,
} from '@aws-sdk/client-s3';

export interface BucketOptions {
  /** Keeps every version. */
  readonly versioning?: boolean;
  /** Versions can be locked (this keeps versions too), and are for so many days where `days` is given. */
  readonly lock?: { readonly days?: number; readonly mode?: 'COMPLIANCE' | 'GOVERNANCE' };
}

export async function makeBucket(client: S3Client, name: string, options: BucketOptions = {}): Promise<void> {
  const { versioning = false, lock } = options;
  await client.send(new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: lock !== undefined }));
  if (versioning || lock !== undefined) {
    const configuration = { Status: 'Enabled' } as const;
    await client.send(new PutBucketVersioningCommand({ Bucket: name, VersioningConfiguration: configuration }));
  }
  if (lock?.days !== undefined) {
    const retention = { Mode: lock.mode ?? 'COMPLIANCE', Days: lock.days };
    const configuration = { ObjectLockEnabled: 'Enabled', Rule: { DefaultRetention: retention } } as const;
    await client.send(new PutObjectLockConfigurationCommand({ Bucket: name, ObjectLockConfiguration: configuration }));
  }
}
