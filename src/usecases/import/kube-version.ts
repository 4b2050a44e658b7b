import semver from 'semver';

/** How a cluster's version stands to `kubeVersion` of Chart.yaml. */
export type VersionFit = 'fits' | 'too-old' | 'too-new' | 'unknown';

/**
 * As helm compares them: what distributions append to the version (`-gke.100`, `+k3s1`) does not count; `,` and blanks mean
 * "and", `||` means "or". `unknown` for a range that cannot be read here: helm has the last word when it renders.
 */
export function versionFit(gitVersion: string, range: string): VersionFit {
  const version = /^v?(\d+\.\d+\.\d+)/.exec(gitVersion)?.[1];
  if (version === undefined) return 'unknown';
  const alternatives = range.split('||').map((text) => text.replaceAll(',', ' ').trim());
  const fits = alternatives.map((alternative) => fitOf(version, alternative));
  for (const fit of ['fits', 'unknown', 'too-old'] as const) if (fits.includes(fit)) return fit;
  return 'too-new';
}

function fitOf(version: string, alternative: string): VersionFit {
  // npm's ranges have no `!=`.
  const excluded = [...alternative.matchAll(/!=\s*(\S+)/g)].map(([, text]) => text as string);
  const range = alternative
    .replace(/!=\s*\S+/g, ' ')
    .replaceAll('=>', '>=')
    .replaceAll('=<', '<=')
    .trim();
  if (semver.validRange(range) === null || excluded.some((text) => semver.validRange(text) === null)) return 'unknown';
  if (excluded.some((text) => semver.satisfies(version, text))) return 'too-old';
  if (semver.satisfies(version, range)) return 'fits';
  return semver.gtr(version, range) ? 'too-new' : 'too-old';
}
