/**
 * `WWW-Authenticate`, as registries send it (RFC 9110 section 11.6.1; for Bearer RFC 6750 and Docker's token specification):
 *
 *     Bearer realm="https://auth.example/token",service="registry.example",scope="repository:cms/web:pull"
 *     Basic realm="registry"
 */
export interface Challenge {
  /** Lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

const MAX_HEADER_LENGTH = 8192;
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const PARAMETER = new RegExp(`^(${TOKEN})[ \\t]*=[ \\t]*(?:"((?:[^"\\\\]|\\\\.)*)"|(${TOKEN}))`);
const SCHEME = new RegExp(`^(${TOKEN})(?:[ \\t]+|$|(?=,))`);

/** All challenges of one header, or of several. What cannot be read ends that header; a header too long has none. */
export function parseChallenges(header: string | readonly string[] | undefined): readonly Challenge[] {
  const headers = header === undefined ? [] : typeof header === 'string' ? [header] : header;
  return headers.filter((text) => text.length <= MAX_HEADER_LENGTH).flatMap(parseOne);
}

function parseOne(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let rest = header;
  for (;;) {
    rest = rest.replace(/^[ \t,]+/, '');
    const parameter = PARAMETER.exec(rest);
    if (parameter && challenges.length > 0) {
      const value = parameter[2]?.replace(/\\(.)/g, '$1') ?? parameter[3] ?? '';
      const { parameters } = challenges[challenges.length - 1] as { parameters: Map<string, string> };
      const name = (parameter[1] ?? '').toLowerCase();
      // The first value stands: a second realm must not replace the one that was read.
      if (!parameters.has(name)) parameters.set(name, value);
      rest = rest.slice(parameter[0].length);
      continue;
    }
    const scheme = parameter ? null : SCHEME.exec(rest);
    if (!scheme?.[1]) return challenges;
    challenges.push({ scheme: scheme[1].toLowerCase(), parameters: new Map() });
    rest = rest.slice(scheme[0].length);
  }
}
