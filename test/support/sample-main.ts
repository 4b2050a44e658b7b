import { runMain } from '../../src/cli/main-run.ts';
import { loadSampleTree } from './sample-tree.ts';

await runMain(process.argv.slice(2), loadSampleTree);
