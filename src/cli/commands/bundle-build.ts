import { resolve } from 'node:path';
import type { BuildReport } from '../../usecases/bundle/build.ts';
import { defineCommand, flag, path } from '../arguments.ts';
import { UsageError } from '../errors.ts';
import { formatBytes, formatCount } from '../output-units.ts';
import { definitionArgument, inputOptions, parseSelection, selectionOptions } from './selection-options.ts';
import {
  noReuseOption,
  passwordFileOption,
  recipientOption,
  recipientsFileOption,
  signKeyOption,
} from './shared-options.ts';

export const spec = defineCommand({
  name: 'build',
  summary: 'write a signed, encrypted bundle to a medium',
  description:
    'Locks the definition (or, with --frozen, takes bundle.lock.json as it is), seals everything for the recipients and ' +
    'signs it. Pieces that the medium holds already are not written again. Interrupted at any time, the medium is as it ' +
    'was before, or complete; the next build goes on where this one stopped.',
  arguments: { definition: definitionArgument },
  options: {
    out: path({
      value: 'MEDIUM',
      required: true,
      complete: 'folder',
      description: 'the folder to write to: a stick, new or empty, or one that holds bundles',
    }),
    recipient: recipientOption,
    recipientsFile: recipientsFileOption,
    signKey: signKeyOption,
    passwordFile: passwordFileOption,
    frozen: flag({ description: 'build from bundle.lock.json alone; anything that differs from it is an error' }),
    noReuse: noReuseOption,
    ...selectionOptions,
    ...inputOptions,
  },
  examples: [
    {
      command:
        'portolan bundle build bundles/cms --out /media/usb -R operators.txt --sign-key cosign.key --provider k3s',
      note: 'lock and build for the recipients of a file',
    },
    {
      command: 'portolan bundle build bundles/cms --out /media/usb -r age1… --sign-key cosign.key --frozen',
      note: 'build what the lock says, and nothing else',
    },
  ],
  async run(context, { definition }, options) {
    if (options.frozen) refuseSelection(options);
    const selection = options.frozen ? undefined : parseSelection(options, context);
    const { readRecipients, readSigningKey } = await import('../../compose/keys.ts');
    // Keys first: a wrong password must not wait for a download.
    const recipients = await readRecipients(options.recipient, options.recipientsFile);
    const passwords = {
      passwordFile: options.passwordFile,
      passwordFromEnvironment: context.env.COSIGN_PASSWORD,
      askSecret: context.askSecret,
    };
    const signingKey = await readSigningKey(options.signKey, passwords);
    // Deriving the key from the password takes another thread a tenth of a second: the rest goes on meanwhile.
    const signer = signingKey.open(context);
    signer.catch(() => {});
    const { composeBuild } = await import('../../compose/bundle-build.ts');
    const { cacheFolder } = await import('../../compose/environment.ts');
    const medium = resolve(context.cwd, options.out);
    const started = context.now();
    const { report, lock } = await composeBuild(
      {
        definition: resolve(context.cwd, definition),
        medium,
        selection,
        recipients,
        signer,
        fresh: options.noReuse,
        now: context.now,
        inputs: {
          env: context.env,
          progress: context.progress,
          cache: options.cache ?? cacheFolder(context.env, context.cwd),
          helm: options.helm,
          ...(options.caFile === undefined ? {} : { caFile: options.caFile }),
        },
      },
      context,
    );
    for (const { what, name, from, to } of lock?.changes ?? []) {
      context.progress.note(`lock: ${what} ${name}: ${from ?? 'new'} → ${to ?? 'gone'}`);
    }
    const durationMs = context.now() - started;
    context.output.result({ ...report, medium, durationMs, lock: lock?.path ?? null }, () => render(report, medium));
  },
});

/** What is chosen stands in the lock. */
function refuseSelection(options: {
  readonly feature: readonly string[];
  readonly values: readonly string[];
  readonly platform: readonly string[];
  readonly provider: string | undefined;
}): void {
  const { feature, values, platform, provider } = options;
  if (feature.length + values.length + platform.length === 0 && provider === undefined) return;
  throw new UsageError('USAGE', '--frozen takes features, values, platforms and provider from the lock', {
    hint: 'Leave them out, or leave --frozen out to lock again with this choice.',
  });
}

function render(report: BuildReport, medium: string): string {
  const { sealed, reused, sizeBytes } = report.pieces;
  return [
    `${report.tag}: written to ${medium}`,
    `  root        ${report.root}`,
    `  manifest    ${report.manifestDigest}`,
    `  contents    ${formatCount(report.blobs, 'blob')}, ${formatCount(report.images, 'image')}, ${formatBytes(report.contentBytes)}`,
    `  sealed      ${formatCount(sealed, 'piece')}, ${reused} taken again, ${formatBytes(sizeBytes)} in all`,
    `  signed by   ${report.keyHint}`,
  ].join('\n');
}
