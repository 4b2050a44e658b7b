import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sortModuleFiles } from '../../../../src/formats/migration/module-files.ts';
import { orderByRequirements } from '../../../../src/formats/migration/module-order.ts';
import { raisedCodes } from '../../../support/raised.ts';

describe('the files of a module', () => {
  it('stand in numeric order', () => {
    const names = ['10_c.sql', '2_b.contract.sql', '20240101120000_d.sql', '1_a.sql'];
    const sorted = sortModuleFiles(names, 'm');
    expect(sorted.map(({ name }) => name)).toEqual(['1_a.sql', '2_b.contract.sql', '10_c.sql', '20240101120000_d.sql']);
    expect(sorted.map(({ isContract }) => isContract)).toEqual([false, true, false, false]);
  });

  it('are all named when they are wrong', async () => {
    const names = [
      '1_a.sql',
      '01_b.sql',
      'README.md',
      '3.sql',
      '4_x.txt',
      '5_a b.sql',
      '-6_a.sql',
      '7_x.contract.contract.sql',
    ];
    const codes = await raisedCodes(() => sortModuleFiles(names, 'm'));
    expect(codes).toEqual(['FormatError DUPLICATE', ...Array(6).fill('FormatError MODULE_INVALID')]);
  });
});

describe('the order of modules', () => {
  it('is that of the definition where nothing is required', () => {
    const items = ['b', 'a', 'c'].map((name) => ({ name, requires: [] }));
    expect(orderByRequirements(items)).toEqual({ kind: 'ordered', items });
  });

  it('names what is missing, and a loop of one', () => {
    expect(orderByRequirements([{ name: 'a', requires: ['b'] }])).toMatchObject({ kind: 'missing', name: 'b' });
    expect(orderByRequirements([{ name: 'a', requires: ['a'] }])).toEqual({ kind: 'cycle', loop: ['a', 'a'] });
  });

  it('puts each after what it requires, or shows a loop that is one', () => {
    const graph = fc.array(fc.array(fc.nat(5), { maxLength: 3 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(graph, (edges) => {
        const items = edges.map((to, index) => ({
          name: `m${index}`,
          requires: to.filter((other) => other < edges.length).map((other) => `m${other}`),
        }));
        const order = orderByRequirements(items);
        if (order.kind === 'ordered') {
          const place = new Map(order.items.map(({ name }, index) => [name, index]));
          expect(place.size).toBe(items.length);
          for (const { name, requires } of items) {
            for (const other of requires) expect(place.get(other)).toBeLessThan(place.get(name) as number);
          }
        } else if (order.kind === 'cycle') {
          expect(order.loop[0]).toBe(order.loop.at(-1));
          for (const [index, name] of order.loop.slice(0, -1).entries()) {
            expect(items.find((item) => item.name === name)?.requires).toContain(order.loop[index + 1]);
          }
        } else throw new Error('every module is there');
      }),
    );
  });
});
