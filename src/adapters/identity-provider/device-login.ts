import type { DeviceLoginRequest, Login } from '../../ports/identity-provider.ts';
import { AdapterError } from '../errors.ts';
import { loginOf } from './browser-login.ts';
import type { Connection } from './connection.ts';
import { attempt, loginTimeout } from './failure.ts';

/** The device flow (RFC 8628): the library asks no oftener than the provider wants, and slower when it says so. */
export async function logInOnDevice(
  connection: Connection,
  request: DeviceLoginRequest,
  { signal, limitMs }: { readonly signal: AbortSignal | undefined; readonly limitMs: number },
): Promise<Login> {
  const { issuer } = connection;
  if ((await connection.metadata(signal)).device_authorization_endpoint === undefined) {
    throw new AdapterError('IDENTITY_PROVIDER_REFUSED', `${issuer}: the identity provider has no login by device`, {
      at: { url: issuer },
      hint: 'Log in with a browser: leave --device out.',
    });
  }
  return attempt(connection, { what: 'the login', signal }, async () => {
    const { library, configuration } = await connection.client({ id: request.client, signal });
    const answer = await library.initiateDeviceAuthorization(configuration, { scope: request.scopes.join(' ') });
    request.show({
      address: answer.verification_uri,
      code: answer.user_code,
      completeAddress: answer.verification_uri_complete,
    });
    const limit = AbortSignal.timeout(Math.min(limitMs, answer.expires_in * 1000));
    const stop = signal === undefined ? limit : AbortSignal.any([signal, limit]);
    try {
      const tokens = await library.pollDeviceAuthorizationGrant(configuration, answer, {}, { signal: stop });
      return loginOf(tokens, issuer);
    } catch (error) {
      throw limit.aborted ? loginTimeout(issuer) : error;
    }
  });
}
