import { quoteName } from '../../../formats/postgres/names.ts';
import type { RestoreNeed } from '../../../formats/repository/database-record.ts';

/** What is not done unless a person says so: words of `--allow`. */
export const ALLOWANCES = {
  superuser: 'the work itself, as a superuser: functions of the snapshot run with all rights',
  'superuser-roles': 'roles that are superusers, or become as good as one by a membership',
  'c-functions': 'functions in C, which run within the server',
  'untrusted-languages': 'languages in which functions may do anything',
  'event-triggers': 'functions that run by themselves when anything is defined',
  'untrusted-extensions': 'extensions that only a superuser may make',
  'foreign-servers': 'other servers to connect to',
  subscriptions: 'subscriptions to other servers',
  tablespaces: 'folders outside of the data folder',
} as const;

export type Allowance = keyof typeof ALLOWANCES;

export interface Need {
  readonly allowance: Allowance;
  /** As SQL names it. */
  readonly name: string;
  readonly database?: string;
  readonly isAllowed: boolean;
}

const BY_KIND: Readonly<Record<RestoreNeed['kind'], Allowance>> = {
  'superuser-role': 'superuser-roles',
  'c-function': 'c-functions',
  'untrusted-language': 'untrusted-languages',
  'event-trigger': 'event-triggers',
  'untrusted-extension': 'untrusted-extensions',
  'foreign-server': 'foreign-servers',
  subscription: 'subscriptions',
  tablespace: 'tablespaces',
};

export function needsOf(
  needs: readonly RestoreNeed[],
  allowed: ReadonlySet<Allowance>,
  database?: string,
): readonly Need[] {
  return needs.map(({ kind, name }) => ({
    allowance: BY_KIND[kind],
    name,
    isAllowed: allowed.has(BY_KIND[kind]),
    ...(database === undefined ? {} : { database }),
  }));
}

/** For messages. */
export function needText({ allowance, name, database }: Need): string {
  return `${allowance}: ${name}${database === undefined ? '' : ` in ${quoteName(database)}`}`;
}
