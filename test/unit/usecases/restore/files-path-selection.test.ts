import { expect, test } from 'vitest';
import { createPathSelection } from '../../../../src/usecases/restore/files/path-selection.ts';

test.each([{ paths: [] }, { paths: ['.'] }, { paths: ['./'] }, { paths: ['/'] }])(
  '$paths are everything',
  ({ paths }) => {
    const selection = createPathSelection(paths);
    expect(['.', 'a', 'a/b'].map(selection.has)).toEqual([true, true, true]);
    selection.requireUsed();
  },
);

test('a path is itself and what is below, and its folders lead to it', () => {
  const selection = createPathSelection(['./a/b/', 'c']);
  expect(['a/b', 'a/b/x', 'c', 'c/d'].map(selection.has)).toEqual([true, true, true, true]);
  expect(['.', 'a', 'a/bb', 'a/c', 'cc'].map(selection.has)).toEqual([false, false, false, false, false]);
  expect(['.', 'a'].map(selection.leadsTo)).toEqual([true, true]);
  expect(['a/bb', 'c', 'b'].map(selection.leadsTo)).toEqual([false, false, false]);
  selection.requireUsed();
});

test('a path that nothing has is told', () => {
  const selection = createPathSelection(['a', 'b']);
  selection.has('a');
  expect(() => selection.requireUsed()).toThrow(expect.objectContaining({ code: 'RESTORE_NAME_UNKNOWN' }));
});
