import type { RequestTarget } from './failure.ts';

const ACTIONS = { pull: ['pull'], push: ['pull', 'push'], delete: ['pull', 'delete'] } as const;

/**
 * What a token is asked for (distribution's "Token Scope Documentation": `repository:NAME:ACTION,ACTION`). The challenge
 * knows the repository's true name, which may be another one behind a proxy; we know what comes after this request: a HEAD
 * that is answered for `pull` is followed by an upload, and one token serves both.
 */
export function scopesFor(target: RequestTarget, offered: string | undefined): readonly string[] {
  const access = target.access ?? 'pull';
  const given = (offered ?? '').split(' ').filter((scope) => scope !== '');
  if (access === 'pull') return given.length > 0 ? given : [`repository:${target.repository}:pull`];
  const scopes = new Map<string, Set<string>>();
  for (const scope of given) {
    const colon = scope.lastIndexOf(':');
    scopes.set(scope.slice(0, colon), new Set(scope.slice(colon + 1).split(',')));
  }
  const source = target.mountFrom === undefined ? undefined : `repository:${target.mountFrom}`;
  const own = [...scopes.keys()].find((resource) => resource.startsWith('repository') && resource !== source);
  add(scopes, own ?? `repository:${target.repository}`, ACTIONS[access]);
  if (source !== undefined) add(scopes, source, ACTIONS.pull);
  return [...scopes].map(([resource, actions]) => `${resource}:${[...actions].join(',')}`);
}

function add(scopes: Map<string, Set<string>>, resource: string, actions: readonly string[]): void {
  scopes.set(resource, new Set([...(scopes.get(resource) ?? []), ...actions]));
}
