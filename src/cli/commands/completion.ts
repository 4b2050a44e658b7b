import { type CommandSpec, defineCommand } from '../arguments.ts';
import type { CommandTree } from '../command-tree.ts';
import { UsageError } from '../errors.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** `portolan completion SHELL`: prints the shell's completion script. */
export function completionSpec(tree: () => CommandTree): CommandSpec {
  return defineCommand({
    name: 'completion',
    summary: 'print a completion script for a shell',
    arguments: { shell: { description: 'bash, zsh or fish', complete: SHELLS } },
    options: {},
    examples: [
      {
        command: 'source <(portolan completion bash)',
        note: 'bash: for this shell; put the line into ~/.bashrc to keep it',
      },
      { command: 'portolan completion zsh > ~/.zfunc/_portolan', note: 'zsh: in a folder of $fpath, here ~/.zfunc' },
      { command: 'portolan completion fish > ~/.config/fish/completions/portolan.fish', note: 'fish' },
    ],
    async run(context, { shell }) {
      const known = SHELLS.find((name) => name === shell);
      if (known === undefined) {
        throw new UsageError('USAGE', 'no completion for that shell', { expected: SHELLS.join(', '), found: shell });
      }
      const { completionScript } = await import('../completion.ts');
      const script = completionScript(known, tree());
      context.output.result({ shell, script }, () => script);
    },
  });
}
