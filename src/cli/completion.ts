/**
 * Completion scripts, generated from the command tree. They are static: a shell never runs the program to complete a
 * word. Each script first finds the command's words, stepping over options and their values, as the parser does.
 */
import { type CommandSpec, type Completion, longNameOf, type OptionSpec } from './arguments.ts';
import { GLOBAL_OPTIONS } from './arguments-commander.ts';
import { type CommandTree, placedCommands } from './command-tree.ts';
import { ERROR_CATALOGUE } from './error-catalogue.ts';
import { HELP_TOPICS } from './help.ts';

export type Shell = 'bash' | 'zsh' | 'fish';

export function completionScript(shell: Shell, tree: CommandTree): string {
  const nodes = nodesOf(tree);
  if (shell === 'bash') return bashScript(nodes);
  return shell === 'zsh' ? zshScript(nodes) : fishScript(nodes);
}

interface Word {
  readonly word: string;
  readonly description: string;
}

interface CompletedOption {
  readonly long: string;
  readonly short: string | undefined;
  readonly description: string;
  /** Undefined for a switch. */
  readonly value: Completion | undefined;
}

/** One place in the tree: what may follow the words that lead to it. */
interface TreeNode {
  /** Such as `bundle build`; empty at the root. */
  readonly path: string;
  readonly children: readonly Word[];
  readonly options: readonly CompletedOption[];
  /** What the first, second, … argument offers; the last one repeats when it is variadic. */
  readonly arguments: readonly Completion[];
}

function nodesOf(tree: CommandTree): readonly TreeNode[] {
  const globals = Object.entries(GLOBAL_OPTIONS).map(([key, option]) => completedOption(key, option));
  globals.push({ long: 'help', short: 'h', description: 'print this help', value: undefined });
  const version = { long: 'version', short: 'V', description: 'print the version', value: undefined };
  const topics = [...HELP_TOPICS, ...tree.groups.map(({ name }) => name), ...Object.keys(ERROR_CATALOGUE)];
  const leaf = (spec: CommandSpec, path: string): TreeNode => ({
    path,
    children: [],
    options: [...Object.entries(spec.options).map(([key, option]) => completedOption(key, option)), ...globals],
    arguments: Object.values(spec.arguments).map(({ complete = 'none' }) => (complete === 'topic' ? topics : complete)),
  });
  const word = ({ name, summary }: { readonly name: string; readonly summary: string }) => ({
    word: name,
    description: summary,
  });
  return [
    { path: '', children: [...tree.groups, ...tree.commands].map(word), options: [...globals, version], arguments: [] },
    ...tree.groups.map((group) => ({
      path: group.name,
      children: group.commands.map(word),
      options: globals,
      arguments: [],
    })),
    ...placedCommands(tree).map(({ words, spec }) => leaf(spec, words.join(' '))),
  ];
}

function completedOption(key: string, option: OptionSpec): CompletedOption {
  const { description, short } = option;
  return {
    long: longNameOf(key),
    short,
    description,
    value: option.kind === 'flag' ? undefined : (option.complete ?? 'none'),
  };
}

/** `--out` and `-o`. */
function spellings(option: CompletedOption): readonly string[] {
  return option.short === undefined ? [`--${option.long}`] : [`--${option.long}`, `-${option.short}`];
}

/** For sh and its kin: everything between single quotes is literal. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The arms of `case "$command|$word"` that are true for an option which takes a value. */
function valueArms(nodes: readonly TreeNode[], indent: string, action: string): string[] {
  return nodes.flatMap((node) => {
    const patterns = node.options
      .filter((option) => option.value !== undefined)
      .flatMap(spellings)
      .map((word) => quoted(`${node.path}|${word}`));
    return patterns.length === 0 ? [] : [`${indent}${patterns.join('|')}) ${action} ;;`];
  });
}

function pathArms(nodes: readonly TreeNode[]): string {
  return nodes.flatMap((node) => node.children.map(({ word }) => quoted(`${node.path} ${word}`.trim()))).join('|');
}

interface Offers {
  readonly file: string;
  readonly folder: string;
  readonly none: string;
  readonly words: (words: readonly string[]) => string;
}

function offer(completion: Completion, offers: Offers): string {
  if (completion === 'file' || completion === 'folder') return offers[completion];
  return typeof completion === 'string' ? offers.none : offers.words(completion);
}

/** Arms that complete the value of an option, by command and spelling. */
function optionArms(nodes: readonly TreeNode[], offers: Offers): string[] {
  return nodes.flatMap((node) =>
    node.options.flatMap((option) => {
      if (option.value === undefined) return [];
      const patterns = spellings(option).map((word) => quoted(`${node.path}|${word}`));
      return [`    ${patterns.join('|')}) ${offer(option.value, offers)}; return ;;`];
    }),
  );
}

/** Arms that complete an argument, by command and position. */
function argumentArms(nodes: readonly TreeNode[], offers: Offers): string[] {
  return nodes.flatMap((node) =>
    node.arguments.flatMap((completion, index) =>
      completion === 'none' ? [] : [`    ${quoted(`${node.path}|${index}`)}) ${offer(completion, offers)} ;;`],
    ),
  );
}

function bashScript(nodes: readonly TreeNode[]): string {
  const offers: Offers = {
    file: '_portolan_files -f',
    folder: '_portolan_files -d',
    none: ':',
    words: (words) => `_portolan_words ${quoted(words.join(' '))}`,
  };
  const optionLists = nodes.map(
    (node) => `    ${quoted(node.path)}) _portolan_words ${quoted(node.options.flatMap(spellings).join(' '))} ;;`,
  );
  const childLists = nodes
    .filter((node) => node.children.length > 0)
    .map(
      (node) =>
        `    ${quoted(node.path)}) _portolan_words ${quoted(node.children.map(({ word }) => word).join(' '))} ;;`,
    );
  return `# bash completion for portolan. Load it with: source <(portolan completion bash)
_portolan_words() { mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$1" -- "$cur"); }
_portolan_files() { compopt -o filenames; mapfile -t COMPREPLY < <(compgen "$1" -- "$cur"); }

_portolan() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} command='' position=0 skip=0 index word
  COMPREPLY=()
  # "--out=x" reaches this function as three words.
  if [[ $cur == '=' ]]; then cur=''; elif [[ $prev == '=' ]]; then prev=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    if ((skip)); then
      [[ $word == '=' ]] || skip=0
      continue
    fi
    case "$command|$word" in
${valueArms(nodes, '      ', 'skip=1').join('\n')}
      *'|'-*) ;;
      *)
        case "\${command:+$command }$word" in
          ${pathArms(nodes)}) command="\${command:+$command }$word" ;;
          *) position=$((position + 1)) ;;
        esac
        ;;
    esac
  done
  case "$command|$prev" in
${optionArms(nodes, offers).join('\n')}
  esac
  if [[ $cur == -* ]]; then
    case "$command" in
${optionLists.join('\n')}
    esac
    return
  fi
  case "$command" in
${childLists.join('\n')}
  esac
  case "$command|$position" in
${argumentArms(nodes, offers).join('\n')}
  esac
}
complete -F _portolan portolan
`;
}

function zshScript(nodes: readonly TreeNode[]): string {
  const offers: Offers = {
    file: '_files',
    folder: '_files -/',
    none: '_message value',
    words: (words) => `compadd -- ${words.map(quoted).join(' ')}`,
  };
  // _describe splits at the first colon that is not escaped.
  const described = (words: readonly Word[]) =>
    words.map(({ word, description }) => quoted(`${word}:${description.replaceAll(':', '\\:')}`)).join(' ');
  const optionLists = nodes.map((node) => {
    const words = node.options.flatMap((option) =>
      spellings(option).map((word) => ({ word, description: option.description })),
    );
    return `    ${quoted(node.path)}) offered=(${described(words)}) ;;`;
  });
  const childLists = nodes
    .filter((node) => node.children.length > 0)
    .map(
      (node) => `    ${quoted(node.path)}) offered=(${described(node.children)}); _describe command offered; return ;;`,
    );
  return `#compdef portolan
# zsh completion for portolan. Put it as _portolan into a folder of $fpath, or load it with: source <(portolan completion zsh)
_portolan() {
  local command='' word cur=\${words[CURRENT]} prev=\${words[CURRENT - 1]}
  integer position=0 skip=0 index
  local -a offered
  for ((index = 2; index < CURRENT; index++)); do
    word=\${words[index]}
    if ((skip)); then
      skip=0
      continue
    fi
    case "$command|$word" in
${valueArms(nodes, '      ', 'skip=1').join('\n')}
      *'|'-*) ;;
      *)
        case "\${command:+$command }$word" in
          ${pathArms(nodes)}) command="\${command:+$command }$word" ;;
          *) position=$((position + 1)) ;;
        esac
        ;;
    esac
  done
  case "$command|$prev" in
${optionArms(nodes, offers).join('\n')}
  esac
  if [[ $cur == -* ]]; then
    case "$command" in
${optionLists.join('\n')}
    esac
    _describe option offered
    return
  fi
  case "$command" in
${childLists.join('\n')}
  esac
  case "$command|$position" in
${argumentArms(nodes, offers).join('\n')}
  esac
}
if [[ \${funcstack[1]} == _portolan ]]; then
  _portolan "$@"
else
  compdef _portolan portolan
fi
`;
}

/** fish escapes a quote inside single quotes by a backslash. */
function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

function fishScript(nodes: readonly TreeNode[]): string {
  const valued = nodes.flatMap((node) =>
    node.options
      .filter((option) => option.value !== undefined)
      .flatMap((option) => spellings(option).map((word) => fishQuoted(`${node.path}|${word}`))),
  );
  const paths = nodes.flatMap((node) => node.children.map(({ word }) => fishQuoted(`${node.path} ${word}`.trim())));
  const at = (node: TreeNode) => `complete -c portolan -n ${fishQuoted(`__portolan_at ${fishQuoted(node.path)}`)}`;
  const offers: Offers = {
    file: '-F',
    folder: `-a '(__fish_complete_directories)'`,
    none: '',
    words: (words) => `-a ${fishQuoted(words.join(' '))}`,
  };
  const lines = nodes.flatMap((node) => [
    ...node.children.map(({ word, description }) => `${at(node)} -a ${word} -d ${fishQuoted(description)}`),
    ...node.options.map((option) => {
      const short = option.short === undefined ? '' : ` -s ${option.short}`;
      const value =
        option.value === undefined ? '' : ` -x ${offer(option.value, offers)}`.replace(' -x -F', ' -r -F').trimEnd();
      return `${at(node)} -l ${option.long}${short}${value} -d ${fishQuoted(option.description)}`;
    }),
    ...node.arguments.flatMap((completion, index) =>
      completion === 'none'
        ? []
        : [
            `complete -c portolan -n ${fishQuoted(`__portolan_at ${fishQuoted(node.path)} ${index}`)} ${offer(completion, offers)}`,
          ],
    ),
  ]);
  return `# fish completion for portolan. Save it as ~/.config/fish/completions/portolan.fish
function __portolan_at --description 'whether the words so far lead to this command (and this argument)'
  set -l command ''
  set -l position 0
  set -l skip 0
  for word in (commandline -opc)[2..-1]
    if test $skip = 1
      set skip 0
      continue
    end
    if contains -- "$command|$word" ${valued.join(' ')}
      set skip 1
    else if not string match -q -- '-*' $word
      set -l path (string trim -- "$command $word")
      if contains -- $path ${paths.join(' ')}
        set command $path
      else
        set position (math $position + 1)
      end
    end
  end
  test "$command" = "$argv[1]"; and begin
    not set -q argv[2]; or test $position = $argv[2]
  end
end
complete -c portolan -f
${lines.join('\n')}
`;
}
