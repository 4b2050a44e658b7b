import type { VerifiedIdToken } from '../../formats/identity/id-token.ts';

/** Who is logged in, for a person. */
export function sessionText({ subject, issuer, roles, authenticatedAt, expiresAt }: VerifiedIdToken): string {
  const lines: readonly (readonly [string, string])[] = [
    ['user', subject],
    ['issuer', issuer],
    ['roles', roles.join(', ')],
    ...(authenticatedAt === undefined ? [] : [['logged in', minute(authenticatedAt)] as const]),
    ['until', minute(expiresAt)],
  ];
  return lines.map(([name, value]) => `${name.padEnd(10)}${value}`).join('\n');
}

function minute(time: Date): string {
  return `${time.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
