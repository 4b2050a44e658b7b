import { resolve } from 'node:path';
import type { Selection } from '../../usecases/bundle/lock-types.ts';
import { list, path, pathList, text } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../errors.ts';
import { caFileOption, helmOption } from './shared-options.ts';

/** Options that choose what of a definition is carried, and where its parts come from: the same for `lock` and `build`. */
export const selectionOptions = {
  values: pathList({ value: 'FILE', description: 'values (YAML) merged over all others; repeatable' }),
  feature: list({ value: 'NAME=on|off', description: 'switch a feature; repeatable. Default: what bundle.yaml says' }),
  provider: text({ value: 'NAME', description: 'provider whose values are used, such as k3s' }),
  platform: list({
    value: 'OS/ARCH',
    description: 'platform whose images are carried, such as linux/amd64; repeatable',
  }),
};

export const inputOptions = {
  cache: path({
    value: 'DIR',
    complete: 'folder',
    description: 'folder of images and charts that were fetched before. Default: ~/.cache/portolan',
  }),
  caFile: caFileOption('registries (beside the system’s) are'),
  helm: helmOption,
};

export const definitionArgument = { description: 'bundle.yaml, or its folder', complete: 'file' } as const;

/** @throws UsageError USAGE for a `--feature` or `--platform` that cannot be read. */
export function parseSelection(
  options: {
    readonly values: readonly string[];
    readonly feature: readonly string[];
    readonly provider: string | undefined;
    readonly platform: readonly string[];
  },
  context: Pick<CommandContext, 'cwd'>,
): Selection {
  const features: Record<string, boolean> = {};
  for (const written of options.feature) {
    const [, name, side] = /^([A-Za-z][A-Za-z0-9_-]*)=(on|off)$/.exec(written) ?? [];
    if (name === undefined) {
      throw new UsageError('USAGE', 'a feature is switched by its name and a side', {
        expected: '--feature NAME=on or --feature NAME=off',
        found: written,
      });
    }
    if (Object.hasOwn(features, name) && features[name] !== (side === 'on')) {
      throw new UsageError('USAGE', `the feature ${name} is switched on and off`, { found: written });
    }
    features[name] = side === 'on';
  }
  const odd = options.platform.find((platform) => !/^[a-z0-9]+\/[a-z0-9]+(?:\/[a-z0-9]+)?$/.test(platform));
  if (odd !== undefined) {
    throw new UsageError('USAGE', 'a platform is an operating system and an architecture', {
      expected: '--platform linux/amd64',
      found: odd,
    });
  }
  return {
    features,
    ...(options.provider === undefined ? {} : { provider: options.provider }),
    valuesFiles: options.values.map((file) => resolve(context.cwd, file)),
    platforms: [...new Set(options.platform)],
  };
}
