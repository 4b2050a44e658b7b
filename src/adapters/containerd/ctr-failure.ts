import { isDigest } from '../../core/digest.ts';
import { printable } from '../../core/printable.ts';
import { AdapterError } from '../errors.ts';
import { targetIncomplete } from '../images/target-errors.ts';

/** What `ctr` says on standard error, as an error with a remedy. The words are those of containerd 1.6 to 2.2 and of gRPC. */

const MESSAGE_LIMIT = 2000;
const NO_RIGHTS = /permission denied|operation not permitted|access denied/i;
const NO_SPACE = /no space left on device|disk quota exceeded/i;
const NO_ANSWER =
  /failed to dial|connection refused|connection error|connection reset|no such file or directory.*\.sock|\.sock.*no such file or directory|code = Unavailable|transport is closing|error reading from server|broken pipe|containerd is not running/i;
const OTHER_VERSION =
  /unknown service|unknown method|code = Unimplemented|not implemented|flag provided but not defined/i;
const LACKS_BLOB = /(sha256:[0-9a-f]{64})\S*:? not found/;

interface End {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

export function ctrFailure(command: readonly string[], stderr: string, end: End): AdapterError {
  const text = messageOf(stderr);
  const name = command.join(' ');
  const details = { found: text === '' ? endText(end) : text };
  if (NO_SPACE.test(text)) return noSpace(text);
  const lacking = LACKS_BLOB.exec(text)?.[1];
  if (isDigest(lacking)) return targetIncomplete('containerd', lacking, new Error(text));
  if (NO_RIGHTS.test(text)) {
    return new AdapterError('CONTAINERD_DENIED', `This user may not use containerd with \`${name}\``, {
      ...details,
      hint: 'Run the command as root: with sudo, for instance.',
    });
  }
  if (OTHER_VERSION.test(text)) {
    return new AdapterError(
      'CONTAINERD_FAILED',
      `\`${name}\` and the containerd that runs here are not of one version`,
      {
        ...details,
        hint: 'Use the `ctr` that came with this containerd; for k3s that is `k3s ctr`.',
      },
    );
  }
  if (NO_ANSWER.test(text)) {
    return new AdapterError('CONTAINERD_UNREACHABLE', `containerd does not answer \`${name}\``, {
      ...details,
      hint: 'Start k3s (or containerd) on this machine and wait until it is ready, then run the command again.',
    });
  }
  return new AdapterError('CONTAINERD_FAILED', `containerd refused what \`${name}\` asked for`, {
    ...details,
    hint: 'Look at the log of k3s (`journalctl -u k3s`) or containerd. Running the command again is safe.',
  });
}

export function ctrMissing(command: readonly string[], cause: NodeJS.ErrnoException): AdapterError {
  const name = command[0] ?? '';
  if (cause.code === 'EACCES') {
    return new AdapterError('CONTAINERD_DENIED', `This user may not run \`${name}\``, {
      cause,
      hint: 'Run the command as root: with sudo, for instance.',
    });
  }
  return new AdapterError('CONTAINERD_MISSING', `There is no \`${name}\` to reach containerd with`, {
    cause,
    expected: '`k3s` or `ctr` on PATH',
    found: cause.code ?? 'unknown',
    hint: 'Run the command on the node, or name another target with --images, such as registry=HOST/PATH.',
  });
}

/** `write /var/lib/…/ingest/…/data: no space left on device`: the path tells which disk. */
function noSpace(text: string): AdapterError {
  const file = /(\/[^\s:]+): (?:no space left|disk quota)/i.exec(text)?.[1];
  return new AdapterError('NO_SPACE', `No space is left where containerd keeps its images${file ? `: ${file}` : ''}`, {
    found: text,
    ...(file === undefined ? {} : { at: { file } }),
    hint: 'Free space on that disk, then run the command again.',
  });
}

/** Its last words: the line that starts with `ctr:`, else the end of what it wrote, without colours and progress. */
function messageOf(stderr: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences by which a terminal is steered
  const lines = stderr.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, '').split(/[\r\n]+/);
  const said = lines
    .filter((line) => /^ctr: /.test(line))
    .at(-1)
    ?.slice('ctr: '.length);
  return printable((said ?? lines.join(' ')).trim().slice(-MESSAGE_LIMIT), MESSAGE_LIMIT);
}

function endText({ status, signal }: End): string {
  return status === null ? `ended by ${signal}` : `exit status ${status}`;
}
