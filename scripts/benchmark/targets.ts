import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startContainerd } from '../../test/support/containerd-process.ts';
import { startRegistryProcess } from '../../test/support/registry-process.ts';
import { measure } from './measure.ts';
import type { ProjectImage } from './project.ts';

const opened = new Set<EmptyTarget>();

/** For the end of a benchmark that failed half-way: servers do not end with who started them. */
export async function closeTargets(): Promise<void> {
  await Promise.all([...opened].map((target) => target.close()));
}

function kept(target: EmptyTarget): EmptyTarget {
  const whole = {
    ...target,
    async close() {
      opened.delete(whole);
      await target.close();
    },
  };
  opened.add(whole);
  return whole;
}

/** A place for images that is empty when it is opened, and gone when it is closed. */
export interface EmptyTarget {
  /** As `--images` takes it. */
  readonly images: string;
  readonly env: Readonly<Record<string, string>>;
  /** How a person brings an archive there. */
  byHand(archive: string, image: ProjectImage): string;
  /** Throws unless every image is there, whole and, where that is done, unpacked. */
  assertHolds(images: readonly ProjectImage[]): Promise<void>;
  close(): Promise<void>;
}

export interface TargetKind {
  readonly name: string;
  /** What people do, for the table. */
  readonly byHand: string;
  open(work: string): Promise<EmptyTarget>;
}

export const CONTAINERD: TargetKind = {
  name: 'containerd',
  byHand: 'ctr images import',
  async open(work) {
    const folder = await mkdtemp(join(work, 'containerd-'));
    const containerd = await startContainerd({ root: folder });
    return kept({
      images: 'containerd',
      env: { CONTAINERD_ADDRESS: containerd.options.address ?? '' },
      byHand: (archive) => `ctr -n k8s.io images import ${archive}`,
      async assertHolds(images) {
        const whole = (await containerd.ctr('images', 'check', '--quiet')).split('\n');
        for (const { reference } of images) {
          if (!whole.includes(reference)) throw new Error(`containerd does not have ${reference} whole and unpacked`);
        }
      },
      async close() {
        await containerd.close();
        await rm(folder, { recursive: true, force: true });
      },
    });
  },
};

export const REGISTRY: TargetKind = {
  name: 'registry',
  byHand: 'crane push',
  async open(work) {
    const folder = await mkdtemp(join(work, 'registry-'));
    const registry = await startRegistryProcess(folder);
    return kept({
      images: `registry=http://${registry.host}`,
      env: {},
      byHand: (archive, { name }) => `crane push ${archive} ${registry.host}/${name}`,
      async assertHolds(images) {
        for (const { name } of images) await measure(`crane manifest ${registry.host}/${name}`);
      },
      async close() {
        await registry.close();
        await rm(folder, { recursive: true, force: true });
      },
    });
  },
};
