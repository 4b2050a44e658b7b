import { defineCommand } from '../arguments.ts';
import { rootOptions } from './root-options.ts';
import { sessionText } from './session-text.ts';

export const whoamiSpec = defineCommand({
  name: 'whoami',
  summary: 'show who is logged in',
  description:
    'Checks what `portolan login` kept with the keys that the root pins. Nothing is asked of the identity provider.',
  arguments: {},
  options: rootOptions,
  examples: [{ command: 'portolan whoami --repo /srv/backups', note: 'who, and how long still' }],
  async run(context, _, values) {
    const { composeWhoAmI } = await import('../../compose/log-in.ts');
    const session = await composeWhoAmI(values, context);
    context.output.result({ ...session }, () => sessionText(session));
  },
});
