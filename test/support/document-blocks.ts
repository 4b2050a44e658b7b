export interface Block {
  /** The heading that it stands under. */
  readonly section: string;
  readonly text: string;
}

/** What is indented by four blanks in a page of docs/, and the heading above it. */
export function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  let section = '';
  let lines: string[] = [];
  const end = () => {
    if (lines.length > 0) blocks.push({ section, text: lines.join('\n') });
    lines = [];
  };
  for (const line of [...page.split('\n'), '']) {
    if (line.startsWith('    ')) lines.push(line.slice(4));
    else end();
    if (line.startsWith('## ')) section = line.slice(3);
  }
  return blocks;
}

/** What stands between fences of a language. */
export function fencedBlocksOf(page: string, language: string): string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(([, text = '']) => text);
}
