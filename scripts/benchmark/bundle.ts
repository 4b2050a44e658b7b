import { stat, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type Case, RATIO_TITLE, ratioLine, runCases } from './cases.ts';
import { measure, median } from './measure.ts';
import { createProject } from './project.ts';
import type { Settings } from './settings.ts';

/** Building, verifying and unpacking a bundle. Returns the lines of its report. */
export async function benchmarkBundle(settings: Settings): Promise<string[]> {
  const { work, keys, secrets, cache, runs, scale } = settings;
  // Without this cosign asks a transparency log on the internet.
  const noLog =
    '{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}';
  await writeFile(join(work, 'no-log.json'), noLog);

  const run = `${settings.portolan} bundle`;
  const paths = (folder: string) => ({
    build: `${run} build ${folder} --frozen --out ${work}/stick -R ${keys}/recipient.txt --sign-key ${keys}/cosign.key --cache ${cache}`,
    lock: `${run} lock ${folder} --cache ${cache}`,
  });
  const verify = `${run} verify ${work}/stick --trust ${keys}/cosign.pub`;
  const unpack = `${run} unpack ${work}/stick ${work}/opened --trust ${keys}/cosign.pub -i ${keys}/key.txt`;
  const prepare = (command: string) => () => measure(command, { env: secrets });

  const project = await createProject(join(work, 'project'), scale, 'random');
  const { build, lock } = paths(project.folder);
  // Reads the layers once for the SBOM index, as any first build does: the image cache is warm from here on.
  await prepare(`${lock} && ${build}`)();
  const cold = `rm -rf ${work}/stick ${cache}/pieces`;
  const sealed = `${work}/sealed.tar.age`;
  const chainStart = `tar -c -C ${project.blobs} . | age -R ${keys}/recipient.txt -o ${sealed}`;
  const sign = `cosign sign-blob --yes --key ${keys}/cosign.key --signing-config ${work}/no-log.json --bundle ${work}/sealed.sigstore.json ${sealed} >/dev/null 2>&1`;

  const commands: readonly { name: string; before?: string; command: string; after?: string }[] = [
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
      command: `age -d -i ${keys}/key.txt ${sealed} | tar -x -C ${work}/by-hand`,
      after: `rm -rf ${work}/by-hand`,
    },
    { name: 'portolan unpack', command: unpack, after: `rm -rf ${work}/opened` },
    { name: 'portolan rebuild', before: `echo changed >> ${project.note} && ${lock}`, command: build },
  ];
  const cases = commands.map(
    ({ name, before, command, after }): Case => ({
      name,
      command: () => command,
      env: secrets,
      ...(before === undefined ? {} : { before: prepare(before) }),
      ...(after === undefined ? {} : { after: prepare(after) }),
    }),
  );
  const { seconds, peakMib } = await runCases(cases, runs);
  const sealedBytes = (await stat(sealed)).size;

  const lines = [
    `${(project.layerBytes / 1e9).toFixed(2)} GB of layers, ${(sealedBytes / 1e9).toFixed(2)} GB sealed by hand; ${runs} runs, medians; ${availableParallelism()} processors; ${settings.folder}`,
    '',
    'command                     seconds    peak MiB',
    ...cases.map(
      ({ name }) =>
        `${name.padEnd(24)} ${seconds(name).toFixed(2).padStart(10)} ${peakMib(name).toFixed(0).padStart(11)}`,
    ),
    '',
    RATIO_TITLE,
    ratioLine(
      'build / (tar|age + sha256sum + cosign sign-blob)',
      seconds('portolan build') / (seconds('tar | age') + seconds('sha256sum') + seconds('cosign sign-blob')),
      0.16,
    ),
    ratioLine(
      'build / (tar|age + openssl dgst + cosign sign-blob)',
      seconds('portolan build') /
        (seconds('tar | age') + seconds('openssl dgst, sealed') + seconds('cosign sign-blob')),
    ),
    ratioLine('build / (tar | age)', seconds('portolan build') / seconds('tar | age'), 0.95),
    ratioLine(
      'build that hashes every layer again / (tar | age)',
      seconds('portolan build, hashing') / seconds('tar | age'),
    ),
    ratioLine(
      'verify without a key / openssl dgst -sha256',
      seconds('portolan verify') / seconds('openssl dgst'),
      0.75,
    ),
    ratioLine('unpack / (age -d | tar x)', seconds('portolan unpack') / seconds('age -d | tar x'), 0.65),
    ratioLine('rebuild after a small change / build', seconds('portolan rebuild') / seconds('portolan build'), 0.05),
  ];
  if (!settings.fourFold) return lines;

  await measure(`rm -rf ${sealed} ${project.folder} ${work}/stick ${cache}`);
  const large = await createProject(join(work, 'large'), scale * 4, 'random');
  const largeCommands = paths(large.folder);
  await prepare(`${largeCommands.lock} && ${largeCommands.build} && rm -rf ${work}/stick ${cache}/pieces`)();
  const built = await measure(largeCommands.build, { env: secrets });
  const verified = await measure(verify, { env: secrets });
  const rebuilt = [];
  for (let run = 0; run < runs; run++) {
    await prepare(`echo changed >> ${large.note} && ${largeCommands.lock}`)();
    rebuilt.push(await measure(largeCommands.build, { env: secrets }));
  }
  const rebuild = median(rebuilt.map((one) => one.seconds));
  return [
    ...lines,
    '',
    `four times as much: build ${built.seconds.toFixed(2)} s, ${built.peakMib.toFixed(0)} MiB; verify ${verified.seconds.toFixed(2)} s, ${verified.peakMib.toFixed(0)} MiB`,
    ratioLine('rebuild after a small change / build', rebuild / built.seconds, 0.05),
  ];
}
