import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { builtImages } from './built-images.ts';
import { CHECKOUT } from './importer.ts';
import { portolan } from './program.ts';

const SECRETS = { COSIGN_PASSWORD: 'never-use-this' };
const KEYS = join(CHECKOUT, 'keys.example');

/** The keys that open and prove what `createCmsPublisher` builds. */
export const CMS_KEYS = { identity: join(KEYS, 'identity.txt'), trust: join(KEYS, 'cosign.pub') };

export interface CmsRelease {
  readonly version: string;
  readonly sequence: number;
  /** Such as `['shop=on']`. */
  readonly features: readonly string[];
  /** Changes files of the project before it is locked. */
  readonly change?: (folder: string) => Promise<void>;
}

/** The publisher of bundles/cms: a copy of the project with its images, and the folder that stands for his stick. */
export async function createCmsPublisher(root: string) {
  const folder = join(root, 'cms');
  await mkdir(root, { recursive: true });
  await cp(join(CHECKOUT, 'bundles', 'cms'), folder, {
    recursive: true,
    filter: (path) => !/\/(?:\.images|\.tools|bundle\.lock\.json)$/.test(path),
  });
  await builtImages(['pause', 'web', 'blog', 'shop', 'postgres', 'portolan'], join(folder, '.images'));
  const definition = await readFile(join(folder, 'bundle.yaml'), 'utf8');
  return {
    folder,
    /** Builds a release onto a medium; gives its tag. */
    async release({ version, sequence, features, change }: CmsRelease, medium: string): Promise<string> {
      const changed = definition
        .replace(/^version: .*$/m, `version: ${version}`)
        .replace(/^sequence: .*$/m, `sequence: ${sequence}`);
      await writeFile(join(folder, 'bundle.yaml'), changed);
      await change?.(folder);
      const chosen = features.flatMap((feature) => ['--feature', feature]);
      await publish(folder, medium, ['--provider', 'k3s', ...chosen]);
      return `cms-${version}`;
    },
  };
}

/** Locks a project and builds it onto a medium, by the keys of this repository's example. */
export async function publish(folder: string, medium: string, lockArgs: readonly string[] = []): Promise<void> {
  await mustSucceed(['bundle', 'lock', folder, ...lockArgs]);
  const keys = ['-R', join(KEYS, 'recipient.txt'), '--sign-key', join(KEYS, 'cosign.key')];
  await mustSucceed(['bundle', 'build', folder, '--frozen', '--out', medium, ...keys]);
}

async function mustSucceed(args: readonly string[]): Promise<void> {
  const { status, stderr, stdout } = await portolan(args, { env: SECRETS });
  if (status !== 0) throw new Error(`portolan ${args.join(' ')}: ${status}\n${stdout}\n${stderr}`);
}
