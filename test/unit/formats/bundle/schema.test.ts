import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { definitionJsonSchemaText } from '../../../../src/formats/bundle/definition-schema.ts';

it('docs/schema/bundle.schema.json is what scripts/generate-schema.ts writes', () => {
  const written = readFileSync(new URL('../../../../docs/schema/bundle.schema.json', import.meta.url), 'utf8');
  expect(written).toBe(definitionJsonSchemaText());
});

it('every key of the schema says what it is for', () => {
  const silent: string[] = [];
  const visit = (node: Record<string, unknown>, path: string) => {
    for (const [key, inner] of Object.entries((node.properties ?? {}) as Record<string, Record<string, unknown>>)) {
      if (typeof inner.description !== 'string' && key !== 'values') silent.push(`${path}.${key}`);
      visit(inner, `${path}.${key}`);
    }
    for (const inner of [node.items, node.additionalProperties, ...((node.anyOf as unknown[]) ?? [])]) {
      if (inner !== null && typeof inner === 'object') visit(inner as Record<string, unknown>, `${path}[]`);
    }
  };
  visit(JSON.parse(definitionJsonSchemaText()), '');
  expect(silent).toEqual([]);
});
