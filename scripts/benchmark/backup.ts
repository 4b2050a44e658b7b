import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { startMinio } from '../../test/support/minio-process.ts';
import { makeBucket } from '../../test/support/s3-bucket.ts';
import { type BenchmarkDatabase, createDatabase } from './backup-database.ts';
import { folderPlace, ownSide, type Place, peerSide, type Side } from './backup-sides.ts';
import { type Case, RATIO_TITLE, type Results, ratioLine, runCases } from './cases.ts';
import { bytesIn, type Measured, measure } from './measure.ts';
import type { Settings } from './settings.ts';

const MEMORY_LIMIT_MIB = 200;
const STORED_LIMIT = 1.05;
const DAYS = 10;
const RESTORED = 'restored';

/** Backups of a database, and their restores, against pg_dump, restic and psql. Returns the lines of its report. */
export async function benchmarkBackup(settings: Settings): Promise<string[]> {
  const { runs } = settings;
  process.stderr.write('making the database\n');
  await using database = await createDatabase(settings);
  const place = folderPlace(settings.work);
  const peer = peerSide(settings, database, place);
  const own = ownSide(settings, database, place);
  const firstBytes = { peer: 0, own: 0 };
  const cases = [
    { ...backupCase(peer, 'first'), before: peer.empty },
    {
      ...backupCase(own, 'first'),
      before: own.empty,
      after: async () => Object.assign(firstBytes, storedBytes(place)),
    },
    backupCase(peer, 'unchanged'),
    backupCase(own, 'unchanged'),
    { ...backupCase(peer, '1 % in one range'), before: database.changeClustered },
    backupCase(own, '1 % in one range'),
    restoreCase(peer, database),
    restoreCase(own, database),
  ];
  const results = await runCases(cases, runs);
  const days = await inTurn([peer, own], database.changeByDay, DAYS);
  const dailyBytes = storedBytes(place);
  const anywhere = await inTurn([peer, own], database.changeAnywhere, 1);
  const ratio = (what: string) => results.seconds(`portolan, ${what}`) / results.seconds(`restic, ${what}`);
  return [
    `a database of ${(database.sizeBytes / 1e9).toFixed(2)} GB${settings.shortRows ? ', short rows' : ''}; ${runs} runs, medians; ${availableParallelism()} processors; ${settings.folder}`,
    '',
    'command                          seconds    of processor    peak MiB    largest process',
    ...cases.map(({ name }) => commandLine(name, results)),
    '',
    RATIO_TITLE,
    ratioLine('first backup', ratio('first'), 0.35),
    ratioLine('second backup, 1 % changed in one range', ratio('1 % in one range'), 0.55),
    ratioLine('second backup, nothing changed', ratio('unchanged')),
    ratioLine('restore', ratio('restore'), 0.8),
    ratioLine('stored bytes, first backup', firstBytes.own / firstBytes.peer, STORED_LIMIT),
    ratioLine(`${DAYS} days, a backup each`, days.own / days.peer),
    ratioLine(`stored bytes after the ${DAYS} days`, dailyBytes.own / dailyBytes.peer, STORED_LIMIT),
    ratioLine('a backup after 1 % changed anywhere', anywhere.own / anywhere.peer),
    ...['first', '1 % in one range', 'restore'].map((what) =>
      ratioLine(
        `${what}: MiB of memory / ${MEMORY_LIMIT_MIB}`,
        results.peakMib(`portolan, ${what}`) / MEMORY_LIMIT_MIB,
        1,
      ),
    ),
    '',
    ...(await overS3(settings, database)),
    ...(settings.fourFold ? await quarter(settings) : []),
  ];
}

function backupCase(side: Side, what: string): Case {
  return { name: `${side.name}, ${what}`, command: () => side.backup, env: side.env };
}

function restoreCase(side: Side, database: BenchmarkDatabase): Case {
  return {
    name: `${side.name}, restore`,
    before: () => database.createEmpty(RESTORED),
    command: () => side.restore(RESTORED),
    env: side.env,
    async after() {
      await database.assertSameAs(RESTORED);
      await database.drop(RESTORED);
    },
  };
}

function storedBytes({ restic, portolan }: Place): { peer: number; own: number } {
  return { peer: bytesIn([restic]), own: bytesIn([portolan]) };
}

/** Each backs up after each change. Seconds, all together. */
async function inTurn(
  [peer, own]: readonly [Side, Side],
  change: () => Promise<void>,
  times: number,
): Promise<{ readonly peer: number; readonly own: number }> {
  const seconds = { peer: 0, own: 0 };
  for (let time = 0; time < times; time += 1) {
    await change();
    seconds.peer += (await measure(peer.backup, peer)).seconds;
    seconds.own += (await measure(own.backup, own)).seconds;
  }
  return seconds;
}

/** First backup and restore once, through a MinIO whose files are in the work folder. */
async function overS3(settings: Settings, database: BenchmarkDatabase): Promise<string[]> {
  const folder = join(settings.work, 'minio');
  await mkdir(folder);
  await using minio = await startMinio(folder);
  await makeBucket(minio.client(), 'backups');
  const place: Place = {
    restic: `s3:${minio.endpoint}/backups/restic`,
    portolan: `s3://backups/portolan?endpoint=${minio.endpoint}`,
    env: { AWS_ACCESS_KEY_ID: minio.root.accessKeyId, AWS_SECRET_ACCESS_KEY: minio.root.secretAccessKey },
    remove: 'true',
  };
  const [peer, own] = [peerSide(settings, database, place), ownSide(settings, database, place)];
  const once: Record<string, Measured> = {};
  for (const side of [peer, own]) {
    await side.empty();
    once[`${side.name}, first`] = await measure(side.backup, side);
  }
  for (const side of [peer, own]) {
    await database.createEmpty(RESTORED);
    once[`${side.name}, restore`] = await measure(side.restore(RESTORED), side);
    await database.drop(RESTORED);
  }
  return ['over S3, once', ...Object.entries(once).map(([name, measured]) => measuredLine(name, measured)), ''];
}

/** That memory does not follow from the size. */
async function quarter(settings: Settings): Promise<string[]> {
  await using database = await createDatabase({ ...settings, scale: settings.scale / 4 });
  const own = ownSide(settings, database, folderPlace(settings.work));
  await measure(folderPlace(settings.work).remove);
  await own.empty();
  const backup = await measure(own.backup, own);
  await database.createEmpty(RESTORED);
  const restore = await measure(own.restore(RESTORED), own);
  return ['a quarter of the size', measuredLine('portolan, first', backup), measuredLine('portolan, restore', restore)];
}

function commandLine(name: string, results: Results): string {
  return measuredLine(name, {
    seconds: results.seconds(name),
    cpuSeconds: results.cpuSeconds(name),
    peakMib: results.peakMib(name),
    largestMib: results.largestMib(name),
  });
}

function measuredLine(name: string, measured: Omit<Measured, 'filesMib'>): string {
  return [
    name.padEnd(28),
    measured.seconds.toFixed(2).padStart(11),
    measured.cpuSeconds.toFixed(2).padStart(15),
    measured.peakMib.toFixed(0).padStart(11),
    measured.largestMib.toFixed(0).padStart(18),
  ].join(' ');
}
