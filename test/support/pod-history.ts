/** Prints the history of a release, with the cluster found as the command line finds it: NAMESPACE FOLDER. Run as if in a Pod. */
import { openReleases } from '../../src/compose/installed.ts';
import { openClusterFromOptions } from '../../src/compose/kubernetes.ts';

const [namespace = '', temporaryFolder = ''] = process.argv.slice(2);
const { env } = process;
const options = { kubeconfig: undefined, context: undefined, env, cwd: temporaryFolder, now: Date.now };
const opened = await openClusterFromOptions(options);
const releases = openReleases(opened, { helmPath: 'helm', temporaryFolder, env });
process.stdout.write(JSON.stringify(await releases.history({ release: 'site', namespace })));
await opened.kubernetes.close();
