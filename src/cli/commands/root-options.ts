import { flag, path, text } from '../arguments.ts';
import { caFileOption } from './shared-options.ts';

/** Options of commands that need the root and nothing else of a repository. */
export const rootOptions = {
  trust: path({
    value: 'FILE',
    description: 'the root that `keys init` made, or trust.json; without it what `backup init` left here for --repo',
  }),
  repo: text({
    value: 'REPO',
    complete: 'folder',
    description: 'the repository whose root is meant; it is not asked for anything',
  }),
};

export const providerOptions = { ...rootOptions, caFile: caFileOption('the identity provider is') };

export const noBrowserOption = flag({
  description: 'show the address of the login, and take the one to which a browser elsewhere was led',
});
