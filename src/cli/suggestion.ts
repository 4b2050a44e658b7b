import { closest, distance } from 'fastest-levenshtein';

/** The candidate that `word` was most likely meant to be; undefined when none is near. */
export function closestTo(word: string, candidates: readonly string[]): string | undefined {
  if (candidates.length === 0) return undefined;
  const lower = word.toLowerCase();
  const best = closest(
    lower,
    candidates.map((candidate) => candidate.toLowerCase()),
  );
  const found = candidates.find((candidate) => candidate.toLowerCase() === best);
  return distance(lower, best) <= Math.max(1, Math.floor((best.length + 1) / 3)) ? found : undefined;
}
