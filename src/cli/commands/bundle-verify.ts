import { defineCommand } from '../arguments.ts';
import { formatBytes, formatCount } from '../output-units.ts';
import { bundleArgument, identityOption, trustOption } from './shared-options.ts';

export const spec = defineCommand({
  name: 'verify',
  summary: 'check signature, integrity and, with a key, contents',
  description:
    'Checks the signature and every byte of a bundle, and names each file that is wrong. With an identity it also opens ' +
    'every piece and checks every blob inside by its digest. Writes nothing. Exit status 3: the bundle is not right.',
  arguments: { bundle: bundleArgument },
  options: { trust: trustOption, identity: identityOption },
  examples: [
    { command: 'portolan bundle verify /media/usb --trust cosign.pub', note: 'as a courier: no key needed' },
    { command: 'portolan bundle verify /media/usb:cms-1.4.0 --trust cosign.pub -i key.txt', note: 'contents as well' },
  ],
  async run(context, { bundle }, { trust, identity }) {
    const { readIdentities, readTrust } = await import('../../compose/keys.ts');
    const { composeVerify, parseBundleAddress } = await import('../../compose/bundle-medium.ts');
    const { UseCaseError } = await import('../../usecases/errors.ts');
    const address = await parseBundleAddress(bundle, context.cwd);
    const request = { trust: await readTrust(trust), identities: await readIdentities(identity, context.askSecret) };
    const report = await composeVerify(address, request, context);
    for (const remark of report.remarks) {
      // A second publisher's signature is no fault; inspect and list show it.
      if (remark.code === 'SIGNATURE_UNKNOWN_KEY') continue;
      context.progress.warn(`${remark.message} (${remark.at?.file ?? remark.code})`);
    }
    const { problems, remarks, signatures, ...facts } = report;
    const fields = {
      ...facts,
      ok: problems.length === 0,
      problems: problems.map(({ code, message, at, expected, found }) => ({ code, message, at, expected, found })),
    };
    context.output.result(fields, () =>
      [
        `${report.tag}: ${problems.length === 0 ? 'verified' : formatCount(problems.length, 'problem')}`,
        report.signedBy
          ? `  signed by   ${report.signedBy.name} (${report.signedBy.keyHint})`
          : '  signed by   nobody you trust',
        `  checked     ${report.files} files, ${formatBytes(report.sizeBytes)}`,
        `  manifest    ${report.manifestDigest}`,
        report.root === undefined
          ? `  contents    not looked at: ${identity.length === 0 ? 'no identity was given' : 'see the problems'}`
          : `  contents    ${report.blobs} blobs, root ${report.root}`,
      ].join('\n'),
    );
    const [first, ...further] = problems;
    if (first === undefined) return;
    // That the contents are sealed for others says nothing about the bundle: every other check went well.
    if (further.length === 0 && first.code === 'NO_MATCHING_IDENTITY') throw first;
    throw new UseCaseError(
      'BUNDLE_NOT_RIGHT',
      `${report.tag} is not right: ${formatCount(problems.length, 'problem')}`,
      {
        at: { file: address.folder },
        others: problems,
        hint: 'Do not import it. Copy what is named again, or get the bundle again.',
      },
    );
  },
});
