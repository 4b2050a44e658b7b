import type { Fact, RestoreNeed } from '../../../formats/repository/database-record.ts';
import { sqlName } from './facts.ts';

/** What a restore of this fact has to be allowed, if anything. */
export function needOf(
  { kind, name, value }: Fact,
  isTrusted: (extension: string) => boolean,
): RestoreNeed | undefined {
  const need = (ofKind: RestoreNeed['kind']): RestoreNeed => ({ kind: ofKind, name: sqlName(name) });
  switch (kind) {
    case 'role':
      return value.isSuperuser === true ? need('superuser-role') : undefined;
    case 'function': {
      if (value.kind !== 'a' && (value.language === 'c' || value.language === 'internal')) {
        return { kind: 'c-function', name: `${sqlName(name.slice(0, 2))}(${name[2] ?? ''})` };
      }
      return undefined;
    }
    case 'language':
      return value.isTrusted === true ? undefined : need('untrusted-language');
    case 'event-trigger':
      return need('event-trigger');
    case 'extension':
      return isTrusted(name[0] ?? '') ? undefined : need('untrusted-extension');
    case 'foreign-server':
      return need('foreign-server');
    case 'subscription':
      return need('subscription');
    case 'tablespace':
      return need('tablespace');
    default:
      return undefined;
  }
}
