import { z } from 'zod';
import { isBundlePath } from './bundle-path.ts';
import { SSL_MODES } from './definition-types.ts';
import { parseValuePath } from './value-path.ts';

/**
 * The schema of bundle.yaml (docs/bundle-yaml.md). It describes what a person writes; src/formats/bundle/definition.ts turns
 * that into a Definition. docs/schema/bundle.schema.json is generated from it, so every rule that JSON Schema can say is
 * written as a pattern or a limit.
 */

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const WORD = /^[A-Za-z][A-Za-z0-9_-]{0,62}$/;
/** SemVer 2.0.0, section 9 and its grammar, without build metadata: an OCI tag cannot hold `+`. */
const SEMVER =
  /^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?$/;
const PLATFORM = /^[a-z0-9]+\/[a-z0-9]+(?:\/[a-z0-9]+)?$/;
const WHEN = /^!?features\.[A-Za-z][A-Za-z0-9_-]{0,62}$/;

const label = (what: string) =>
  z
    .string()
    .regex(LABEL, 'lower-case letters, digits and hyphens, beginning and ending with a letter or digit, at most 63')
    .describe(what);
const word = z.string().regex(WORD, 'letters, digits, `_` and `-`, beginning with a letter, at most 63');

const relativePath = (what: string) =>
  z
    .string()
    .min(1)
    .max(1024)
    .regex(/^(?![/~])(?![A-Za-z]:)[^\\\0]+$/, 'a relative path with `/` between its parts')
    .describe(`${what} Relative to the folder of bundle.yaml; \`..\` is allowed.`);

const bundlePath = z
  .string()
  .min(1)
  .max(240)
  .refine(isBundlePath, 'a clean relative path that every file system can hold: no `..`, no `\\`, no `: * ? " < > |`')
  .describe('Path inside the bundle.');

const when = z
  .string()
  .regex(WHEN, '`features.NAME` or `!features.NAME`')
  .optional()
  .describe('Carried only while this feature is on (`features.shop`) or off (`!features.shop`).');

const valuesMap = z.record(z.string(), z.unknown());
const valuesFile = relativePath('A YAML file with values.');

const feature = z
  .strictObject({
    default: z
      .boolean()
      .default(false)
      .describe('The side that is chosen unless `--feature NAME=on|off` says otherwise.'),
    on: valuesMap.optional().describe('Merged into the values of every chart while the feature is on.'),
    off: valuesMap.optional().describe('Merged into the values of every chart while the feature is off.'),
  })
  .describe('A switch: the chosen side is merged into the values.');

const chart = z
  .strictObject({
    name: label('Name of the chart in this bundle.'),
    path: relativePath('A chart: a folder or a .tgz file.'),
    release: z
      .string()
      .regex(/^[a-z0-9](?:[a-z0-9-]{0,51}[a-z0-9])?$/, 'lower-case letters, digits and hyphens, at most 53')
      .optional()
      .describe("Name of helm's release. Default: the chart's name."),
    namespace: label('Namespace of the release.').default('default'),
    stage: z
      .enum(['data', 'app'])
      .default('app')
      .describe('`data` charts are ready before migrations run, `app` charts come after them.'),
    values: z
      .union([z.array(z.union([valuesFile, valuesMap])), valuesMap])
      .optional()
      .describe('Values files and inline values, later ones over earlier ones.'),
    parts: z
      .array(
        z.strictObject({
          path: bundlePath.describe('A file or folder inside the chart, such as `templates/shop`.'),
          when: z.string().regex(WHEN, '`features.NAME` or `!features.NAME`').describe('Packed only while this holds.'),
        }),
      )
      .default([])
      .describe(
        'Files of a chart folder that are packed only under a condition, so that nothing of them is in the bundle.',
      ),
    imageValues: z
      .array(
        z.strictObject({
          path: z
            .string()
            .min(1)
            .max(1024)
            .refine((path) => parseValuePath(path) !== undefined, 'keys joined by dots, `\\.` for a dot in a key')
            .describe(
              'Where the value stands, such as `sections.core.image`. Keys joined by dots, `\\.` for a dot in a key.',
            ),
          image: z.string().min(1).max(512).describe('The image that it names: one that the bundle carries.'),
          part: z
            .enum(['reference', 'registry', 'repository', 'tag', 'digest'])
            .default('reference')
            .describe('What of the reference the value holds.'),
          when,
        }),
      )
      .default([])
      .describe('Values that name images, so that import can point them to another registry.'),
    when,
  })
  .describe('A Helm chart and how it is installed.');

const image = z.union([
  z.string().min(1).max(512).describe('A reference, such as `registry.example/cms/web:1.4.0`.'),
  z.strictObject({ reference: z.string().min(1).max(512).describe('The reference.'), when }),
]);

const images = z
  .strictObject({
    list: z.array(image).default([]).describe('Images that no chart names.'),
    layouts: z
      .array(relativePath('An OCI image layout (a folder) that is asked before any registry.'))
      .default([])
      .describe('OCI image layouts, asked in order, before any registry.'),
    paths: z
      .array(
        z.strictObject({
          kind: z
            .string()
            .regex(/^[A-Za-z][A-Za-z0-9]*$/, 'the kind of a custom resource')
            .describe('Such as `Cluster`.'),
          apiVersion: z.string().min(1).max(253).optional().describe('Only this apiVersion. Default: any.'),
          path: z
            .string()
            .regex(
              /^[A-Za-z_][A-Za-z0-9_-]*(?:\[(?:\d+|\*)?\])*(?:\.[A-Za-z_][A-Za-z0-9_-]*(?:\[(?:\d+|\*)?\])*)*$/,
              'keys joined by dots, lists as `[]`, such as `spec.containers[].image`',
            )
            .describe('Where the reference stands, such as `spec.imageName` or `spec.containers[].image`.'),
        }),
      )
      .default([])
      .describe('Places in custom resources where image references stand.'),
    allowFloating: z
      .boolean()
      .default(false)
      .describe('Allow references without a tag or with `latest`. The lock pins them all the same.'),
  })
  .describe('Images beyond those that are found in the charts, and where images come from.');

const registry = z
  .strictObject({
    plainHttp: z.boolean().default(false).describe('Speak HTTP without TLS.'),
    caFile: relativePath('Certificates (PEM) that this registry is trusted by.').optional(),
  })
  .describe('How one registry is reached.');

const module = z
  .strictObject({
    name: label('Name of the module.'),
    path: relativePath('A folder of `<digits>_name[.contract].sql` files.'),
    requires: z.array(z.string().min(1).max(63)).default([]).describe('Modules that are applied before this one.'),
    when,
  })
  .describe('A module of database migrations.');

const database = z
  .strictObject({
    namespace: label('Namespace in which migrations run, and in which the Secret with the password is.'),
    host: z
      .string()
      .max(253)
      .regex(/^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$|^[0-9a-fA-F:]*:[0-9a-fA-F:]*$/, 'a host name or an address')
      .describe('Host of the database as Pods of the namespace see it, such as the name of its Service.'),
    port: z.int().min(1).max(65535).default(5432).describe('Its port.'),
    name: z.string().min(1).max(63).describe('Name of the database.'),
    user: z.string().min(1).max(63).describe('The role that migrates: the owner of the tables, or a superuser.'),
    password: z
      .strictObject({
        secret: z
          .string()
          .max(253)
          .regex(/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/, 'the name of a Secret')
          .describe('Name of a Secret of the namespace.'),
        key: z
          .string()
          .max(253)
          .regex(/^[A-Za-z0-9._-]+$/, 'a key of a Secret: letters, digits, `-`, `_` and `.`')
          .describe('Its key.'),
      })
      .describe('Where the cluster keeps the password. It is never in the bundle.'),
    sslMode: z.enum(SSL_MODES).default('prefer').describe("As libpq's `sslmode`."),
    image: z
      .string()
      .min(1)
      .max(512)
      .optional()
      .describe('The image that migrates. Default: the one image whose repository ends in `/portolan`.'),
  })
  .describe('How migrations reach the database inside the cluster.');

const json = z.union([
  relativePath('A JSON file; it keeps its file name.'),
  z.strictObject({
    source: relativePath('A JSON file.'),
    path: bundlePath.optional().describe('Path below `configuration/json/`. Default: the file name.'),
    when,
  }),
]);

const file = z
  .strictObject({
    path: bundlePath,
    source: relativePath('The file to carry.'),
    mode: z
      .string()
      .regex(/^0?[0-7]{3}$/, "permission bits as a quoted octal number, such as '0755'")
      .default('0644')
      .describe("Permission bits as a quoted octal number, such as '0755'."),
    when,
  })
  .describe('A file of any size.');

export const definitionSchema = z
  .strictObject({
    name: label('Name of the bundle. With the version it makes the tag NAME-VERSION.'),
    version: z
      .string()
      .max(64)
      .regex(SEMVER, 'a version as in SemVer 2 without build metadata, such as 1.4.0 or 1.4.0-rc.1')
      .describe('Version of the bundle (SemVer 2, without build metadata).'),
    sequence: z.int().min(1).describe('Grows with each release. Import refuses a sequence below the highest applied.'),
    audience: z
      .array(label('Name of a target.'))
      .default([])
      .describe('Targets that the bundle is meant for. Empty: any.'),
    platforms: z
      .array(z.string().regex(PLATFORM, '`os/architecture` or `os/architecture/variant`, such as linux/amd64'))
      .min(1)
      .default(['linux/amd64'])
      .describe('Platforms whose images are carried.'),
    pieceSize: z
      .union([z.string().regex(/^[1-9]\d{0,9}(?:MiB|GiB)$/, 'a number with MiB or GiB, such as 32MiB'), z.int().min(1)])
      .default('32MiB')
      .describe('Size of a piece: a power of two from 1MiB to 1GiB.'),
    signers: z
      .array(relativePath('A public key (PEM), as in `cosign.pub`.'))
      .default([])
      .describe('Public keys that may sign the bundle. Empty: whoever signs at build.'),
    provider: word.optional().describe('The provider whose values are used unless `--provider` says otherwise.'),
    providers: z
      .record(word, z.strictObject({ values: z.array(valuesFile).default([]) }))
      .default({})
      .describe('Values for every chart, per kind of cluster.'),
    kubernetes: z
      .strictObject({
        version: z
          .string()
          .regex(/^v?\d+\.\d+(?:\.\d+)?$/, 'a Kubernetes version, such as 1.33')
          .optional()
          .describe('The version that charts are rendered for.'),
        apiVersions: z
          .array(z.string().min(1).max(253))
          .default([])
          .describe('Further API versions that the cluster has, such as `monitoring.coreos.com/v1`.'),
      })
      .default({ apiVersions: [] })
      .describe('What charts are told about the cluster when they are rendered to find images.'),
    features: z.record(word, feature).default({}).describe('Switches that decide what the bundle carries.'),
    charts: z.array(chart).default([]).describe('Charts, in the order in which they are installed.'),
    images: images.prefault({}),
    registries: z
      .record(
        z.string().regex(/^[A-Za-z0-9.-]+(?::\d{1,5})?$|^\[[0-9a-fA-F:]+\](?::\d{1,5})?$/, '`host` or `host:port`'),
        registry,
      )
      .default({})
      .describe('How registries are reached, by `host:port`.'),
    modules: z.array(module).default([]).describe('Modules of database migrations.'),
    database: database.optional(),
    configuration: z
      .strictObject({ json: z.array(json).default([]).describe('JSON documents.') })
      .default({ json: [] })
      .describe('Configuration that the product reads after it is installed.'),
    files: z.array(file).default([]).describe('Files of any size, such as the k3s binary.'),
    receipt: z
      .strictObject({
        recipients: z
          .array(z.string().min(1).max(4096))
          .min(1)
          .describe('age recipients (`age1…`): all classic, or all post-quantum.'),
      })
      .optional()
      .describe('To whom the receipt of an import is sealed: the publisher.'),
  })
  .describe('The definition of a Portolan bundle: bundle.yaml.');

export type RawDefinition = z.output<typeof definitionSchema>;

/** The JSON Schema of what a person writes (draft 2020-12). */
export function definitionJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(definitionSchema, { io: 'input' }) as Record<string, unknown>;
}

/** The text of docs/schema/bundle.schema.json. */
export function definitionJsonSchemaText(): string {
  const { $schema, ...rest } = definitionJsonSchema();
  const schema = { $schema, $id: 'urn:portolan:schema:bundle:v1', title: 'bundle.yaml of Portolan', ...rest };
  return `${JSON.stringify(schema, null, 2)}\n`;
}
