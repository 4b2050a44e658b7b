/**
 * An OpenID provider, ZITADEL above all: tokens of service accounts, logins of people, and who holds a role now. Tokens are only ever
 * in memory. What an ID token says is checked by formats/identity with what the root pins, and never by what the provider says here.
 *
 * Every method rejects with AdapterError IDENTITY_PROVIDER_UNREACHABLE (no answer, or 5xx, more often than it was tried again),
 * IDENTITY_PROVIDER_UNTRUSTED (its certificate), IDENTITY_PROVIDER_REFUSED (it answered that it will not, as far as known with the
 * reason), IDENTITY_PROVIDER_PROTOCOL (an answer that no such provider gives); and with `signal.reason` after an abort.
 */
export interface IdentityProvider {
  /** Its issuer, for messages and for comparison with the root. */
  readonly issuer: string;
  /** @throws AdapterError ACCESS_TOKEN_OPAQUE, ACCESS_TOKEN_AUDIENCE_WRONG when it is for a storage */
  serviceToken(account: ServiceAccount, audience: TokenAudience, options?: IdentityOptions): Promise<ServiceToken>;
  /** With a browser on this machine, or on another one. @throws AdapterError LOGIN_REFUSED, LOGIN_TIMEOUT, LOGIN_ADDRESS_INVALID */
  logIn(request: BrowserLoginRequest, options?: IdentityOptions): Promise<Login>;
  /** On a terminal without a browser (RFC 8628). @throws AdapterError LOGIN_REFUSED, LOGIN_TIMEOUT */
  logInByDevice(request: DeviceLoginRequest, options?: IdentityOptions): Promise<Login>;
  /**
   * Of each user, whether they may log in and hold a role of a project now. By ZITADEL's API.
   *
   * @throws AdapterError IDENTITY_ROLES_HIDDEN when the account may not see any of them
   */
  rolesOf(query: RolesQuery, options?: IdentityOptions): Promise<ReadonlyMap<string, RoleStanding>>;
  /** The keys that it publishes now, as far as they sign. */
  publishedKeys(options?: IdentityOptions): Promise<readonly PublishedKey[]>;
  /** Ends connections. */
  close(): Promise<void>;
}

export interface IdentityOptions {
  readonly signal?: AbortSignal;
}

/** A service user of ZITADEL: by its key (JWT profile, RFC 7523), or by its name and secret. */
export type ServiceAccount =
  | { readonly kind: 'key'; readonly keyId: string; readonly userId: string; readonly privateKey: PrivateKeyPem }
  | { readonly kind: 'secret'; readonly clientId: string; readonly clientSecret: string };

/** Unencrypted, PKCS #1 or #8. */
export type PrivateKeyPem = string;

/** What a token is for: a storage that trusts the audience of a project, or the provider's own API. */
export type TokenAudience =
  | { readonly kind: 'storage' /** Project id. */; readonly project: string }
  | { readonly kind: 'api' };

export interface ServiceToken {
  readonly token: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

interface LoginRequest {
  /** Id of a public client. */
  readonly client: string;
  readonly scopes: readonly string[];
}

export interface BrowserLoginRequest extends LoginRequest {
  /** Echoed in the ID token. */
  readonly nonce: string;
  /** The person logs in anew, whatever session the browser has. */
  readonly fresh: boolean;
  /**
   * `open`: the browser is led to this machine; the function is given the address to open. `paste`: shows the address, and gives back
   * the one to which the browser was led.
   */
  readonly browser:
    | { readonly kind: 'open'; readonly open: (address: string) => Promise<void> }
    | { readonly kind: 'paste'; readonly ask: (address: string) => Promise<string> };
}

export interface DeviceLoginRequest extends LoginRequest {
  readonly show: (prompt: DevicePrompt) => void;
}

export interface DevicePrompt {
  /** Where the person types the code. */
  readonly address: string;
  readonly code: string;
  /** With the code in it. */
  readonly completeAddress: string | undefined;
}

export interface Login {
  /** Checked by nobody yet. */
  readonly idToken: string;
}

export interface RolesQuery {
  readonly account: ServiceAccount;
  /** User ids. */
  readonly subjects: readonly string[];
  /** Project id. */
  readonly project: string;
  readonly role: string;
  /** Id of the only organization whose grant counts. */
  readonly organization?: string | undefined;
}

/** `gone`: deactivated, locked, deleted, or not to be seen. */
export type RoleStanding = 'holds' | 'lost' | 'gone';

export interface PublishedKey {
  readonly kid: string;
  /** Base64 of SubjectPublicKeyInfo in DER. */
  readonly publicKey: string;
  /** As JWS names it: `RS256`. */
  readonly algorithm: string;
}
