import { spawn } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { childEnds, collectOutput, killGroup } from '../../../src/adapters/processes/child.ts';

async function* streamOf(parts: readonly Uint8Array[]): AsyncGenerator<Buffer> {
  for (const part of parts) yield Buffer.from(part);
}

describe('what a program prints', () => {
  const texts = fc.array(
    fc.string({ unit: 'binary-ascii', maxLength: 20 }).map((text) => Buffer.from(text)),
    { maxLength: 20 },
  );

  it('is kept as far as the limit goes, from the start or the end, and the first overflow is told once', async () => {
    await fc.assert(
      fc.asyncProperty(
        texts,
        fc.integer({ min: 1, max: 60 }),
        fc.constantFrom('start', 'end'),
        async (parts, limit, keep) => {
          const whole = Buffer.concat(parts).toString();
          let told = 0;
          const onOverflow = () => {
            told += 1;
          };
          const { text, overflowed } = await collectOutput(streamOf(parts), limit, { keep, onOverflow });
          expect(text).toBe(keep === 'start' ? whole.slice(0, limit) : whole.slice(-limit));
          expect(overflowed).toBe(whole.length > limit);
          expect(told).toBe(overflowed ? 1 : 0);
        },
      ),
    );
  });

  it('is what came before the pipe broke', async () => {
    async function* broken() {
      yield Buffer.from('half');
      throw new Error('the pipe broke');
    }
    expect(await collectOutput(broken(), 100)).toEqual({ text: 'half', overflowed: false });
  });
});

describe('how a program ends', () => {
  it('is told by its status, by the signal, or by why it did not start', async () => {
    expect(await childEnds(spawn('sh', ['-c', 'exit 3'])).closed).toEqual({ status: 3, signal: null });
    const child = spawn('sh', ['-c', 'sleep 60 & wait'], { detached: true });
    const { closed } = childEnds(child);
    killGroup(child.pid);
    expect(await closed).toEqual({ status: null, signal: 'SIGKILL' });
    expect(await childEnds(spawn('/no/such/program')).failed).toMatchObject({ code: 'ENOENT' });
    killGroup(undefined);
  });
});
