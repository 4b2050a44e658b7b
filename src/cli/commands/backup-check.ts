import { defineCommand, path, text } from '../arguments.ts';
import { formatBytes, formatCount } from '../output-units.ts';
import { percentOf } from './duration-option.ts';
import { checkpointOption, repositoryOptions, signerOf } from './repository-options.ts';
import { identityOption, passwordFileOption } from './shared-options.ts';
import { telemetryOptions } from './telemetry-options.ts';

/** Named in text, as far as a person reads on. */
const PROBLEMS_NAMED = 50;

export const spec = defineCommand({
  name: 'check',
  summary: 'check a repository',
  description:
    'Checks the roster, every signature and chain, and that all is there that snapshots name, of the right size. ' +
    '--read-data reads as well. With an identity the newest snapshot of each writer is opened, and of the packs that are ' +
    'read every chunk. Names what is wrong and which snapshots it touches: exit status 3.',
  arguments: {},
  options: {
    readData: text({
      value: 'PERCENT',
      defaultValue: '0%',
      description: 'how much of the packs to read, chosen by chance: 10% every night sees all in a while',
    }),
    identity: identityOption,
    signKey: path({
      value: 'FILE',
      description:
        "with an identity: a verifier's cosign key, which signs what was found of the snapshots that were opened",
    }),
    passwordFile: passwordFileOption,
    ...repositoryOptions,
    checkpoint: checkpointOption,
    ...telemetryOptions,
  },
  examples: [
    { command: 'portolan backup check --repo /srv/backups', note: 'without a key' },
    { command: 'portolan backup check --repo /srv/backups --read-data 100% -i key.txt', note: 'everything' },
    {
      command: 'portolan backup check --repo /srv/backups --read-data 10% -i drill.txt --sign-key verifier.key',
      note: 'every night, on another machine: retention then keeps what was found good',
    },
  ],
  async run(context, _, { identity, readData, signKey, passwordFile, ...options }) {
    const { VERSION } = await import('../version.ts');
    const { readIdentities } = await import('../../compose/keys.ts');
    const { composeBackupCheck } = await import('../../compose/backup.ts');
    const { UseCaseError } = await import('../../usecases/errors.ts');
    const { errorFields } = await import('../output-errors.ts');
    if (signKey !== undefined && identity.length === 0) {
      const { UsageError } = await import('../errors.ts');
      throw new UsageError('USAGE', '--sign-key signs what an identity opened, and none was given', {
        hint: 'Give -i FILE as well.',
      });
    }
    const request = {
      readPercent: percentOf('read-data', readData),
      identities: await readIdentities(identity, context.askSecret),
      signer: signKey === undefined ? undefined : signerOf({ signKey, passwordFile }, context),
      program: VERSION,
    };
    const { problems, strangers, ...report } = await composeBackupCheck(options, request, context);
    if (!report.checkpoint) {
      context.progress.warn(
        'this machine never saw the repository before: snapshots that were rolled back do not show',
      );
    }
    const { objects } = report;
    const fields = {
      ...report,
      ok: problems.length === 0,
      strangers: strangers.length,
      problems: problems.map(errorFields),
    };
    context.output.result(fields, () =>
      [
        `${report.repository}: ${problems.length === 0 ? 'all is well' : formatCount(problems.length, 'problem')}`,
        `  roster      epoch ${report.epoch}`,
        `  snapshots   ${report.snapshots} of ${formatCount(report.writers, 'writer')}`,
        `  named       ${formatCount(objects.pack, 'pack')} (${formatBytes(report.packBytes)}), ${formatCount(objects.contents, 'part')} of contents, ${objects.index} of indexes, ${formatCount(objects.runKey, 'run key')}`,
        `  read        ${formatCount(report.readPacks, 'pack')}, ${formatBytes(report.readBytes)}`,
        ...(report.opened.length === 0
          ? []
          : [`  opened      ${report.opened.join(', ')}; ${formatCount(report.checkedChunks, 'chunk')} checked`]),
        ...(report.signed.length === 0 ? [] : [`  signed      ${report.signed.join(', ')}`]),
        `  unnamed     ${formatCount(report.unnamed.objects, 'object')}, ${formatBytes(report.unnamed.sizeBytes)}`,
        ...(strangers.length === 0 ? [] : [`  strangers   ${strangers.length}, such as ${strangers[0]}`]),
      ].join('\n'),
    );
    const [first] = problems;
    if (first === undefined) return;
    throw new UseCaseError('REPOSITORY_NOT_RIGHT', `${formatCount(problems.length, 'problem')} in the repository`, {
      ...(problems.length > PROBLEMS_NAMED
        ? { found: `the first ${PROBLEMS_NAMED} are named here; --json names all` }
        : {}),
      hint: 'Every problem says what it touches. Snapshots that are not named are good as far as was looked.',
      others: problems.slice(0, PROBLEMS_NAMED),
    });
  },
});
