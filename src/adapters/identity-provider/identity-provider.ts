import type { IdentityProvider } from '../../ports/identity-provider.ts';
import { logInByBrowser } from './browser-login.ts';
import { connect } from './connection.ts';
import { logInOnDevice } from './device-login.ts';
import type { ExchangeSettings } from './exchange.ts';
import { fetchPublishedKeys } from './published-keys.ts';
import { rolesOfUsers } from './roles.ts';
import { fetchServiceToken } from './service-token.ts';

export interface IdentityProviderSettings extends ExchangeSettings {
  /** How long a person may take to log in; five minutes. */
  readonly loginTimeoutMs?: number;
}

const LOGIN_TIMEOUT_MS = 300_000;

/** An OpenID provider at its issuer, which is spelled as it spells it itself. Nothing is asked of it yet. */
export function createIdentityProvider(settings: IdentityProviderSettings): IdentityProvider {
  const connection = connect(settings);
  const limitMs = settings.loginTimeoutMs ?? LOGIN_TIMEOUT_MS;
  return {
    issuer: settings.issuer,
    serviceToken: (account, audience, { signal } = {}) => fetchServiceToken(connection, account, audience, signal),
    logIn: (request, { signal } = {}) => logInByBrowser(connection, request, { signal, limitMs }),
    logInByDevice: (request, { signal } = {}) => logInOnDevice(connection, request, { signal, limitMs }),
    rolesOf: (query, { signal } = {}) => rolesOfUsers(connection, query, signal),
    publishedKeys: ({ signal } = {}) => fetchPublishedKeys(connection, signal),
    close: () => connection.exchange.close(),
  };
}
