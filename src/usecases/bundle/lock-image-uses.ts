import { suggestionHint } from '../../formats/bundle/definition-problems.ts';
import { type KeyPath, throwAll } from '../../formats/bundle/definition-yaml.ts';
import { FormatError } from '../../formats/errors.ts';
import { parseReference } from '../../formats/oci/reference.ts';
import type { Project } from './lock-definition.ts';
import type { LocalInputs } from './lock-inputs.ts';

/**
 * Whether every image that `imageValues` and `database` name is one that the bundle carries.
 *
 * @param references - Of all images of the bundle, normalised.
 * @throws FormatError DEFINITION_INVALID; further ones in `others`.
 */
export function requireImages(project: Project, inputs: LocalInputs, references: readonly string[]): void {
  const carried = new Set(references);
  const values = inputs.selected.charts.flatMap((chart) => chart.imageValues);
  throwAll([
    ...values.flatMap(({ image, key }) =>
      carried.has(image) ? [] : [unknownImage(project, image, [...key, 'image'], references)],
    ),
    ...(inputs.lock.database === undefined ? [] : databaseProblems(project, inputs.lock.database.image, references)),
  ]);
}

/** The images that can migrate by their names: those whose repository ends in `/portolan`. */
export function migratingImages(references: readonly string[]): readonly string[] {
  return references.filter((reference) => /(?:^|\/)portolan$/.test(parseReference(reference).repository));
}

function databaseProblems(project: Project, image: string | undefined, references: readonly string[]): FormatError[] {
  if (image !== undefined) {
    return references.includes(image) ? [] : [unknownImage(project, image, ['database', 'image'], references)];
  }
  const found = migratingImages(references);
  if (found.length === 1) return [];
  return [
    new FormatError('DEFINITION_INVALID', 'It is not clear which image migrates the database.', {
      expected: 'one image whose repository ends in `/portolan`',
      found: found.length === 0 ? 'none' : found.join(', '),
      at: project.place(['database'], 'key'),
      hint:
        found.length === 0
          ? "Add the image of Portolan's agent to `images.list`."
          : 'Name the one that migrates under `database.image`.',
    }),
  ];
}

function unknownImage(project: Project, image: string, key: KeyPath, references: readonly string[]): FormatError {
  return new FormatError('DEFINITION_INVALID', 'The bundle does not carry this image.', {
    found: image,
    at: project.place(key),
    hint: suggestionHint(image, references),
  });
}
