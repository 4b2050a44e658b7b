/** The documents of what `helm template` prints: each after `---` and, from helm itself, a line `# Source: CHART/PATH`. */

export interface DocumentText {
  /** The path of helm's `# Source:` comment; empty where there is none. */
  readonly template: string;
  readonly text: string;
  /** Line of the rendered stream at which the text begins, from 1. */
  readonly line: number;
}

/** In the order in which they stand; the separator and the comment stay part of the text. */
export function* splitDocuments(rendered: string): Generator<DocumentText> {
  let start = 0;
  let startLine = 1;
  let line = 1;
  for (let offset = 0; offset <= rendered.length; line++) {
    const end = rendered.indexOf('\n', offset);
    const next = end < 0 ? rendered.length + 1 : end + 1;
    if (/^---(?:\s|$)/.test(rendered.slice(offset, Math.min(offset + 4, next)))) {
      if (offset > start) yield documentText(rendered.slice(start, offset), startLine);
      start = offset;
      startLine = line;
    }
    offset = next;
  }
  if (start < rendered.length) yield documentText(rendered.slice(start), startLine);
}

function documentText(text: string, line: number): DocumentText {
  // Only the comment that helm itself puts under the separator counts: a template can write further ones.
  const template = /^(?:---[^\n]*\n)?# Source: ([^\n]*)\n/.exec(text)?.[1] ?? '';
  return { template: template.trim(), text, line };
}
