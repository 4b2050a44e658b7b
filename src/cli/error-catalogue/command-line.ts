import type { Explanations } from './explanation.ts';

/** Of the command line itself. */
export const COMMAND_LINE = {
  USAGE: {
    status: 2,
    meaning: 'The command line was used wrongly.',
    remedy: 'Run the command with --help.',
  },
  NO_TERMINAL: {
    status: 2,
    meaning: 'A secret must be given, and there is no terminal to ask for it.',
    remedy: 'Give the secret in a file or in the environment variable that --help of the command names.',
  },
  HELP_TOPIC_UNKNOWN: {
    status: 2,
    meaning: 'There is no help under that name.',
    remedy: 'Run `portolan help` for the commands and `portolan help codes` for all error codes.',
  },
  INTERNAL: {
    status: 1,
    meaning: 'The program met something that its authors did not foresee. This is a fault in Portolan.',
    remedy: 'Report it with the lines that were printed and the command, without secrets. What is on disk is unharmed.',
  },
} as const satisfies Explanations;
