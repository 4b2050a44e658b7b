import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { pack } from 'tar-stream';
import { expect, it } from 'vitest';
import { decodeDefinition } from '../../src/formats/bundle/definition.ts';
import { decodeLock } from '../../src/formats/bundle/lock.ts';
import { FormatError } from '../../src/formats/errors.ts';
import { inspectChartArchive } from '../../src/formats/helm/chart-archive.ts';
import { decodeChartYaml } from '../../src/formats/helm/chart-yaml.ts';
import { discoverImages } from '../../src/formats/helm/discovery.ts';
import { decodeHelmignore } from '../../src/formats/helm/helmignore.ts';
import { decodeValues } from '../../src/formats/helm/yaml.ts';
import { exampleFiles } from '../../src/usecases/bundle/init-example.ts';

/** Every decoder of the publisher's side either answers or raises its own error, whatever it is given. */
const RUNS = 20_000;

const seeds = exampleFiles('example').map(({ text }) => text);
const text = fc
  .tuple(
    fc.constantFrom(...seeds),
    fc.array(
      fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(30), fc.string({ maxLength: 12, unit: 'binary' })),
      { maxLength: 6 },
    ),
  )
  .map(([seed, edits]) =>
    edits.reduce((now, [at, cut, put]) => {
      const offset = Math.floor(at * now.length);
      return now.slice(0, offset) + put + now.slice(offset + cut);
    }, seed),
  );

const decoders: [string, (input: string) => unknown][] = [
  ['bundle.yaml', (input) => decodeDefinition(input, 'f')],
  ['bundle.lock.json', (input) => decodeLock(input, 'f')],
  ['Chart.yaml', (input) => decodeChartYaml(input, 'f')],
  ['values', (input) => decodeValues(input, 'f')],
  ['.helmignore', (input) => decodeHelmignore(input, 'f').ignores('templates/a.yaml', false)],
  ['rendered charts', (input) => discoverImages(input, 'f', [{ kind: 'ConfigMap', path: 'data.greeting' }])],
];

it.each(decoders)('%s', (_, decode) => {
  fc.assert(
    fc.property(text, (input) => {
      try {
        decode(input);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
      }
    }),
    { numRuns: RUNS },
  );
});

it('packaged charts', async () => {
  const tar = pack();
  for (const { path, text: content } of exampleFiles('example')) {
    if (path.startsWith('charts/')) tar.entry({ name: path.slice('charts/'.length) }, content);
  }
  tar.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar as AsyncIterable<Uint8Array>) chunks.push(chunk);
  const archive = Buffer.concat(chunks);
  const flips = fc.array(fc.tuple(fc.nat(archive.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(flips, fc.nat(archive.length), async (changes, length) => {
      const bytes = Buffer.from(archive.subarray(0, length));
      for (const [at, value] of changes) if (at < length) bytes[at] = value;
      const source = (async function* () {
        yield gzipSync(bytes, { level: 1 });
      })();
      await inspectChartArchive(source, 'f').catch((error) => expect(error).toBeInstanceOf(FormatError));
    }),
    { numRuns: RUNS / 4 },
  );
});
