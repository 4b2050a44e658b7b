import { defineCommand } from '../arguments.ts';
import { rootOptions } from './root-options.ts';

export const logoutSpec = defineCommand({
  name: 'logout',
  summary: 'forget a login',
  description:
    'Removes what `portolan login` kept on this machine. The session of the browser is not ended by it: log out there as well.',
  arguments: {},
  options: rootOptions,
  examples: [{ command: 'portolan logout --repo /srv/backups', note: 'after the restore' }],
  async run(context, _, values) {
    const { composeLogOut } = await import('../../compose/log-in.ts');
    const outcome = await composeLogOut(values, context);
    context.output.result(outcome, () =>
      outcome.ended ? `logged out of ${outcome.issuer}` : `nobody was logged in at ${outcome.issuer}`,
    );
  },
});
