import { defineCommand } from '../arguments.ts';
import { bundleArgument, identityOption, passwordFileOption, signKeyOption } from './shared-options.ts';

export const spec = defineCommand({
  name: 'sign',
  summary: "add another publisher's signature",
  description:
    'Adds a signature to a bundle, beside those it has. Readers accept it only if bundle.yaml named the key under ' +
    'signers; with an identity this is checked before signing.',
  arguments: { bundle: bundleArgument },
  options: { signKey: signKeyOption, passwordFile: passwordFileOption, identity: identityOption },
  examples: [
    { command: 'portolan bundle sign /media/usb:cms-1.4.0 --sign-key second.key', note: 'a second signature' },
  ],
  async run(context, { bundle }, { signKey, passwordFile, identity }) {
    const { readIdentities, readSigningKey } = await import('../../compose/keys.ts');
    const { composeSign, parseBundleAddress } = await import('../../compose/bundle-medium.ts');
    const address = await parseBundleAddress(bundle, context.cwd);
    const passwords = {
      passwordFile,
      passwordFromEnvironment: context.env.COSIGN_PASSWORD,
      askSecret: context.askSecret,
    };
    const request = {
      identities: await readIdentities(identity, context.askSecret),
      signer: await (await readSigningKey(signKey, passwords)).open(context),
    };
    const report = await composeSign(address, request, context);
    context.output.result({ ...report }, () =>
      report.added
        ? `${report.tag}: signed by ${report.keyHint}`
        : `${report.tag}: ${report.keyHint} had signed it before; nothing was written`,
    );
  },
});
