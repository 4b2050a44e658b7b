import { defineCommand, flag, path } from '../arguments.ts';
import { formatBytes, formatCount } from '../output-units.ts';
import { bundleArgument } from './shared-options.ts';

/** Why the medium itself may not have been asked, and what to do then. */
const DOUBTS = {
  memory: 'the medium lives in memory: there is no disk to read back from',
  program: 'a program runs the file system of the medium (FUSE), and may have answered from a cache of its own',
  network: 'the medium lies on another machine, which may have answered from a cache of its own',
  unsupported: 'the file system of the medium cannot be read past the cache',
} as const;

export const spec = defineCommand({
  name: 'copy',
  summary: 'copy a bundle to another medium and read it back',
  description:
    'Copies a bundle with its signatures to a stick or a folder, and needs no key. What is there already is checked and ' +
    'not written again, so a copy that was interrupted goes on where it stopped. Everything is read back past the cache ' +
    'before index.json names it. Exit status 3: the source is damaged, or the medium does not give back what was written.',
  arguments: {
    bundle: bundleArgument,
    medium: { description: 'the folder of the other medium; created when it is missing', complete: 'folder' },
  },
  options: {
    all: flag({ description: 'copy every bundle of the medium' }),
    trust: path({
      value: 'FILE',
      description: "check the signature first: the publisher's public key (cosign.pub), or trust.json",
    }),
  },
  examples: [
    { command: 'portolan bundle copy /srv/medium:cms-1.4.0 /media/usb', note: 'onto a stick' },
    {
      command: 'portolan bundle copy /media/usb /srv/medium --all --trust cosign.pub',
      note: 'everything, off the stick',
    },
  ],
  async run(context, { bundle, medium }, { all, trust }) {
    const { resolve } = await import('node:path');
    const { parseBundleAddress } = await import('../../compose/bundle-medium.ts');
    const { composeCopy } = await import('../../compose/bundle-copy.ts');
    const from = await parseBundleAddress(bundle, context.cwd);
    if (all && from.tag !== undefined) {
      const { UsageError } = await import('../errors.ts');
      throw new UsageError('USAGE', `--all copies every bundle, and ${from.tag} is one`, {
        hint: 'Leave one of the two out.',
      });
    }
    const to = resolve(context.cwd, medium);
    const trusted =
      trust === undefined ? {} : { trust: await (await import('../../compose/keys.ts')).readTrust(trust) };
    const report = await composeCopy({ from, to, all, ...trusted }, context);
    const { there, written, readBack } = report;
    const doubt = readBack.cached === undefined ? undefined : DOUBTS[readBack.cached];
    if (doubt !== undefined) {
      context.progress.warn(
        `${doubt}. To be sure, take the medium out, plug it in again and run \`portolan bundle verify\`.`,
      );
    }
    context.output.result({ ...report, medium: to }, () =>
      [
        `${report.bundles.map(({ tag }) => tag).join(', ')}: copied to ${to}`,
        ...report.bundles.map(({ tag, signatures, signedBy }) =>
          signedBy === undefined
            ? `  signatures  ${tag}: ${signatures}, not checked: no --trust was given`
            : `  signed by   ${tag}: ${signedBy.name} (${signedBy.keyHint})`,
        ),
        `  wrote       ${formatCount(written.files, 'file')}, ${formatBytes(written.sizeBytes)}`,
        `  resumed     ${there.files} of ${formatCount(report.files, 'file')} were there, ${formatBytes(there.sizeBytes)}`,
        `  read back   ${formatCount(readBack.files, 'file')}, ${formatBytes(readBack.sizeBytes)}, ${doubt === undefined ? 'past the cache' : 'perhaps from a cache'}`,
      ].join('\n'),
    );
  },
});
