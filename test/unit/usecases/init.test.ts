import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeDefinition } from '../../../src/formats/bundle/definition.ts';
import { initBundle } from '../../../src/usecases/bundle/init.ts';
import { exampleFiles } from '../../../src/usecases/bundle/init-example.ts';
import { createProjectFixture, type ProjectFixture } from '../../support/project-fixture.ts';
import { raisedCodes } from '../../support/raised.ts';

let project: ProjectFixture;
beforeEach(async () => {
  project = await createProjectFixture();
});
afterEach(() => project.dispose());

const init = (folder: string) => initBundle(project.path(folder), project.dependencies.files);

describe('bundle init', () => {
  it('writes a definition that is right, under the name of its folder, and names no image', async () => {
    const { written } = await init('My bundle');
    expect(written.at(-1)).toBe('bundle.yaml');
    const text = Buffer.from(
      await project.dependencies.files.read(project.path('My bundle/bundle.yaml'), 1e6),
    ).toString();
    const { definition } = decodeDefinition(text, 'bundle.yaml');
    expect(definition.name).toBe('my-bundle');
    expect(definition.images.list).toEqual([]);
    expect(definition.modules).toHaveLength(2);
  });

  it('overwrites nothing, and writes nothing when it stops', async () => {
    await project.write({
      'x/values/k3s.yaml': 'mine: true\n',
      'y/bundle.yaml': 'mine',
      'z/charts/example/Chart.yaml/a': '',
    });
    const before = await project.snapshot();
    for (const folder of ['x', 'y', 'z']) {
      expect(await raisedCodes(() => init(folder))).toEqual(['UseCaseError ALREADY_THERE']);
    }
    await init('new');
    expect(await raisedCodes(() => init('new'))).toEqual(['UseCaseError ALREADY_THERE']);
    expect(await project.snapshot()).toMatchObject(before);
  });

  it('goes on where it was interrupted', async () => {
    const [first, second] = exampleFiles('half');
    await project.write({ [`half/${first?.path}`]: first?.text ?? '', [`half/${second?.path}`]: second?.text ?? '' });
    const { written } = await init('half');
    expect(written).toEqual(
      exampleFiles('half')
        .slice(2)
        .map(({ path }) => path),
    );
  });
});
