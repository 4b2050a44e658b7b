import { printable } from './output.ts';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** Columns two spaces apart, titles in capitals; no trailing white space. A cell never breaks its row. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const cells = [columns.map((column) => column.title.toUpperCase()), ...rows.map((row) => row.map(oneLine))];
  const widths = columns.map((_, index) => cells.reduce((width, row) => Math.max(width, (row[index] ?? '').length), 0));
  return cells
    .map((row) =>
      columns
        .map((column, index) => {
          const cell = row[index] ?? '';
          const width = widths[index] ?? 0;
          return column.align === 'right' ? cell.padStart(width) : cell.padEnd(width);
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function oneLine(text: string): string {
  return printable(text.replace(/[\t\n]/g, ' '));
}
