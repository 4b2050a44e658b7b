import { defineCommand, flag } from '../arguments.ts';
import { noBrowserOption, providerOptions } from './root-options.ts';
import { sessionText } from './session-text.ts';

export const loginSpec = defineCommand({
  name: 'login',
  summary: 'log in at the identity provider of a root',
  description:
    'Opens the login in a browser and keeps who you are until it ends: `restore` asks for it where the root names an ' +
    'identity provider. The password is never seen here.',
  arguments: {},
  options: {
    device: flag({ description: 'show a code that is entered with a browser elsewhere, such as on a telephone' }),
    noBrowser: noBrowserOption,
    ...providerOptions,
  },
  examples: [
    { command: 'portolan login --repo /srv/backups', note: 'with the browser of this machine' },
    { command: 'portolan login --trust root.json --device', note: 'on a server' },
  ],
  async run(context, _, { device, noBrowser, ...values }) {
    if (device && noBrowser) {
      const { UsageError } = await import('../errors.ts');
      throw new UsageError('USAGE', '--device and --no-browser are two ways', { hint: 'Leave one of them out.' });
    }
    const { composeLogIn } = await import('../../compose/log-in.ts');
    const way = device ? 'device' : noBrowser ? 'paste' : 'browser';
    const session = await composeLogIn({ ...values, way, ask: context.askSecret }, context);
    context.output.result({ ...session }, () => `logged in\n${sessionText(session)}`);
  },
});
