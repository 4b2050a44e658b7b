import { isWriterName } from '../../formats/repository/keys.ts';
import { STORAGE_ROLES, type StorageRole } from '../../formats/storage/policy.ts';
import { text } from '../arguments.ts';
import { UsageError } from '../errors.ts';

/** Options of commands about roles of a storage. */
export const roleOptions = {
  role: text({
    value: 'ROLE',
    required: true,
    choices: STORAGE_ROLES,
    description: 'whose rights: reader, writer, pruner, verifier or approver',
  }),
  writer: text({ value: 'NAME', description: 'of a writer: its name, as `keys list` shows it' }),
  verifier: text({ value: 'NAME', description: 'of a verifier: its name, as `keys list` shows it' }),
};

interface Given {
  readonly role: string;
  readonly writer: string | undefined;
  readonly verifier: string | undefined;
}

/** @throws UsageError USAGE without the name that a role has to have */
export function roleOf(given: Given): {
  readonly role: StorageRole;
  readonly writer: string;
  readonly verifier: string;
} {
  const role = given.role as StorageRole;
  return { role, writer: nameOf('writer', given), verifier: nameOf('verifier', given) };
}

function nameOf(which: 'writer' | 'verifier', given: Given): string {
  const name = given[which];
  if (name === undefined && given.role === which) throw wrong(`--role ${which} needs the name of the ${which}`, which);
  if (name !== undefined && given.role !== which) throw wrong(`--${which} does not fit --role ${given.role}`, which);
  if (name !== undefined && !isWriterName(name)) throw wrong(`--${which} is no name: a-z, 0-9 and -`, which);
  return name ?? '';
}

function wrong(message: string, which: string): UsageError {
  return new UsageError('USAGE', message, { hint: `Give --role ${which} --${which} NAME, or neither of the two.` });
}
