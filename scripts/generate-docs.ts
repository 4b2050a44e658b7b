/**
 * Writes the documents that are made from the sources: docs/errors.md, docs/exit-statuses.md, the reference in README.md, and the
 * schema of helm/portolan's values with their table in docs/chart.md. Run it with `npm run docs`; a test fails when one of them is stale.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { type CommandTree, placedCommands } from '../src/cli/command-tree.ts';
import { ERROR_CATALOGUE, type Explanation } from '../src/cli/error-catalogue.ts';
import { EXIT_STATUSES } from '../src/cli/help.ts';
import { commandHelpText, loadCommandTree } from '../src/cli/program.ts';
import { portolanValuesSchemaText, portolanValuesTable } from './charts/portolan-values.ts';

const ROOT = join(import.meta.dirname, '..');
const START = '<!-- reference: start (written by `npm run docs`) -->';
const END = '<!-- reference: end -->';
const VALUES_START = '<!-- values: start (written by `npm run docs`) -->';
const VALUES_END = '<!-- values: end -->';

/** What each generated document must hold, by its path below the root. */
export async function generatedDocuments(): Promise<ReadonlyMap<string, string>> {
  const tree = await loadCommandTree();
  return new Map([
    ['docs/errors.md', errorsDocument()],
    ['docs/exit-statuses.md', exitStatusesDocument()],
    ['README.md', readmeDocument(readFileSync(join(ROOT, 'README.md'), 'utf8'), tree)],
    ['helm/portolan/values.schema.json', portolanValuesSchemaText()],
    ['docs/chart.md', chartDocument(readFileSync(join(ROOT, 'docs/chart.md'), 'utf8'))],
  ]);
}

function errorsDocument(): string {
  const sections = sortedCatalogue().map(
    ([code, { status, meaning, remedy }]) => `## ${code}\n\n${meaning}\n\n${remedy}\n\nExit status ${status}.\n`,
  );
  return `# Error codes

Every error names a code. \`portolan help CODE\` prints what stands here, offline; with \`--json\` the code is the field
\`code\` of an \`error\` event. Codes keep their meaning from version to version.

This page is written by \`npm run docs\` from src/cli/error-catalogue.ts.

${sections.join('\n')}`;
}

function exitStatusesDocument(): string {
  const rows = Object.entries(EXIT_STATUSES).map(([status, meaning]) => `| ${status} | ${meaning} |`);
  const groups = [1, 2, 3].map((wanted) => {
    const codes = sortedCatalogue().filter(([, { status }]) => status === wanted);
    return `## Status ${wanted}\n\n${codes.map(([code]) => `[${code}](errors.md#${code.toLowerCase()})`).join(', ')}\n`;
  });
  return `# Exit statuses

| Status | Meaning |
|---|---|
${rows.join('\n')}

When several problems are found in one run, the first of them decides. The codes behind each status follow.

This page is written by \`npm run docs\` from src/cli/error-catalogue.ts.

${groups.join('\n')}`;
}

function sortedCatalogue(): [string, Explanation][] {
  return Object.entries(ERROR_CATALOGUE).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The README with its reference replaced by what --help prints. */
function readmeDocument(readme: string, tree: CommandTree): string {
  const start = readme.indexOf(START);
  const end = readme.indexOf(END);
  if (start === -1 || end < start) throw new Error(`README.md has lost its markers: ${START} … ${END}`);
  const commands = [
    [],
    ...tree.groups.map(({ name }) => [name]),
    ...placedCommands(tree).map(({ words }) => [...words]),
  ];
  const sections = commands.map((words) => {
    const help = commandHelpText(tree, words).trimEnd();
    return `### ${['portolan', ...words].join(' ')}\n\n\`\`\`text\n${help}\n\`\`\`\n`;
  });
  return `${readme.slice(0, start)}${START}\n\n${sections.join('\n')}\n${readme.slice(end)}`;
}

/** The page about the chart with its table of values. */
function chartDocument(page: string): string {
  const start = page.indexOf(VALUES_START);
  const end = page.indexOf(VALUES_END);
  if (start === -1 || end < start)
    throw new Error(`docs/chart.md has lost its markers: ${VALUES_START} … ${VALUES_END}`);
  const defaults: unknown = parse(readFileSync(join(ROOT, 'helm/portolan/values.yaml'), 'utf8'));
  return `${page.slice(0, start)}${VALUES_START}\n\n${portolanValuesTable(defaults)}\n\n${page.slice(end)}`;
}

if (import.meta.main) {
  for (const [path, content] of await generatedDocuments()) writeFileSync(join(ROOT, path), content);
}
