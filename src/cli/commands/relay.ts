import { defineCommand, integer } from '../arguments.ts';
import { UsageError } from '../errors.ts';

export const relaySpec = defineCommand({
  name: 'relay',
  summary: 'pass connections of the loopback on to a database (in a Pod)',
  description:
    'What `portolan restore --to CONTEXT` runs in a short-lived Pod: connections to a port of its loopback go on to HOST:PORT, byte ' +
    'for byte. The restore reaches that port through the API server, so that identities and what is restored stay with whoever ' +
    'restores. It ends by itself when nobody uses it.',
  arguments: { to: { description: 'HOST:PORT; an IPv6 address in brackets' } },
  options: {
    port: integer({ value: 'PORT', defaultValue: 15_432, minimum: 1, maximum: 65_535, description: 'of the loopback' }),
    idle: integer({
      value: 'SECONDS',
      defaultValue: 600,
      minimum: 1,
      maximum: 86_400,
      description: 'how long it may be without a connection',
    }),
  },
  examples: [{ command: 'portolan relay cms-data:5432', note: 'to the database of the namespace' }],
  async run(context, { to }, { port, idle }) {
    const { composeRelay } = await import('../../compose/relay.ts');
    const found = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(to);
    if (found === null || Number(found[3]) > 65_535) {
      throw new UsageError('USAGE', `${to} is no address`, {
        expected: 'HOST:PORT',
        hint: 'Write it like cms-data:5432.',
      });
    }
    const { connections } = await composeRelay(
      {
        ...{ port, to: { host: found[1] ?? found[2] ?? '', port: Number(found[3]) }, idleMs: idle * 1000 },
        onListening: () => context.progress.note(`passing 127.0.0.1:${port} on to ${to}`),
      },
      context,
    );
    context.output.result({ connections }, () => `passed ${connections} connections on`);
  },
});
