/**
 * The benchmark of bundles: what Portolan takes, as a ratio to what people do today with the same bytes, in one run on one
 * machine. The runs of all commands are interleaved, so that a machine whose speed drifts slows all of them.
 */
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Measured, measure, median } from './measure.ts';
import { createProject } from './project.ts';

const USAGE = `Usage: scripts/bench [--runs N] [--scale F] [--folder DIR] [--four-fold]
  --runs N       counted runs of each command, after one that is not counted (default 3)
  --scale F      1 is 2.1 GB of layers (default 1)
  --folder DIR   where to work; needs about four times the layers (default /dev/shm)
  --four-fold    also build and verify four times as much, to show that memory stays
`;

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    scale: { type: 'string', default: '1' },
    folder: { type: 'string', default: '/dev/shm' },
    'four-fold': { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
const runs = Number(values.runs);
const scale = Number(values.scale);
if (!Number.isInteger(runs) || runs < 1 || !(scale > 0)) {
  process.stderr.write(USAGE);
  process.exit(2);
}

const work = await mkdtemp(join(resolve(values.folder), 'portolan-bench-'));
try {
  await main();
} finally {
  await rm(work, { recursive: true, force: true });
}

async function main(): Promise<void> {
  const root = resolve(import.meta.dirname, '..', '..');
  const portolan = `${root}/scripts/portolan`;
  const secrets = { COSIGN_PASSWORD: 'benchmark' };
  await mkdir(join(work, 'keys'));
  const keys = `cd ${work}/keys && age-keygen -o key.txt 2>/dev/null && age-keygen -y key.txt > recipient.txt && cosign generate-key-pair >/dev/null 2>&1`;
  await measure(keys, secrets);
  // Without this cosign asks a transparency log on the internet.
  const noLog =
    '{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}';
  await writeFile(join(work, 'no-log.json'), noLog);

  // The caches of Node and of compiled sources are the machine's own: only the bundle's caches start empty.
  const cache = join(work, 'cache', 'portolan');
  const run = `${portolan} bundle`;
  const paths = (folder: string) => ({
    build: `${run} build ${folder} --frozen --out ${work}/stick -R ${work}/keys/recipient.txt --sign-key ${work}/keys/cosign.key --cache ${cache}`,
    lock: `${run} lock ${folder} --cache ${cache}`,
  });
  const verify = `${run} verify ${work}/stick --trust ${work}/keys/cosign.pub`;
  const unpack = `${run} unpack ${work}/stick ${work}/opened --trust ${work}/keys/cosign.pub -i ${work}/keys/key.txt`;

  const project = await createProject(join(work, 'project'), scale);
  const { build, lock } = paths(project.folder);
  // Reads the layers once for the SBOM index, as any first build does: the image cache is warm from here on.
  await measure(`${lock} && ${build}`, secrets);
  const cold = `rm -rf ${work}/stick ${cache}/pieces`;
  const sealed = `${work}/sealed.tar.age`;
  const chainStart = `tar -c -C ${project.blobs} . | age -R ${work}/keys/recipient.txt -o ${sealed}`;
  const sign = `cosign sign-blob --yes --key ${work}/keys/cosign.key --signing-config ${work}/no-log.json --bundle ${work}/sealed.sigstore.json ${sealed} >/dev/null 2>&1`;

  const cases: readonly { name: string; before?: string; command: string; after?: string }[] = [
    { name: 'tar | age', before: `rm -f ${sealed}`, command: chainStart },
    { name: 'sha256sum', command: `sha256sum ${sealed} >${work}/sums` },
    { name: 'cosign sign-blob', command: sign },
    { name: 'openssl dgst, sealed', command: `openssl dgst -sha256 ${sealed} >${work}/sums` },
    { name: 'portolan build', before: cold, command: build },
    { name: 'portolan build, hashing', before: `${cold} ${cache}/verified.jsonl`, command: build },
    { name: 'portolan verify', command: verify },
    { name: 'openssl dgst', command: `openssl dgst -sha256 ${work}/stick/blobs/sha256/* >${work}/sums` },
    {
      name: 'age -d | tar x',
      before: `mkdir ${work}/by-hand`,
      command: `age -d -i ${work}/keys/key.txt ${sealed} | tar -x -C ${work}/by-hand`,
      after: `rm -rf ${work}/by-hand`,
    },
    { name: 'portolan unpack', command: unpack, after: `rm -rf ${work}/opened` },
    { name: 'portolan rebuild', before: `echo changed >> ${project.note} && ${lock}`, command: build },
  ];
  const results = new Map<string, Measured[]>(cases.map(({ name }) => [name, []]));
  for (let round = 0; round <= runs; round++) {
    for (const { name, before, command, after } of cases) {
      if (before) await measure(before, secrets);
      const measured = await measure(command, secrets);
      if (after) await measure(after, secrets);
      if (round > 0) results.get(name)?.push(measured);
      process.stderr.write(
        `${round === 0 ? 'warm-up' : `run ${round}`}  ${name.padEnd(22)} ${measured.seconds.toFixed(2)} s\n`,
      );
    }
  }
  const sealedBytes = (await stat(sealed)).size;
  await rm(sealed);

  const seconds = (name: string) => median((results.get(name) ?? []).map((one) => one.seconds));
  const peak = (name: string) => Math.max(...(results.get(name) ?? []).map((one) => one.peakMib));
  const lines = [
    `${(project.layerBytes / 1e9).toFixed(2)} GB of layers, ${(sealedBytes / 1e9).toFixed(2)} GB sealed by hand; ${runs} runs, medians; ${availableParallelism()} processors; ${values.folder}`,
    '',
    'command                     seconds    peak MiB',
    ...cases.map(
      ({ name }) => `${name.padEnd(24)} ${seconds(name).toFixed(2).padStart(10)} ${peak(name).toFixed(0).padStart(11)}`,
    ),
    '',
    'ratio                                                              found   at most',
    ratio(
      'build / (tar|age + sha256sum + cosign sign-blob)',
      seconds('portolan build') / (seconds('tar | age') + seconds('sha256sum') + seconds('cosign sign-blob')),
      0.16,
    ),
    ratio(
      'build / (tar|age + openssl dgst + cosign sign-blob)',
      seconds('portolan build') /
        (seconds('tar | age') + seconds('openssl dgst, sealed') + seconds('cosign sign-blob')),
    ),
    ratio('build / (tar | age)', seconds('portolan build') / seconds('tar | age'), 0.95),
    ratio(
      'build that hashes every layer again / (tar | age)',
      seconds('portolan build, hashing') / seconds('tar | age'),
    ),
    ratio('verify without a key / openssl dgst -sha256', seconds('portolan verify') / seconds('openssl dgst'), 0.75),
    ratio('unpack / (age -d | tar x)', seconds('portolan unpack') / seconds('age -d | tar x'), 0.65),
    ratio('rebuild after a small change / build', seconds('portolan rebuild') / seconds('portolan build'), 0.05),
  ];
  if (values['four-fold']) {
    await measure(`rm -rf ${project.folder} ${work}/stick ${cache}`);
    const large = await createProject(join(work, 'large'), scale * 4);
    const commands = paths(large.folder);
    await measure(`${commands.lock} && ${commands.build} && rm -rf ${work}/stick ${cache}/pieces`, secrets);
    const built = await measure(commands.build, secrets);
    const verified = await measure(verify, secrets);
    const rebuilt = [];
    for (let run = 0; run < runs; run++) {
      await measure(`echo changed >> ${large.note} && ${commands.lock}`, secrets);
      rebuilt.push(await measure(commands.build, secrets));
    }
    const rebuild = median(rebuilt.map((one) => one.seconds));
    lines.push(
      '',
      `four times as much: build ${built.seconds.toFixed(2)} s, ${built.peakMib.toFixed(0)} MiB; verify ${verified.seconds.toFixed(2)} s, ${verified.peakMib.toFixed(0)} MiB`,
      ratio('rebuild after a small change / build', rebuild / built.seconds, 0.05),
    );
  }
  process.stdout.write(`${lines.join('\n')}\n`);
}

function ratio(what: string, found: number, limit?: number): string {
  return `${what.padEnd(62)} ${found.toFixed(3).padStart(9)} ${limit === undefined ? '' : limit.toFixed(2).padStart(9)}`;
}
