import type { Installed, InstalledRelease } from '../../formats/target/installed.ts';
import type { TargetState } from '../../ports/target-state.ts';
import { writeInstalled } from './installed-state.ts';

type Running = NonNullable<Installed['running']>;

/** Notes at the target what is under way, for whoever comes after a run that was killed. */
export interface Journal {
  done(step: string): Promise<void>;
  /** The work is done: what runs now, and where `bundle rollback` would go. */
  finish(outcome: Outcome): Promise<void>;
}

export interface Outcome {
  readonly applied?: InstalledRelease;
  readonly former?: InstalledRelease;
  readonly highest?: NonNullable<Installed['highest']>;
}

/** Called with the target's lock held. */
export async function openJournal(
  installed: Installed,
  state: TargetState,
  begin: { readonly running: Running; readonly brought?: Installed['brought'] },
  signal: AbortSignal,
): Promise<Journal> {
  // What a run before this one made and did not end stays in sight until one ends.
  const { running: interrupted } = installed;
  let running: Running = {
    ...begin.running,
    ...kept('charts', interrupted, begin.running, ({ namespace, release }) => [namespace, release]),
    ...kept('images', interrupted, begin.running, ({ reference, digest }) => [reference, digest]),
    ...kept('configuration', interrupted, begin.running, ({ namespace, name }) => [namespace, name]),
  };
  // Before anything is sent: what a killed run has brought must be found by `bundle gc`.
  const brought = union(installed.brought, begin.brought ?? []);
  const write = (record: Installed) => writeInstalled(state, record, { signal });
  await write({ ...installed, brought, running });
  return {
    async done(step) {
      running = { ...running, done: [...running.done, step] };
      await write({ ...installed, brought, running });
    },
    async finish(outcome) {
      const { running: _ended, former: _former, applied: _applied, ...rest } = installed;
      await write({ ...rest, brought, ...outcome });
    },
  };
}

/** The list of that name of both runs; nothing where neither has one. */
function kept<Name extends 'charts' | 'images' | 'configuration'>(
  name: Name,
  before: Running | undefined,
  now: Running,
  keyOf: (item: NonNullable<Running[Name]>[number]) => readonly string[],
): Partial<Running> {
  const items = [...(before?.[name] ?? []), ...(now[name] ?? [])] as NonNullable<Running[Name]>[number][];
  const all = new Map(items.map((item) => [JSON.stringify(keyOf(item)), item]));
  return all.size === 0 ? {} : { [name]: [...all.values()] };
}

function union(known: Installed['brought'], more: Installed['brought']): Installed['brought'] {
  const all = new Map(
    [...known, ...more].map((image) => [JSON.stringify([image.target, image.reference, image.digest]), image]),
  );
  return [...all.values()];
}
