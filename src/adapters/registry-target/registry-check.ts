import { PortolanError } from '../../core/errors.ts';
import { createLimiter } from '../../core/limits.ts';
import { formatRegistryAddress, mirroredImage, type RegistryAddress } from '../../formats/oci/registry-address.ts';
import { ask, cancelUpload, type RegistryAccess } from './registry-access.ts';

const PARALLEL_CHECKS = 8;
/** Of one kind: an account that may not write usually may not anywhere. */
const MAX_PROBLEMS = 20;

/**
 * Whether images can be pushed: for each repository an upload is opened and closed again. That leaves nothing to pull and
 * no bytes of a blob (distribution 3.1 keeps a folder with an empty hash state of each upload that was given up). Without
 * references the registry is only asked whether it is one and takes the credentials: rights depend on names.
 */
export async function checkRegistry(
  access: RegistryAccess,
  address: RegistryAddress,
  references: readonly string[],
  signal: AbortSignal,
): Promise<readonly PortolanError[]> {
  const problems: PortolanError[] = [];
  const collect = async (work: () => Promise<unknown>): Promise<boolean> => {
    try {
      await work();
      return true;
    } catch (failure) {
      signal.throwIfAborted();
      if (!(failure instanceof PortolanError)) throw failure;
      if (problems.length < MAX_PROBLEMS) problems.push(failure);
      return false;
    }
  };
  if (!(await collect(() => ping(access, address, signal)))) return problems;
  const repositories = new Set(references.map((reference) => mirroredImage(reference, address).repository));
  const limit = createLimiter(PARALLEL_CHECKS);
  await Promise.all(
    [...repositories].map((repository) =>
      limit(() =>
        collect(async () => {
          const reply = await ask(access, repository, { method: 'POST', what: 'blobs/uploads/' }, signal);
          if (reply.location !== undefined) await cancelUpload(access, repository, reply.location);
        }),
      ),
    ),
  );
  return problems;
}

/** Distribution specification v1.1, "Determining Support". */
async function ping({ client, host }: RegistryAccess, address: RegistryAddress, signal: AbortSignal): Promise<void> {
  const url = new URL(`${client.originOf(host)}/v2/`);
  const repository = formatRegistryAddress(address).slice(host.length + 1);
  // A registry may keep `/v2/` itself from those who may write to a part of it alone.
  await client.exchange({ host, repository, what: '/v2/', url, allow: [401, 403] }, { retried: true, signal });
}
