import type { Json } from '../../../core/canonical-json.ts';
import type { Fact } from '../../../formats/repository/database-record.ts';

/** `MAINTAIN` is a right since 17: an owner has it by itself, and a dump of before cannot say so. */
const MAINTAIN_MAJOR = 17;

/** A fact without what a restore into another version changes by its nature. */
export function createComparable(
  majors: { readonly source: number; readonly target: number },
  state: 'new' | 'there',
): (fact: Fact) => Fact['value'] {
  const dropsMaintain = majors.source < MAINTAIN_MAJOR && majors.target >= MAINTAIN_MAJOR;
  return ({ kind, value }) => {
    if (kind === 'extension') return without(value, ['version']);
    // Whoever made the database chose these.
    if (kind === 'database' && state === 'there') return without(value, ['encoding', 'collate', 'characterType']);
    if (!dropsMaintain || kind !== 'relation') return value;
    return { ...value, rights: withoutMaintain(value.rights) };
  };
}

function without(value: Fact['value'], members: readonly string[]): Fact['value'] {
  return Object.fromEntries(Object.entries(value).filter(([member]) => !members.includes(member)));
}

function withoutMaintain(rights: Json | undefined): Json {
  if (!Array.isArray(rights)) return null;
  return (rights as string[]).filter((right) => !/=MAINTAIN\*?$/.test(right));
}
