import type { InitOutcome } from '../../compose/backup-init.ts';
import { CLOCK_TOLERANCE_MS } from '../../formats/repository/retention.ts';
import { sharedKeys } from '../../formats/repository/roster.ts';
import type { SigningKey } from '../../formats/sigstore/cosign-key.ts';
import { defineCommand, list, path, pathList, text } from '../arguments.ts';
import { formatDuration } from '../output-units.ts';
import { BUCKETS, repoOption, repositoryStateOption, roleKeys, storageOptions } from './repository-options.ts';
import { passwordFileOption, recipientsFileOption, recipientsOption, signKeyOption } from './shared-options.ts';

export const spec = defineCommand({
  name: 'init',
  summary: 'make a repository',
  description:
    'Makes a repository in an empty folder or under an empty prefix of a bucket, and says who may read, write, prune and ' +
    'verify it. The signing key approves that list. It leaves in ~/.config/portolan: the key file of the writer, which opens ' +
    'no backup and must stay secret all the same, and trust.json, which says whom to believe about the repository. ' +
    BUCKETS,
  arguments: {},
  options: {
    repo: repoOption,
    recipient: recipientsOption(
      'age recipient that may read, or NAME=RECIPIENT; repeatable. All classic or all post-quantum',
    ),
    recipientsFile: recipientsFileOption,
    breakGlass: list({
      value: 'RECIPIENT',
      description: 'as --recipient: an identity that is kept offline, for the day when all others are lost',
    }),
    root: path({
      value: 'FILE',
      description:
        'the root that `keys init` made: approvers, break-glass recipients, the minimum and the identity provider come from it',
    }),
    signKey: signKeyOption,
    coSignKey: pathList({
      value: 'FILE',
      description: 'the key of another approver, where the root wants several signatures; repeatable',
    }),
    passwordFile: passwordFileOption,
    writer: text({ value: 'NAME', description: 'name of the writer: a-z, 0-9 and -; by default the host’s' }),
    writerPub: path({ value: 'FILE', description: "the writer's public key, where it signs with another key" }),
    approver: roleKeys('public key that may change the list; repeatable. By default that of the signing key'),
    pruner: roleKeys('public key that may forget and prune; repeatable. By default that of the signing key'),
    verifier: roleKeys('public key whose checks count; repeatable'),
    state: repositoryStateOption,
    ...storageOptions,
  },
  examples: [
    {
      command: 'portolan backup init --repo /srv/backups -r age1pq1… --break-glass age1pq1… --sign-key cosign.key',
      note: 'a folder, read by one person or with the key in the safe',
    },
    {
      command:
        "portolan backup init --repo 's3://backups/shop?endpoint=https://minio.ship:9000' -R readers.txt --sign-key cosign.key",
      note: 'a bucket',
    },
    {
      command:
        'portolan backup init --repo /srv/backups --root root.json -r anna=age1pq1… --sign-key ada.key --co-sign-key ben.key',
      note: 'by a root, with two approvers',
    },
  ],
  async run(context, _, values) {
    const { resolve } = await import('node:path');
    const { readSigningKey } = await import('../../compose/keys.ts');
    const { composeBackupInit } = await import('../../compose/backup-init.ts');
    const at = (file: string) => resolve(context.cwd, file);
    const passwords = {
      passwordFile: values.passwordFile,
      passwordFromEnvironment: context.env.COSIGN_PASSWORD,
      askSecret: context.askSecret,
    };
    if (values.root !== undefined && values.approver.length > 0) {
      const { UsageError } = await import('../errors.ts');
      throw new UsageError('USAGE', '--root says who approves: --approver does not go with it', {
        hint: 'Add approvers later: `portolan keys approve --approver`.',
      });
    }
    const signers: SigningKey[] = [];
    for (const file of [values.signKey, ...values.coSignKey])
      signers.push(await (await readSigningKey(file, passwords)).open(context));
    const [signer, ...coSigners] = signers as [SigningKey, ...SigningKey[]];
    const outcome = await composeBackupInit(
      {
        ...values,
        ...{ signer, coSigners },
        root: values.root === undefined ? undefined : at(values.root),
        signKey: at(values.signKey),
        recipients: values.recipient,
        recipientsFiles: values.recipientsFile.map(at),
        writerPub: values.writerPub === undefined ? undefined : at(values.writerPub),
        approvers: values.approver,
        pruners: values.pruner,
        verifiers: values.verifier,
      },
      context,
    );
    const { roster, repository, created, place, writerKey, trust, probe } = outcome;
    for (const warning of warningsOf(outcome)) context.progress.warn(warning);
    const writers = roster.writers.map(({ name }) => name);
    context.output.result({ repository, created, epoch: roster.epoch, place, writerKey, trust, writers, probe }, () =>
      [
        created ? `repository ${repository} made at ${place}` : `repository ${repository} is at ${place} already`,
        `  readers     ${roster.recipients.map(({ name, role }) => (role === 'reader' ? name : `${name} (${role})`)).join(', ')}`,
        `  writer      ${writers.join(', ')}`,
        `  writer key  ${writerKey}`,
        `  trust       ${trust}`,
        'Keep copies of both files, and of the identities, where this machine cannot reach them.',
      ].join('\n'),
    );
  },
});

function warningsOf({ roster, place, probe }: InitOutcome): string[] {
  const skewMs = Math.abs(probe?.clockAheadMs ?? 0);
  return [
    ...(sharedKeys(roster).length === 0
      ? []
      : [
          'one key has several roles: whoever has this machine may also change the roster, and forget and prune. Give the writer a key of its own: --writer-pub',
        ]),
    ...(roster.recipients.length > 1
      ? []
      : [
          'there is one recipient: when its identity is lost, so is every backup. Add another one, best offline: --break-glass',
        ]),
    ...(skewMs <= CLOCK_TOLERANCE_MS
      ? []
      : [
          `the clocks of this machine and of the storage differ by ${formatDuration(skewMs)}: set them, else \`backup forget\` holds every chain`,
        ]),
    ...(probe?.keepsVersions !== false || !place.startsWith('s3://')
      ? []
      : [
          'the bucket keeps no versions: whoever may write to it can destroy backups. Turn versioning on, best with Object Lock',
        ]),
  ];
}
