import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TargetState } from '../../src/ports/target-state.ts';
import { raised } from './raised.ts';

export interface TargetStateSubject {
  /** Empty, and of the running test alone. */
  open(): Promise<{
    readonly state: TargetState;
    /** The same place, as another program sees it. */
    readonly again: () => Promise<TargetState>;
    /** Text of a module (ESM) that takes the lock as `holder`, prints `locked`, and stays until it is killed. */
    readonly holderScript: (holder: string) => string;
  }>;
}

/** What every TargetState must do. */
export function targetStateSuite(subject: TargetStateSubject): void {
  describe('documents', () => {
    test('are there as they were written, for every reader, until they are removed', async () => {
      const { state, again } = await subject.open();
      expect(await state.list('')).toEqual([]);
      expect(await state.read('key')).toBeUndefined();
      const bytes = Uint8Array.from({ length: 70_000 }, (_, index) => (index * 31) & 255);
      await state.write('bundle.cms', bytes);
      await state.write('key', new Uint8Array());
      await state.write('bundle.a-1', Uint8Array.of(0, 255));
      const other = await again();
      expect(Buffer.from((await other.read('bundle.cms')) ?? []).equals(bytes)).toBe(true);
      expect(await other.read('key')).toHaveLength(0);
      expect(await other.list('')).toEqual(['bundle.a-1', 'bundle.cms', 'key']);
      expect(await other.list('bundle.')).toEqual(['bundle.a-1', 'bundle.cms']);
      expect(await other.remove('bundle.cms')).toBe(true);
      expect(await state.remove('bundle.cms')).toBe(false);
      expect(await state.read('bundle.cms')).toBeUndefined();
    });

    test('the last write counts, whatever the bytes', async () => {
      const { state } = await subject.open();
      const content = fc.uint8Array({ maxLength: 2000 });
      await fc.assert(
        fc.asyncProperty(content, async (bytes) => {
          await state.write('bundle.cms', bytes);
          expect(Buffer.from((await state.read('bundle.cms')) ?? [1]).equals(bytes)).toBe(true);
        }),
        { numRuns: 20 },
      );
    });

    test('may be as large as agreed, and no larger', async () => {
      const { state } = await subject.open();
      const largest = new Uint8Array(900 * 1024).fill(7);
      await state.write('bundle.cms', largest);
      expect(await state.read('bundle.cms')).toHaveLength(largest.length);
      const larger = new Uint8Array(largest.length + 1);
      expect(await raised(() => state.write('bundle.cms', larger))).toMatchObject({ code: 'TARGET_STATE_TOO_LARGE' });
      expect(await state.read('bundle.cms')).toHaveLength(largest.length);
    });

    test.each(['', '.a', 'A', 'a/b', '../a', 'a..b', 'a.', 'a_b', 'a'.repeat(201)])('no name: %j', async (name) => {
      const { state } = await subject.open();
      await expect(state.write(name, Uint8Array.of(1))).rejects.toThrow(TypeError);
      await expect(state.read(name)).rejects.toThrow(TypeError);
    });
  });

  describe('the lock', () => {
    test('is held by one, and free again afterwards', async () => {
      const { state, again } = await subject.open();
      const other = await again();
      {
        await using lock = await state.lock('import of cms', { waitMs: 0 });
        expect(lock.signal.aborted).toBe(false);
        const error = await raised(() => other.lock('second', { waitMs: 0 }));
        expect(error).toMatchObject({ name: 'AdapterError', code: 'TARGET_LOCKED' });
        expect(String(error.found)).toContain('import of cms');
        expect(String(error.found)).toContain(String(process.pid));
      }
      await using _lock = await other.lock('second', { waitMs: 0 });
    });

    test('a second one waits, told once whom for, and gets it then', async () => {
      const { state, again } = await subject.open();
      const other = await again();
      const told: string[] = [];
      const first = await state.lock('first', { waitMs: 0 });
      const { promise: waiting, resolve: onWaiting } = Promise.withResolvers<void>();
      const second = other.lock('second', {
        waitMs: 60_000,
        onWait: (holder) => {
          told.push(holder);
          onWaiting();
        },
      });
      await waiting;
      await first[Symbol.asyncDispose]();
      await using _lock = await second;
      expect(told).toHaveLength(1);
      expect(told[0]).toContain('first');
    });

    test('waiting can be given up', async () => {
      const { state, again } = await subject.open();
      await using _lock = await state.lock('first', { waitMs: 0 });
      const stop = new AbortController();
      const reason = new Error('stopped by a person');
      const onWait = () => stop.abort(reason);
      const second = (await again()).lock('second', { waitMs: 60_000, onWait, signal: stop.signal });
      await expect(second).rejects.toBe(reason);
    });

    test('of many that want it at once each gets it alone', async () => {
      const { state, again } = await subject.open();
      const others = await Promise.all(Array.from({ length: 5 }, () => again()));
      let holders = 0;
      let most = 0;
      const run = async (one: TargetState, index: number): Promise<void> => {
        await using _lock = await one.lock(`run ${index}`, { waitMs: 60_000 });
        holders += 1;
        most = Math.max(most, holders);
        await one.write('bundle.cms', Uint8Array.of(index));
        holders -= 1;
      };
      await Promise.all([state, ...others].map(run));
      expect(most).toBe(1);
    });

    test('of a process that was killed is taken over at once', async () => {
      const { state, holderScript } = await subject.open();
      const child = spawn(process.execPath, ['--input-type=module', '--eval', holderScript('killed run')], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [line] = (await once(child.stdout, 'data')) as [Buffer];
      expect(line.toString()).toBe('locked\n');
      expect(await raised(() => state.lock('next', { waitMs: 0 }))).toMatchObject({ code: 'TARGET_LOCKED' });
      child.kill('SIGKILL');
      await once(child, 'close');
      await using _lock = await state.lock('next', { waitMs: 0 });
    });
  });
}
