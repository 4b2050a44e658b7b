import { defineCommand, text } from '../arguments.ts';
import { formatBytes } from '../output-units.ts';
import { bundleArgument, identityOption, trustOption } from './shared-options.ts';

export const spec = defineCommand({
  name: 'unpack',
  summary: 'open a bundle into a folder',
  description:
    'Opens a bundle into a new or empty folder, which appears only when everything was checked: the signature first, ' +
    'then every piece and every blob.',
  arguments: {
    bundle: bundleArgument,
    folder: { description: 'the folder to create', complete: 'folder' },
  },
  options: {
    trust: trustOption,
    identity: { ...identityOption, required: true },
    as: text({
      value: 'FORM',
      choices: ['files', 'oci-layout'],
      defaultValue: 'files',
      description: 'files: everything; oci-layout: the images alone, as one OCI image layout',
    }),
  },
  examples: [
    { command: 'portolan bundle unpack /media/usb opened -i key.txt --trust cosign.pub', note: 'everything' },
    {
      command: 'portolan bundle unpack /media/usb images -i key.txt --trust cosign.pub --as oci-layout',
      note: 'images for skopeo, oras or ctr',
    },
  ],
  async run(context, { bundle, folder }, { trust, identity, as }) {
    const { resolve } = await import('node:path');
    const { readIdentities, readTrust } = await import('../../compose/keys.ts');
    const { composeUnpack, parseBundleAddress } = await import('../../compose/bundle-medium.ts');
    const address = await parseBundleAddress(bundle, context.cwd);
    const target = resolve(context.cwd, folder);
    const report = await composeUnpack(
      address,
      target,
      {
        trust: await readTrust(trust),
        identities: await readIdentities(identity, context.askSecret),
        form: as === 'oci-layout' ? 'oci-layout' : 'files',
      },
      context,
    );
    context.output.result({ ...report, folder: target }, () =>
      [
        `${report.tag}: unpacked into ${target}`,
        `  signed by   ${report.signedBy.name} (${report.signedBy.keyHint})`,
        `  wrote       ${report.files} files, ${formatBytes(report.sizeBytes)}`,
        `  root        ${report.root}`,
      ].join('\n'),
    );
  },
});
