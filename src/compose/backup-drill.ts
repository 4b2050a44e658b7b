import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { createChunkReader } from '../adapters/chunk-reader/chunk-reader.ts';
import { createPostgresPrograms } from '../adapters/postgres-programs/programs.ts';
import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import { createThrowAwayPostgres } from '../adapters/throw-away-postgres/throw-away-postgres.ts';
import { DRILL_CHECKS_MAX_BYTES, parseDrillChecks } from '../formats/postgres/drill-checks.ts';
import { type DrillReport, drillSnapshot } from '../usecases/backup/drill/drill.ts';
import type { OpeningOptions } from '../usecases/repository/open-snapshot.ts';
import { actorOf } from './audit.ts';
import { openPlace, openTrusted, type RepositoryOptions, type Running } from './repository.ts';
import { openSigner, type SignerSettings } from './repository-signer.ts';
import { type Restorer, recordedWork } from './restorer.ts';

export interface DrillSettings extends RepositoryOptions {
  /** As typed. */
  readonly snapshot: string;
  readonly identities: readonly string[];
  readonly signer: SignerSettings;
  /** A file of queries. */
  readonly checks?: string | undefined;
  /** A folder with the PostgreSQL programs. */
  readonly pgBin?: string | undefined;
  /** Where the server is made; the system's folder for temporary files unless given. */
  readonly workDir?: string | undefined;
  readonly program: string;
  readonly onRecord?: Restorer['onRecord'];
}

export async function composeBackupDrill(settings: DrillSettings, running: Running): Promise<DrillReport> {
  const { cwd, env, progress } = running;
  const checks = settings.checks === undefined ? [] : await readChecks(resolve(cwd, settings.checks));
  await using place = await openPlace(settings, running);
  const repository = await openTrusted(place, settings, running);
  const signer = await openSigner(place, settings.signer, running);
  const temporaryFolder = settings.workDir === undefined ? tmpdir() : resolve(cwd, settings.workDir);
  const programs = createPostgresPrograms({
    temporaryFolder: tmpdir(),
    ...(settings.pgBin === undefined ? {} : { folder: resolve(cwd, settings.pgBin) }),
    ...(env.PATH === undefined ? {} : { searchPath: env.PATH }),
  });
  const postgres = createThrowAwayPostgres({ programs, temporaryFolder, applicationName: 'portolan backup drill' });
  // Unattended, under the verifier's identity: nobody is there who could log in.
  const restorer = { who: actorOf(), program: settings.program, onRecord: settings.onRecord };
  const target = 'a server that is thrown away';
  const facts = { what: 'drill', repository: repository.id, target, selection: {} } as const;
  const drill = (opening: Pick<OpeningOptions, 'beforeOpening'>) =>
    drillSnapshot(
      repository,
      { ...settings, signer, checks },
      { postgres, programs, createChunkReader, progress },
      { ...opening, signal: running.signal },
    );
  return await recordedWork(restorer, facts, settings, running, drill, ({ problems }) => problems[0]?.code);
}

async function readChecks(path: string) {
  return parseDrillChecks(await createProjectFiles().read(path, DRILL_CHECKS_MAX_BYTES), path);
}
