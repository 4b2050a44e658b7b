/** The suite of image targets on the distribution project's registry, looked at with the program crane. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createRegistryTarget } from '../../src/adapters/registry-target/registry-target.ts';
import type { Digest } from '../../src/core/digest.ts';
import { mirroredReference, parseRegistryAddress } from '../../src/formats/oci/registry-address.ts';
import { describeImageTarget } from '../support/image-target-suite.ts';
import { startRegistryProcess } from '../support/registry-process.ts';

const run = promisify(execFile);

describeImageTarget('registry', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'portolan-registry-target-'));
  // As a registry must be set that keeps indexes under their digest of which the bundle carries some platforms.
  const registry = await startRegistryProcess(folder, {
    validation: { manifests: { indexes: { platforms: 'none' } } },
  });
  const address = parseRegistryAddress(`http://${registry.host}/mirror`);
  const opened: ReturnType<typeof createRegistryTarget>[] = [];
  const crane = async (...args: string[]): Promise<Buffer> =>
    (await run('crane', [...args, '--insecure'], { encoding: 'buffer', maxBuffer: 1 << 26 })).stdout;
  return {
    create() {
      const target = createRegistryTarget({ address });
      opened.push(target);
      return target;
    },
    async read(reference) {
      const name = mirroredReference(reference, address);
      const digest = await crane('digest', name).then(String, () => undefined);
      if (digest === undefined) return undefined;
      const repository = name.slice(0, name.lastIndexOf(':'));
      return {
        digest: digest.trim() as Digest,
        async blob(wanted) {
          const manifest = await crane('manifest', `${repository}@${wanted}`).catch(() => undefined);
          return manifest ?? (await crane('blob', `${repository}@${wanted}`));
        },
      };
    },
    async close() {
      for (const target of opened) await target.close();
      await registry.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
});
