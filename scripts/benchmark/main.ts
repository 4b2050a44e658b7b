/**
 * The benchmarks: what Portolan takes, as a ratio to what people do today with the same bytes, in one run on one machine.
 * The runs of all commands are interleaved, so that a machine whose speed drifts slows all of them.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { benchmarkBackup } from './backup.ts';
import { benchmarkBundle } from './bundle.ts';
import { benchmarkImport } from './import.ts';
import { measure, stopMeasuring } from './measure.ts';
import type { Settings } from './settings.ts';
import { closeTargets } from './targets.ts';

const PARTS = { bundle: benchmarkBundle, import: benchmarkImport, backup: benchmarkBackup };
const USAGE = `Usage: scripts/bench [bundle] [import] [backup] [--runs N] [--scale F] [--folder DIR] [--four-fold] [--short-rows]
  bundle         build, verify and unpack, against tar, age, sha256sum and cosign
  import         into containerd (as root only) and into a registry, against age, tar, ctr and crane
  backup         of a PostgreSQL, and restore, against pg_dump, restic and psql
                 All without a name.
  --runs N       counted runs of each command, after one that is not counted (default 3)
  --scale F      1 is 2.1 GB of layers, and a database of 2.1 GB (default 1)
  --folder DIR   where to work; needs about four times the layers for bundle, six times for import (default /dev/shm).
                 The database is in /dev/shm, and takes 8 GB of it
  --four-fold    also four times as much, or for backup a quarter, to show that memory stays
  --short-rows   for backup: most rows have 30 to 200 bytes, which costs the server most
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '3' },
    scale: { type: 'string', default: '1' },
    folder: { type: 'string', default: '/dev/shm' },
    'four-fold': { type: 'boolean', default: false },
    'short-rows': { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
const runs = Number(values.runs);
const scale = Number(values.scale);
const parts = Object.entries(PARTS).filter(([name]) => positionals.length === 0 || positionals.includes(name));
const isKnown = positionals.every((name) => name in PARTS);
if (!isKnown || !Number.isInteger(runs) || runs < 1 || !(scale > 0)) {
  process.stderr.write(USAGE);
  process.exit(2);
}

// A run that is broken off leaves neither gigabytes nor servers behind. The second time it ends at once.
let status: number | undefined;
for (const [signal, endedBy] of Object.entries({ SIGINT: 130, SIGTERM: 143 })) {
  process.once(signal, () => {
    status = endedBy;
    stopMeasuring();
  });
}
try {
  for (const [, benchmark] of parts) {
    const work = await mkdtemp(join(resolve(values.folder), 'portolan-bench-'));
    try {
      const lines = await benchmark(await settingsIn(work));
      process.stdout.write(`${lines.join('\n')}\n\n`);
    } finally {
      await closeTargets();
      await rm(work, { recursive: true, force: true });
    }
  }
} catch (failure) {
  if (status === undefined) throw failure;
  process.exitCode = status;
}

async function settingsIn(work: string): Promise<Settings> {
  const root = resolve(import.meta.dirname, '..', '..');
  const secrets = { COSIGN_PASSWORD: 'benchmark' };
  const keys = join(work, 'keys');
  await mkdir(keys);
  await measure(
    `cd ${keys} && age-keygen -o key.txt 2>/dev/null && age-keygen -y key.txt > recipient.txt && cosign generate-key-pair >/dev/null 2>&1`,
    { env: secrets },
  );
  return {
    work,
    keys,
    secrets,
    portolan: `${root}/scripts/portolan`,
    // The caches of Node and of compiled sources are the machine's own: only the bundle's caches start empty.
    cache: join(work, 'cache', 'portolan'),
    folder: values.folder,
    runs,
    scale,
    fourFold: values['four-fold'],
    shortRows: values['short-rows'],
  };
}
