import { join } from 'node:path';
import type { BenchmarkDatabase } from './backup-database.ts';
import { measure } from './measure.ts';
import type { Settings } from './settings.ts';

/** How one of the two backs up and restores. All commands are command lines. */
export interface Side {
  readonly name: string;
  /** Starts with an empty repository. */
  empty(): Promise<void>;
  readonly backup: string;
  /** The newest backup, into an empty database of that name. */
  restore(database: string): string;
  readonly env: Readonly<Record<string, string>>;
}

/** Where the repositories are. */
export interface Place {
  readonly restic: string;
  readonly portolan: string;
  readonly env: Readonly<Record<string, string>>;
  /** A command line that leaves nothing of the repositories. */
  readonly remove: string;
}

/** A folder for each. */
export function folderPlace(work: string): Place {
  const [restic, portolan] = [join(work, 'restic'), join(work, 'portolan')];
  return { restic, portolan, env: {}, remove: `rm -rf ${restic} ${portolan}` };
}

/** What people do: a plain dump, by a pipe, in the way that restic compresses by default. */
export function peerSide({ work }: Settings, database: BenchmarkDatabase, place: Place): Side {
  const env = { ...place.env, RESTIC_PASSWORD: 'benchmark', RESTIC_CACHE_DIR: join(work, 'restic-cache') };
  const restic = `restic --quiet --repo ${place.restic}`;
  const dump = `${database.program('pg_dump')} ${database.arguments} ${database.name}`;
  const load = `${database.program('psql')} -X -q -v ON_ERROR_STOP=1 ${database.arguments}`;
  return {
    name: 'restic',
    env,
    async empty() {
      await measure(`${place.remove} ${env.RESTIC_CACHE_DIR}; ${restic} init`, { env });
    },
    backup: `${dump} | ${restic} backup --stdin --stdin-filename dump.sql`,
    restore: (name) => `${restic} dump latest dump.sql | ${load} -d ${name}`,
  };
}

export function ownSide({ work, keys, secrets, portolan }: Settings, database: BenchmarkDatabase, place: Place): Side {
  const [config, state] = [join(work, 'portolan-config'), join(work, 'portolan-state')];
  const env = { ...place.env, ...secrets, XDG_CONFIG_HOME: config };
  const repository = `--repo '${place.portolan}' --state ${state}`;
  const programs = `--pg-bin ${database.server.programs}`;
  return {
    name: 'portolan',
    env,
    async empty() {
      const init = `${portolan} backup init ${repository} -R ${keys}/recipient.txt --sign-key ${keys}/cosign.key`;
      await measure(`rm -rf ${config} ${state}; ${init}`, { env });
    },
    backup: `${portolan} backup run ${repository} --database '${database.url(database.name)}' ${programs}`,
    restore: (name) =>
      `${portolan} restore ${repository} --to '${database.url(name)}' -i ${keys}/key.txt --allow superuser ${programs}`,
  };
}
