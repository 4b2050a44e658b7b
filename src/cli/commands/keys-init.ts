import type { KeysInitOutcome } from '../../compose/keys-init.ts';
import { defineCommand, flag, integer, list, path, text } from '../arguments.ts';
import { formatTable } from '../output-table.ts';
import { roleKeys } from './repository-options.ts';

export const spec = defineCommand({
  name: 'init',
  summary: 'make the root: what everybody pins',
  description:
    'Writes the file that everybody gets by another way than the storage: who approves, which break-glass recipient every ' +
    'roster has, and by which identity provider readers are enrolled, with the history of its keys. `backup init --root` makes a ' +
    'repository by it. Run again on a file that is there, it holds the keys that the identity provider has now against it: exit status 3 ' +
    'when they are others. With --update-keys it adds those that are new and ends those that are gone; compare them by another way first. ' +
    'What the file says already is not changed otherwise, but for --minimum-epoch, which may rise.',
  arguments: {},
  options: {
    out: path({ value: 'FILE', required: true, description: 'the root, such as root.json' }),
    approver: roleKeys('public key (cosign.pub) that approves rosters; repeatable'),
    threshold: integer({
      value: 'K',
      minimum: 1,
      maximum: 64,
      description: 'how many of them must sign; 1 unless said',
    }),
    breakGlass: list({
      value: 'RECIPIENT',
      description: 'age recipient whose identity lies in a safe: every roster must have it; repeatable',
    }),
    minimumRecipients: integer({
      value: 'N',
      minimum: 1,
      maximum: 64,
      description: 'no backup is sealed to fewer',
    }),
    minimumEpoch: integer({
      value: 'N',
      minimum: 1,
      maximum: 99_999_999,
      description: 'no roster before this epoch is believed, also where nobody saw a later one; it can be raised',
    }),
    issuer: text({ value: 'URL', description: 'the identity provider, letter by letter as it names itself' }),
    enrolmentClient: text({ value: 'ID', description: 'its client that enrols readers, in a project of its own' }),
    enrolmentProject: text({ value: 'ID', description: 'that project: where readers have their role' }),
    roleClaim: text({
      value: 'NAME',
      description: 'the claim with the roles, where it is not ZITADEL’s for that project',
    }),
    readerRole: text({ value: 'ROLE', description: 'the role that lets people read; backup-reader unless said' }),
    organization: text({ value: 'ID', description: 'the only organization whose grants count' }),
    loginClient: text({ value: 'ID', description: 'the client of `portolan login`' }),
    storageProject: text({ value: 'ID', description: 'the project whose audience the storage trusts' }),
    secondFactor: list({
      value: 'AMR',
      description:
        'what a login must have had beside the password, as the ID token names it; mfa unless said. Repeatable',
    }),
    updateKeys: flag({
      description: 'add keys that the identity provider has now to a file that is there, and end those that are gone',
    }),
    jwks: path({ value: 'FILE', description: 'the keys of the identity provider, saved before; not fetched then' }),
    caFile: path({
      value: 'FILE',
      description: "certificates (PEM) that the identity provider is trusted by, beside the system's",
    }),
  },
  examples: [
    {
      command:
        'portolan keys init --out root.json --approver ada=ada.pub --approver ben=ben.pub --threshold 2 --break-glass age1pq1… ' +
        '--issuer https://id.ship --enrolment-client 328…@backups --enrolment-project 327…',
      note: 'two of two approvers, readers by ZITADEL',
    },
    {
      command: 'portolan keys init --out trust.json --minimum-epoch 4',
      note: 'after somebody was revoked: a storage that shows an older roster is found out by every machine',
    },
    {
      command: 'portolan keys init --out root.json --jwks keys-seen-elsewhere.json',
      note: 'held against keys that were fetched over another network',
    },
    {
      command: 'portolan keys init --out root.json --jwks keys-seen-elsewhere.json --update-keys',
      note: 'after the identity provider changed its keys',
    },
  ],
  async run(context, _, values) {
    const { composeKeysInit } = await import('../../compose/keys-init.ts');
    const { out, threshold, breakGlass, minimumRecipients, minimumEpoch, jwks, caFile, updateKeys } = values;
    const outcome = await composeKeysInit(
      {
        ...{ out, threshold, breakGlass, minimumRecipients, minimumEpoch, jwks, caFile, updateKeys },
        approvers: values.approver,
        issuer: await issuerOf(values),
      },
      context,
    );
    for (const warning of warningsOf(outcome)) context.progress.warn(warning);
    context.output.result({ ...outcome }, () => rootText(outcome));
    if (!outcome.keysDiffer) return;
    const { UseCaseError } = await import('../../usecases/errors.ts');
    throw new UseCaseError('ISSUER_KEYS_DIFFER', 'the identity provider shows other keys than the root has', {
      at: { file: outcome.file },
      hint: 'The file keeps its keys. Compare the thumbprints by another way than this network, then run the command again with --update-keys.',
    });
  },
});

interface IssuerOptions {
  readonly issuer: string | undefined;
  readonly enrolmentClient: string | undefined;
  readonly enrolmentProject: string | undefined;
  readonly roleClaim: string | undefined;
  readonly readerRole: string | undefined;
  readonly organization: string | undefined;
  readonly loginClient: string | undefined;
  readonly storageProject: string | undefined;
  readonly secondFactor: readonly string[];
}

async function issuerOf(given: IssuerOptions) {
  const { issuer: url, enrolmentClient, enrolmentProject, secondFactor, ...rest } = given;
  const { roleClaim = roleClaimOf(enrolmentProject), readerRole = 'backup-reader', organization } = rest;
  if (url === undefined) return undefined;
  if (enrolmentClient === undefined || roleClaim === undefined) {
    const { UsageError } = await import('../errors.ts');
    throw new UsageError('USAGE', 'an identity provider needs its client and its project for enrolment', {
      hint: 'Give --enrolment-client ID and --enrolment-project ID, or --role-claim NAME where it is not ZITADEL.',
    });
  }
  const { isIssuerUrl } = await import('../../formats/identity/pinned-issuer.ts');
  if (!isIssuerUrl(url)) {
    const { UsageError } = await import('../errors.ts');
    throw new UsageError('USAGE', '--issuer is not the address of an identity provider', {
      expected: 'https://HOST, letter by letter as its tokens name it: no slash at the end',
      found: url,
    });
  }
  const { loginClient, storageProject } = rest;
  return {
    ...{ url, enrolmentClient, roleClaim, readerRole },
    ...(loginClient === undefined ? {} : { loginClient }),
    ...(storageProject === undefined ? {} : { storageProject }),
    ...(organization === undefined ? {} : { organization }),
    ...(secondFactor.length === 0 ? {} : { secondFactors: secondFactor }),
  };
}

function roleClaimOf(project: string | undefined): string | undefined {
  return project === undefined ? undefined : `urn:zitadel:iam:org:project:${project}:roles`;
}

function warningsOf({ issuerKeys, created, root }: KeysInitOutcome): string[] {
  const isShown = issuerKeys.some(({ change, until }) => change === undefined && until === undefined);
  const isGone = issuerKeys.some(({ change }) => change === 'gone');
  return [
    ...(root.issuer?.url.startsWith('http:') === true
      ? ['the identity provider is spoken to without TLS: whoever is in between can show keys of their own']
      : []),
    ...issuerKeys
      .filter(({ change }) => change === 'back')
      .map(
        ({ kid }) =>
          `the identity provider shows the key ${kid} again, whose time had ended: what it signs does not count. If that is right, take its "until" out of the file`,
      ),
    ...(created || isShown || !isGone
      ? []
      : [
          'the identity provider shows none of the keys any more that it had: compare the new ones with its administrator, by another way than this network, before you give this file to anybody',
        ]),
  ];
}

function rootText({ file, created, changed, keysDiffer, added, root, approvers, issuerKeys }: KeysInitOutcome): string {
  const { threshold = 1, breakGlass = [], minimumRecipients, minimumEpoch, issuer } = root;
  const rows = issuerKeys.map(({ kid, algorithm, thumbprint, from, until, change = '' }) => [
    ...[kid, algorithm, thumbprint, day(from), until === undefined ? '' : day(until), change],
  ]);
  const columns = ['kid', 'algorithm', 'thumbprint', 'from', 'until', 'change'].map((title) => ({ title }));
  return [
    created ? `root written to ${file}` : changed ? `root in ${file} brought up to date` : `nothing changed in ${file}`,
    ...(added.length === 0 ? [] : [`  added        ${added.join(', ')}`]),
    `  approvers    ${threshold} of ${approvers.length}: ${approvers.map(({ name, keyHint }) => `${name} ${keyHint}`).join(', ')}`,
    `  break-glass  ${breakGlass.map((one) => (one.length > 80 ? `${one.slice(0, 24)}…${one.slice(-8)}` : one)).join(', ') || 'none'}`,
    ...(minimumRecipients === undefined ? [] : [`  minimum      ${minimumRecipients} recipients`]),
    ...(minimumEpoch === undefined ? [] : [`  rosters      of epoch ${minimumEpoch} or later`]),
    ...(issuer === undefined
      ? []
      : [
          `  issuer       ${issuer.url}`,
          formatTable(columns, rows),
          ...(keysDiffer ? ['What is new or gone is what the provider shows: the file keeps its own keys.'] : []),
          'Compare the thumbprints (RFC 7638) by another way than this network: fetch the keys elsewhere, and give them with --jwks. Nothing may change.',
        ]),
  ].join('\n');
}

function day(time: string): string {
  return time.slice(0, 16).replace('T', ' ');
}
