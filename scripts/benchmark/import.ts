import { mkdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { archiveName, sealByHand } from './by-hand.ts';
import { type Case, RATIO_TITLE, ratioLine, runCases } from './cases.ts';
import { measure } from './measure.ts';
import { createProject, type Project, type ProjectImage } from './project.ts';
import type { Settings } from './settings.ts';
import { CONTAINERD, type EmptyTarget, REGISTRY, type TargetKind } from './targets.ts';

const MEMORY_LIMIT_MIB = 256;
/** The journal, the target's key, the lock: what an import may leave in files. */
const FILES_LIMIT_MIB = 1;

/** Images from a sealed medium into containerd and into a registry. Returns the lines of its report. */
export async function benchmarkImport(settings: Settings): Promise<string[]> {
  const { work, keys, runs, scale } = settings;
  const isRoot = process.geteuid?.() === 0;
  const kinds = isRoot ? [CONTAINERD, REGISTRY] : [REGISTRY];
  process.stderr.write('making layers, the bundle and the archives by hand\n');
  const project = await createProject(join(work, 'project'), scale, 'files');
  await build(settings, project);
  const sealed = `${work}/sealed.tar.age`;
  await sealByHand(project, { folder: join(work, 'sealing'), recipients: `${keys}/recipient.txt`, sealed });
  const upgraded = await project.upgrade();
  await build(settings, project);
  await rm(project.folder, { recursive: true });
  await rm(settings.cache, { recursive: true });

  const cases = kinds.flatMap((kind) => casesOf(settings, kind, sealed, project.images, upgraded));
  const results = await runCases(cases, runs);
  const { seconds, filesMib } = results;
  const lines = [
    `${(project.layerBytes / 1e9).toFixed(2)} GB of compressed layers; ${runs} runs, medians; ${availableParallelism()} processors; ${settings.folder}`,
    '',
    'command                                   seconds    peak MiB    largest process    files MiB',
    ...cases.map(({ name }) =>
      [
        name.padEnd(38),
        seconds(name).toFixed(2).padStart(10),
        results.peakMib(name).toFixed(0).padStart(11),
        results.largestMib(name).toFixed(0).padStart(18),
        filesMib(name).toFixed(1).padStart(12),
      ].join(' '),
    ),
    '',
    RATIO_TITLE,
  ];
  for (const kind of kinds) {
    const { byHand, first, second } = namesOf(kind);
    lines.push(ratioLine(`${first} / (${byHand})`, seconds(first) / seconds(byHand), 0.8));
    lines.push(ratioLine(`${second} / ${first}`, seconds(second) / seconds(first)));
    lines.push(
      ratioLine(`${first}: MiB of memory / ${MEMORY_LIMIT_MIB}`, results.peakMib(first) / MEMORY_LIMIT_MIB, 1),
    );
  }
  for (const { name } of cases) {
    if (!name.startsWith('portolan') || filesMib(name) < FILES_LIMIT_MIB) continue;
    throw new Error(`${name} left or held ${filesMib(name).toFixed(1)} MiB in files`);
  }
  if (!isRoot) lines.push('', 'Without containerd: that part runs as root only.');
  if (!settings.fourFold) return lines;

  await measure(`rm -rf ${work}/stick ${sealed}`);
  const large = await createProject(join(work, 'large'), scale * 4, 'random');
  await build(settings, large);
  await measure(`rm -rf ${large.folder} ${settings.cache}`);
  const [whole] = casesOf(settings, REGISTRY, '', large.images, []).filter(
    ({ name }) => name === namesOf(REGISTRY).first,
  );
  await whole?.before?.();
  const once = await measure(whole?.command() ?? 'false', whole ?? {});
  await whole?.after?.();
  return [
    ...lines,
    '',
    `four times as much, into a registry: ${once.seconds.toFixed(2)} s, ${once.peakMib.toFixed(0)} MiB, ${once.filesMib.toFixed(1)} MiB in files`,
  ];
}

/** On the stick, beside what is there. The definition says which version. */
async function build({ portolan, work, keys, secrets, cache }: Settings, { folder }: Project): Promise<void> {
  const sign = `--out ${work}/stick -R ${keys}/recipient.txt --sign-key ${keys}/cosign.key`;
  await measure(
    `${portolan} bundle lock ${folder} --cache ${cache} && ${portolan} bundle build ${folder} --frozen ${sign} --cache ${cache}`,
    { env: secrets },
  );
}

function namesOf({ name, byHand }: TargetKind) {
  return {
    byHand: `age -d | tar x; ${byHand}`,
    first: `portolan import, ${name}`,
    second: `portolan import, ${name}, again`,
  };
}

function casesOf(
  { work, keys, portolan }: Settings,
  kind: TargetKind,
  sealed: string,
  images: readonly ProjectImage[],
  upgraded: readonly ProjectImage[],
): Case[] {
  const names = namesOf(kind);
  const [opened, state, temporary] = ['opened', 'state', 'temporary'].map((name) => join(work, name)) as [
    string,
    string,
    string,
  ];
  let target: EmptyTarget;
  const fresh = async () => {
    target = await kind.open(work);
    for (const folder of [opened, state, temporary]) await mkdir(folder);
  };
  const done = async () => {
    await target.close();
    for (const folder of [opened, state, temporary]) await rm(folder, { recursive: true });
  };
  const importOf = (version: string) =>
    [
      `TMPDIR=${temporary} ${portolan} bundle import ${work}/stick:bench-${version} --only images --images ${target.images}`,
      `--state ${state} -i ${keys}/key.txt --trust ${keys}/cosign.pub`,
    ].join(' ');
  return [
    {
      name: names.byHand,
      before: fresh,
      command: () =>
        [
          `${environmentOf(target)} age -d -i ${keys}/key.txt ${sealed} | tar -x -C ${opened}`,
          ...images.map(
            (image) => `${environmentOf(target)} ${target.byHand(`${opened}/${archiveName(image)}`, image)}`,
          ),
        ].join('; '),
      folders: [opened],
      async after() {
        await target.assertHolds(images);
        await done();
      },
    },
    {
      name: names.first,
      before: fresh,
      command: () => `${environmentOf(target)} ${importOf('1.0.0')}`,
      folders: [state, temporary],
      after: () => target.assertHolds(images),
    },
    {
      name: names.second,
      command: () => `${environmentOf(target)} ${importOf('1.0.1')}`,
      folders: [state, temporary],
      async after() {
        await target.assertHolds(upgraded);
        await done();
      },
    },
  ];
}

function environmentOf({ env }: EmptyTarget): string {
  return Object.entries(env)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}
