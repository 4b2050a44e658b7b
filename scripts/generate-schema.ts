/** Writes docs/schema/bundle.schema.json from the schema of bundle.yaml. A unit test fails while the two differ. */
import { writeFileSync } from 'node:fs';
import { definitionJsonSchemaText } from '../src/formats/bundle/definition-schema.ts';

writeFileSync(new URL('../docs/schema/bundle.schema.json', import.meta.url), definitionJsonSchemaText());
