import { FormatError } from '../errors.ts';
import { normaliseReference } from '../oci/reference.ts';
import { checkDefinition } from './definition-check.ts';
import { problem, problemsOf } from './definition-problems.ts';
import { definitionSchema, type RawDefinition } from './definition-schema.ts';
import type { Condition, DatabaseDefinition, Definition, ValuesLayer } from './definition-types.ts';
import { type KeyPath, type PositionedYaml, parsePositionedYaml, throwAll } from './definition-yaml.ts';
import { PIECE_SIZE_MAX_BYTES } from './placement.ts';

/** A checked definition and the way back from a key path to a line of the file. */
export interface PlacedDefinition {
  readonly definition: Definition;
  readonly place: PositionedYaml['place'];
}

/**
 * bundle.yaml (docs/bundle-yaml.md) as a Definition.
 *
 * @param file - The name that errors give the text.
 * @throws FormatError DEFINITION_INVALID; every further problem is in `others`.
 */
export function decodeDefinition(text: string, file: string): PlacedDefinition {
  const yaml = parsePositionedYaml(text, file);
  const parsed = definitionSchema.safeParse(yaml.value);
  if (!parsed.success) {
    const problems = problemsOf(parsed.error.issues, yaml);
    throwAll(problems);
    throw new FormatError('DEFINITION_INVALID', 'The definition is not right.', { at: { file }, cause: parsed.error });
  }
  const definition = normalise(parsed.data, yaml);
  throwAll(checkDefinition(definition, yaml));
  return { definition, place: yaml.place };
}

function normalise(raw: RawDefinition, yaml: PositionedYaml): Definition {
  return {
    name: raw.name,
    version: raw.version,
    sequence: raw.sequence,
    audience: raw.audience,
    platforms: raw.platforms,
    pieceSizeBytes: pieceSizeBytes(raw.pieceSize, yaml),
    signers: raw.signers.map((path, index) => ({ path, key: ['signers', index] })),
    ...(raw.provider === undefined ? {} : { provider: raw.provider }),
    providers: new Map(
      Object.entries(raw.providers).map(([name, { values }]) => [
        name,
        { values: values.map((file, index) => ({ file, key: ['providers', name, 'values', index] })) },
      ]),
    ),
    kubernetes: {
      ...(raw.kubernetes.version === undefined ? {} : { version: raw.kubernetes.version }),
      apiVersions: raw.kubernetes.apiVersions,
    },
    features: new Map(
      Object.entries(raw.features).map(([name, feature]) => [
        name,
        { default: feature.default, on: feature.on ?? {}, off: feature.off ?? {} },
      ]),
    ),
    charts: raw.charts.map((chart, index) => ({
      name: chart.name,
      path: chart.path,
      release: chart.release ?? chart.name,
      namespace: chart.namespace,
      stage: chart.stage,
      values: valuesLayers(chart.values, ['charts', index, 'values']),
      parts: chart.parts.map((part, number) => ({
        path: part.path,
        when: condition(part.when),
        key: ['charts', index, 'parts', number],
      })),
      imageValues: chart.imageValues.map(({ path, image, part, when }, number) => ({
        path,
        image: reference(image),
        part,
        ...entry(['charts', index, 'imageValues', number], when),
      })),
      ...entry(['charts', index], chart.when),
    })),
    images: {
      list: raw.images.list.map((item, index) => {
        const key = ['images', 'list', index];
        return typeof item === 'string'
          ? { reference: item, ...entry(key) }
          : { reference: item.reference, ...entry(key, item.when) };
      }),
      layouts: raw.images.layouts,
      paths: raw.images.paths.map(({ kind, apiVersion, path }) => ({
        kind,
        path,
        ...(apiVersion === undefined ? {} : { apiVersion }),
      })),
      allowFloating: raw.images.allowFloating,
    },
    registries: new Map(
      Object.entries(raw.registries).map(([host, { plainHttp, caFile }]) => [
        host,
        { plainHttp, ...(caFile === undefined ? {} : { caFile }) },
      ]),
    ),
    modules: raw.modules.map((module, index) => ({
      name: module.name,
      path: module.path,
      requires: module.requires,
      ...entry(['modules', index], module.when),
    })),
    ...(raw.database === undefined ? {} : { database: database(raw.database) }),
    configuration: raw.configuration.json.map((item, index) => {
      const { source, path, when } =
        typeof item === 'string' ? { source: item, path: undefined, when: undefined } : item;
      const name = path ?? source.slice(source.lastIndexOf('/') + 1);
      return { source, path: `json/${name}`, ...entry(['configuration', 'json', index], when) };
    }),
    files: raw.files.map((file, index) => ({
      path: file.path,
      source: file.source,
      mode: Number.parseInt(file.mode, 8),
      ...entry(['files', index], file.when),
    })),
    receipt: { recipients: raw.receipt?.recipients.map((text) => text.trim()) ?? [] },
  };
}

function entry(key: KeyPath, when?: string): { key: KeyPath; when?: Condition } {
  return when === undefined ? { key } : { key, when: condition(when) };
}

/** The schema let only `features.NAME` and `!features.NAME` through. */
function condition(when: string): Condition {
  return { feature: when.slice(when.indexOf('.') + 1), wanted: !when.startsWith('!') };
}

function valuesLayers(values: RawDefinition['charts'][number]['values'], key: KeyPath): ValuesLayer[] {
  if (values === undefined) return [];
  if (!Array.isArray(values)) return [{ inline: values }];
  return values.map((item, index) =>
    typeof item === 'string' ? { file: item, key: [...key, index] } : { inline: item },
  );
}

function database({ image, ...rest }: NonNullable<RawDefinition['database']>): DatabaseDefinition {
  return image === undefined ? rest : { ...rest, image: reference(image) };
}

/** What is no reference stays as it is: the check names it together with everything else. */
function reference(text: string): string {
  try {
    return normaliseReference(text);
  } catch {
    return text;
  }
}

/** The format allows smaller ones; they would only make a bundle slow. */
const SMALLEST_PIECE_BYTES = 1024 * 1024;

function pieceSizeBytes(written: string | number, yaml: PositionedYaml): number {
  const unit = String(written).endsWith('GiB') ? 1024 ** 3 : String(written).endsWith('MiB') ? 1024 ** 2 : 1;
  const bytes = Number.parseInt(String(written), 10) * unit;
  const powerOfTwo = Number.isInteger(Math.log2(bytes));
  if (powerOfTwo && bytes >= SMALLEST_PIECE_BYTES && bytes <= PIECE_SIZE_MAX_BYTES) return bytes;
  throw problem('`pieceSize` is not a size that pieces can have.', yaml, ['pieceSize'], {
    expected: 'a power of two from 1MiB to 1GiB',
    found: written,
    hint: 'Write 32MiB, or leave the key out.',
  });
}
