import { resolve } from 'node:path';
import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import type { PinnedIssuer } from '../formats/identity/pinned-issuer.ts';
import { decodeRepositoryTrust, REPOSITORY_TRUST_MAX_BYTES } from '../formats/repository/repository-trust.ts';
import type { RosterTrust } from '../formats/repository/roster-chain.ts';
import type { IdentityProvider } from '../ports/identity-provider.ts';
import { UseCaseError } from '../usecases/errors.ts';
import type { Running } from './environment.ts';
import { proxyOf } from './registry-settings.ts';
import { openPlace, readTrust } from './repository.ts';

/** Where the root is, of commands that need nothing else of a repository. */
export interface RootOptions {
  /** As typed; what `backup init` left for it is the root. */
  readonly repo?: string | undefined;
  /** Absolute or relative path. */
  readonly trust?: string | undefined;
}

/** The storage is not asked for anything. @throws UseCaseError REPOSITORY_UNTRUSTED; FormatError TRUST_INVALID */
export async function readRoot({ repo, trust }: RootOptions, running: Running): Promise<RosterTrust> {
  if (trust !== undefined) {
    const path = resolve(running.cwd, trust);
    return decodeRepositoryTrust(await createProjectFiles().read(path, REPOSITORY_TRUST_MAX_BYTES), path);
  }
  if (repo === undefined) {
    throw new UseCaseError('REPOSITORY_UNTRUSTED', 'nothing says which root is meant', {
      expected: '--trust FILE or --repo REPO',
      hint: 'Give --trust FILE: the root that `portolan keys init` made, or the trust.json that `backup init` left.',
    });
  }
  await using place = await openPlace({ repo }, running);
  return await readTrust(place, {}, running.cwd);
}

/** The provider of a root. `caFile`: certificates that it is trusted by, beside the system's. */
export async function openIdentityProvider(
  url: string,
  { caFile }: { readonly caFile?: string | undefined },
  { env, cwd, now }: Pick<Running, 'env' | 'cwd' | 'now'>,
): Promise<IdentityProvider> {
  const { createIdentityProvider } = await import('../adapters/identity-provider/identity-provider.ts');
  return createIdentityProvider({
    issuer: url,
    now,
    transport: { proxy: proxyOf(env), ...(caFile === undefined ? {} : { caFile: resolve(cwd, caFile) }) },
  });
}

const PROJECT_ROLES = /^urn:zitadel:iam:org:project:([^:]+):roles$/;

/** The project whose roles the root's claim holds; `undefined` for a claim of another kind. */
export function projectOfRoles({ roleClaim }: PinnedIssuer): string | undefined {
  return PROJECT_ROLES.exec(roleClaim)?.[1];
}
