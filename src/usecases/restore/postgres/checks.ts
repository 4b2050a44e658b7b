import type { PortolanError } from '../../../core/errors.ts';
import { quoteName } from '../../../formats/postgres/names.ts';
import type { RestoreNeed } from '../../../formats/repository/database-record.ts';
import { UseCaseError } from '../../errors.ts';
import { chooseEntries } from './entries.ts';
import type { Found } from './look.ts';
import { type Need, needsOf, needText } from './needs.ts';
import type { ServerPlan } from './roles.ts';
import type { PostgresSnapshot } from './snapshot-source.ts';
import type { DatabaseSurvey } from './survey.ts';
import type { TargetServer } from './target-server.ts';
import type { DatabaseTask, PostgresRestoreRequest } from './types.ts';

/** What stands against restoring into a database that was looked at. */
export function* problemsOf(
  found: Found,
  survey: DatabaseSurvey,
  request: PostgresRestoreRequest,
): Generator<PortolanError> {
  const { target, objects, ledger, reachable } = found;
  const at = { url: reachable.database.place };
  if (found.isOther) {
    yield new UseCaseError('RESTORE_UNDER_WAY', `Another restore into ${quoteName(target)} was begun and is not done`, {
      found: ledger?.what ?? '',
      at,
      hint: 'Go on with that one: the same snapshot and the same options. Or drop the database, and run the command again.',
    });
    return;
  }
  if (found.begun !== undefined || objects === undefined || objects.isEmpty) return;
  if (found.ledger !== undefined) return;
  if (!request.intoExisting) {
    yield new UseCaseError('RESTORE_TARGET_NOT_EMPTY', `The database ${quoteName(target)} is not empty`, {
      expected: 'an empty database, or none of this name',
      found: objects.examples.join(', '),
      at,
      hint: 'Name another database in --to. With --into-existing what is missing is put beside what is there.',
    });
    return;
  }
  const { conflicts } = chooseEntries(survey.contents.items, survey.chosen, objects);
  if (survey.record.largeObjects > 0 && survey.chosen.part.isWhole && objects.largeObjects > 0)
    conflicts.push('large objects');
  if (conflicts.length === 0) return;
  yield new UseCaseError(
    'RESTORE_TARGET_NOT_EMPTY',
    `The database ${quoteName(target)} has objects of the same names`,
    {
      expected: 'names that are free: nothing is dropped or replaced',
      found: `${conflicts.slice(0, 20).join(', ')}${conflicts.length > 20 ? ` and ${conflicts.length - 20} more` : ''}`,
      at,
      hint: 'Rename or drop them, restore into another database, or leave them out.',
    },
  );
}

export function unknownPattern(pattern: string): UseCaseError {
  return new UseCaseError('RESTORE_NAME_UNKNOWN', `The snapshot has nothing that fits ${pattern}`, {
    hint: '`portolan backup ls` shows schemas and tables. A name with capital letters goes into double quotes.',
  });
}

/** Those of what is made: what is there already needs no leave. */
export function collectNeeds(
  { end }: PostgresSnapshot,
  tasks: readonly DatabaseTask[],
  serverPlan: ServerPlan,
  target: TargetServer,
  { allow }: PostgresRestoreRequest,
): readonly Need[] {
  const made = new Set([...serverPlan.roles, ...serverPlan.tablespaces].map(quoteName));
  const ofServer = end.needs.filter(({ name }) => made.has(name));
  const powers = serverPlan.powers.map((name): RestoreNeed => ({ kind: 'superuser-role', name }));
  const own: Need[] = target.isSuperuser
    ? [{ allowance: 'superuser', name: quoteName(target.user), isAllowed: allow.has('superuser') }]
    : [];
  // What the server says of its own files counts, not what another server said of its own.
  const isDistrusted = (extension: string) => target.extensions.get(extension)?.isTrusted === false;
  const ofDatabases = tasks.flatMap(({ record, chosen, items, report }) => {
    const said = new Set(record.needs.flatMap(({ kind, name }) => (kind === 'untrusted-extension' ? [name] : [])));
    const distrusted = report.extensions.flatMap(({ name }): RestoreNeed[] =>
      isDistrusted(name) && !said.has(quoteName(name)) ? [{ kind: 'untrusted-extension', name: quoteName(name) }] : [],
    );
    const names = new Set(items.map(({ schema, name }) => quoteName(schema === '' ? name : schema)));
    const isMade = (name: string) => [...names].some((one) => name === one || name.startsWith(`${one}.`));
    return needsOf(
      [...record.needs.filter(({ name }) => chosen.part.isWhole || isMade(name)), ...distrusted],
      allow,
      record.name,
    );
  });
  return [...own, ...needsOf([...ofServer, ...powers], allow), ...ofDatabases];
}

export function* serverProblems(
  target: TargetServer,
  parts: {
    readonly tasks: readonly DatabaseTask[];
    readonly serverPlan: ServerPlan;
    readonly needs: readonly Need[];
    readonly owners: ReadonlySet<string>;
  },
): Generator<PortolanError> {
  const at = { url: target.own.database.place };
  const refused = parts.needs.filter(({ isAllowed }) => !isAllowed);
  if (refused.length > 0) {
    const words = new Set(refused.map(({ allowance }) => allowance));
    const instead = words.has('tablespaces')
      ? ' Or put everything into the default tablespace by --no-tablespaces.'
      : '';
    yield new UseCaseError('RESTORE_NOT_ALLOWED', 'The snapshot needs what is not done unless it is allowed', {
      found: refused.map(needText).join('; '),
      at,
      hint: `Look at them, then add --allow ${[...words].join(',')}.${instead}`,
    });
  }
  const missing = parts.tasks
    .flatMap(({ report }) => report.extensions)
    .filter(({ available }) => available === undefined);
  if (missing.length > 0) {
    yield new UseCaseError('RESTORE_EXTENSIONS_MISSING', 'The server has not the files of extensions that are needed', {
      found: [...new Set(missing.map(({ name, version }) => `${name} ${version}`))].join(', '),
      at,
      hint: 'Install their packages on the machine of the server.',
    });
  }
  yield* rightsProblems(target, parts);
}

/** What only a superuser may make. */
const FOR_SUPERUSERS = new Set<Need['allowance']>([
  ...(['superuser-roles', 'c-functions', 'untrusted-languages', 'event-triggers'] as const),
  ...(['untrusted-extensions', 'tablespaces'] as const),
]);

function* rightsProblems(
  target: TargetServer,
  parts: {
    readonly tasks: readonly DatabaseTask[];
    readonly serverPlan: ServerPlan;
    readonly needs: readonly Need[];
    readonly owners: ReadonlySet<string>;
  },
): Generator<PortolanError> {
  const lacks: string[] = [];
  const { roles } = parts.serverPlan;
  if (roles.length > 0 && !target.createsRoles)
    lacks.push(`the right to make roles: ${roles.map(quoteName).join(', ')}`);
  const databases = parts.tasks.filter(({ report }) => report.state === 'new').map(({ report }) => report.target);
  if (databases.length > 0 && !target.createsDatabases) {
    lacks.push(`the right to make databases: ${databases.map(quoteName).join(', ')}`);
  }
  const beyond = target.isSuperuser ? [] : parts.needs.filter(({ allowance }) => FOR_SUPERUSERS.has(allowance));
  if (beyond.length > 0) lacks.push(`the rights of a superuser: ${beyond.map(needText).join('; ')}`);
  const foreign = [...parts.owners].filter((owner) => !roles.includes(owner) && !target.mayBecome.has(owner));
  if (foreign.length > 0) lacks.push(`to make things in the name of ${foreign.map(quoteName).join(', ')}`);
  if (lacks.length === 0) return;
  const isHigh = (role: string) => target.roles.get(role)?.value.isSuperuser === true;
  const remedies = [
    ...(foreign.some(isHigh)
      ? [`Restore as a superuser, such as ${foreign.filter(isHigh).map(quoteName).join(', ')}.`]
      : []),
    ...(foreign.length > 0 && !foreign.some(isHigh)
      ? [`Have a superuser run: grant ${foreign.map(quoteName).join(', ')} to ${quoteName(target.user)};`]
      : []),
    ...(roles.length > 0 || databases.length > 0 || beyond.length > 0
      ? ['Use another role; or have somebody make what is named, and run the command again.']
      : []),
  ];
  yield new UseCaseError(
    'RESTORE_RIGHTS_MISSING',
    `The role ${quoteName(target.user)} may not do what the restore needs`,
    {
      found: lacks.join('; '),
      at: { url: target.own.database.place },
      hint: remedies.join(' '),
    },
  );
}
