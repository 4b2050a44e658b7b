/** `scripts/zitadel-setup`: see docs/zitadel.md. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { createExchange, type Exchange } from '../../src/adapters/identity-provider/exchange.ts';
import { createProjectFiles } from '../../src/adapters/project-files/project-files.ts';
import { proxyOf } from '../../src/compose/registry-settings.ts';
import { PortolanError } from '../../src/core/errors.ts';
import type { RetryPolicy } from '../../src/core/retry.ts';
import { isIssuerUrl } from '../../src/formats/identity/pinned-issuer.ts';
import { isWriterName } from '../../src/formats/repository/keys.ts';
import { createDryRun, createLiveApi, SetupProblem, type ZitadelApi } from './api.ts';
import { SERVICE_ROLES, type SetupOutcome, type SetupRequest, setUp } from './setup.ts';

const USAGE = `Usage: scripts/zitadel-setup --issuer URL --organization ID --token-file FILE --keys-out DIR [options]

Makes in ZITADEL, version 4, what enrolment, logins and storage credentials need: three projects, two public clients, service
users with key files. What is there already stays; run it again after it was broken off, or for further service users.

  --issuer URL           ZITADEL's address, as its tokens name it: no slash at the end
  --organization ID      where everything is made: its id in the console
  --token-file FILE      a token of an Org Owner; without it the variable ZITADEL_TOKEN
  --keys-out DIR         where the key files go, mode 0600
  --writer NAME          a service user that writes; repeatable (default portolan-writer)
  --pruner NAME          one that prunes; repeatable (default portolan-pruner)
  --verifier NAME        one that verifies; repeatable (default portolan-verifier)
  --prefix NAME          of the names of projects and clients (default Portolan)
  --key-days N           how long the keys live (default 365)
  --without-role-check   writers do not see users: then they cannot ask who lost the role of a reader
  --ca-file FILE         certificates (PEM) that ZITADEL is trusted by, beside the system's
  --dry-run              print every request that would be sent, and send none; needs no token
  --json                 the result as JSON
`;

const DAY_MS = 86_400_000;
const TOKEN_MAX_BYTES = 16 * 1024;
const TIMEOUT_MS = 30_000;
const READING: RetryPolicy = { attempts: 4, baseDelayMs: 300, maxDelayMs: 5000 };
const ONCE: RetryPolicy = { attempts: 1, baseDelayMs: 0, maxDelayMs: 0 };

class UsageProblem extends Error {}

type Values = ReturnType<typeof parse>;

function parse() {
  const text = { type: 'string' } as const;
  const names = { type: 'string', multiple: true } as const;
  const flag = { type: 'boolean', default: false } as const;
  try {
    return parseArgs({
      options: {
        ...{ issuer: text, organization: text, 'token-file': text, 'keys-out': text, 'ca-file': text },
        ...{ writer: names, pruner: names, verifier: names },
        prefix: { type: 'string', default: 'Portolan' },
        'key-days': { type: 'string', default: '365' },
        ...{ 'without-role-check': flag, 'dry-run': flag, json: flag },
        help: { ...flag, short: 'h' },
      },
    }).values;
  } catch (cause) {
    throw new UsageProblem((cause as Error).message);
  }
}

async function main(signal: AbortSignal): Promise<void> {
  const values = parse();
  if (values.help) return void process.stdout.write(USAGE);
  const issuer = required(values, 'issuer');
  if (!isIssuerUrl(issuer)) throw new UsageProblem('--issuer is https://HOST, without a slash at its end.');
  const request = requestOf(values);
  const say = (line: string) => process.stderr.write(`${line}\n`);
  if (values['dry-run']) {
    await setUp(
      createDryRun(issuer, (text) => process.stdout.write(`${text}\n`)),
      request,
      () => {},
    );
    return;
  }
  await using live = await openApi(issuer, values, signal);
  const outcome = await setUp(live.api, request, say);
  process.stdout.write(values.json ? `${JSON.stringify({ issuer, ...outcome })}\n` : resultText(issuer, outcome));
}

function requestOf(values: Values): SetupRequest {
  const days = Number(values['key-days']);
  if (!Number.isInteger(days) || days < 1 || days > 3650)
    throw new UsageProblem('--key-days is a number from 1 to 3650.');
  const accounts = Object.fromEntries(
    SERVICE_ROLES.map((role) => [role, values[role] ?? [`portolan-${role}`]]),
  ) as unknown as SetupRequest['accounts'];
  const all = Object.values(accounts).flat();
  // They become the names of files.
  const wrong = all.find((name, index) => !isWriterName(name) || all.indexOf(name) !== index);
  if (wrong !== undefined) throw new UsageProblem(`${wrong} is no name, or stands twice: a-z, 0-9 and -.`);
  return {
    organization: required(values, 'organization'),
    prefix: values.prefix,
    accounts,
    seesRoles: !values['without-role-check'],
    keyFolder: resolve(required(values, 'keys-out')),
    keysUntil: new Date(Date.now() + days * DAY_MS),
  };
}

function required(values: Values, name: 'issuer' | 'organization' | 'keys-out'): string {
  const value = values[name];
  if (value === undefined || value === '') throw new UsageProblem(`--${name} is missing.`);
  return value;
}

async function openApi(
  issuer: string,
  values: Values,
  signal: AbortSignal,
): Promise<AsyncDisposable & { readonly api: ZitadelApi }> {
  const token = await tokenOf(values);
  const caFile = values['ca-file'];
  const transport = { proxy: proxyOf(process.env), ...(caFile === undefined ? {} : { caFile: resolve(caFile) }) };
  const exchange = (retries: RetryPolicy): Exchange =>
    createExchange({ issuer, transport, now: Date.now, timeoutMs: TIMEOUT_MS, retries });
  const [reading, writing] = [exchange(READING), exchange(ONCE)];
  return {
    api: createLiveApi({ issuer, token, reading, writing, signal }),
    async [Symbol.asyncDispose]() {
      await Promise.all([reading.close(), writing.close()]);
    },
  };
}

async function tokenOf(values: Values): Promise<string> {
  const file = values['token-file'];
  const text =
    file === undefined
      ? process.env.ZITADEL_TOKEN
      : new TextDecoder().decode(await createProjectFiles().read(resolve(file), TOKEN_MAX_BYTES));
  const token = text?.trim() ?? '';
  if (token === '') throw new UsageProblem('There is no token: give --token-file FILE, or the variable ZITADEL_TOKEN.');
  if (!/^[\x21-\x7e]+$/.test(token)) throw new SetupProblem('the token is not one line', 'Give the token alone.');
  return token;
}

function resultText(issuer: string, outcome: SetupOutcome): string {
  const { enrolmentProject, enrolmentClient, loginClient, storageProject, accounts } = outcome;
  const rows = accounts.map(
    ({ role, name, userId, keyFile }) => `  ${role.padEnd(9)} ${name}  --subject ${userId}  --service-key ${keyFile}`,
  );
  return `${[
    'portolan keys init --out root.json --approver … --break-glass … \\',
    `  --issuer ${issuer} --enrolment-project ${enrolmentProject} --enrolment-client ${enrolmentClient} \\`,
    `  --login-client ${loginClient} --storage-project ${storageProject}`,
    '',
    'Service accounts:',
    ...rows,
    '',
    `MINIO_IDENTITY_OPENID_CONFIG_URL=${issuer}/.well-known/openid-configuration`,
    `MINIO_IDENTITY_OPENID_CLIENT_ID=${storageProject}`,
    '',
    'Left to do by hand: grant people the role backup-reader, and ask a second factor of them (docs/zitadel.md).',
  ].join('\n')}\n`;
}

function problemText(problem: unknown): string {
  if (problem instanceof UsageProblem) return `${problem.message}\n\n${USAGE}`;
  const hint = problem instanceof PortolanError || problem instanceof SetupProblem ? problem.hint : undefined;
  return `${(problem as Error).message}\n${hint === undefined ? '' : `${hint}\n`}`;
}

// Who reads may have seen enough.
process.stdout.on('error', () => process.exit(1));
const stopped = new AbortController();
const STATUSES = { SIGINT: 130, SIGTERM: 143 } as const;
let status: number | undefined;
for (const [name, endedBy] of Object.entries(STATUSES)) {
  process.once(name, () => {
    status = endedBy;
    stopped.abort(new Error('broken off; run the command again, and it goes on'));
  });
}
try {
  await main(stopped.signal);
} catch (problem) {
  process.stderr.write(`scripts/zitadel-setup: ${problemText(problem)}`);
  process.exitCode = status ?? (problem instanceof UsageProblem ? 2 : 1);
}
