/** The entry of the command line. `--version` answers before anything heavy is loaded. */
import { VERSION } from './version.ts';

const args = process.argv.slice(2);
if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
  process.stdout.write(`${VERSION}\n`);
} else {
  // Not awaited: a module that awaits at its top cannot be part of the single executable.
  void import('./main-run.ts').then(({ runMain }) => runMain(args));
}
