import { join } from 'node:path';
import type { Recipe } from '../image.ts';
import { run } from '../process.ts';
import { addFile, type Tree } from '../tree.ts';

/** Whatever this machine's Go is set to do must not change the program. */
const GO_SETTINGS = { CGO_ENABLED: '0', GOOS: 'linux', GOFLAGS: '', GOWORK: 'off', GOAMD64: 'v1', GOARM64: 'v8.0' };

/** The container that holds a Pod's namespaces: one static program. */
export const pause: Recipe = {
  reference: 'portolan.local/pause:1.0.0',
  async plan({ architecture, repositoryFolder, workFolder }) {
    const source = join(repositoryFolder, 'scripts/images/files/pause');
    const program = join(workFolder, 'pause');
    const flags = ['-trimpath', '-buildvcs=false', '-ldflags', '-s -w -buildid='];
    await run('go', ['build', ...flags, '-o', program, '.'], {
      cwd: source,
      env: { ...GO_SETTINGS, GOARCH: architecture },
    });
    const tree: Tree = new Map();
    await addFile(tree, 'pause', program, 0o755);
    return {
      title: 'pause',
      description: 'Waits until it is told to stop, and reaps what is left to it.',
      licenses: 'Apache-2.0 AND BSD-3-Clause',
      layers: [{ title: 'pause, a static program', tree: async () => tree }],
      config: { User: '65535:65535', Entrypoint: ['/pause'] },
      packages: [],
    };
  },
};
