import { type Measured, measure, median } from './measure.ts';

/** A command that is measured, and what is done before and after it without being measured. */
export interface Case {
  readonly name: string;
  readonly before?: () => Promise<unknown>;
  /** Told when it is known: a server of this round may have another port. */
  readonly command: () => string;
  readonly env?: Readonly<Record<string, string>>;
  /** Folders in which nothing may be left that is not meant to be there: see Measured.filesMib. */
  readonly folders?: readonly string[];
  readonly after?: () => Promise<unknown>;
}

export interface Results {
  seconds(name: string): number;
  cpuSeconds(name: string): number;
  peakMib(name: string): number;
  largestMib(name: string): number;
  filesMib(name: string): number;
}

/** All cases in turn, a first round that is not counted, then `runs` rounds. */
export async function runCases(cases: readonly Case[], runs: number): Promise<Results> {
  const results = new Map<string, Measured[]>(cases.map(({ name }) => [name, []]));
  for (let round = 0; round <= runs; round++) {
    for (const { name, before, command, env = {}, folders = [], after } of cases) {
      await before?.();
      const measured = await measure(command(), { env, folders });
      await after?.();
      if (round > 0) results.get(name)?.push(measured);
      const when = round === 0 ? 'warm-up' : `run ${round}`;
      process.stderr.write(`${when}  ${name.padEnd(34)} ${measured.seconds.toFixed(2)} s\n`);
    }
  }
  const most = (name: string, of: (one: Measured) => number) => Math.max(...(results.get(name) ?? []).map(of));
  return {
    seconds: (name) => median((results.get(name) ?? []).map((one) => one.seconds)),
    cpuSeconds: (name) => median((results.get(name) ?? []).map((one) => one.cpuSeconds)),
    peakMib: (name) => most(name, (one) => one.peakMib),
    largestMib: (name) => most(name, (one) => one.largestMib),
    filesMib: (name) => most(name, (one) => one.filesMib),
  };
}

export function ratioLine(what: string, found: number, limit?: number): string {
  return `${what.padEnd(62)} ${found.toFixed(3).padStart(9)} ${limit === undefined ? '' : limit.toFixed(2).padStart(9)}`;
}

export const RATIO_TITLE = 'ratio                                                              found   at most';
