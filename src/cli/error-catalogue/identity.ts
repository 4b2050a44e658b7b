import type { Explanations } from './explanation.ts';

/** Of the identity provider, of service accounts, and of logins. */
export const IDENTITY = {
  IDENTITY_PROVIDER_UNREACHABLE: {
    status: 1,
    meaning:
      'The identity provider could not be reached, did not answer in time, or failed itself, more often than it was tried again.',
    remedy:
      'Check that it runs, the network, the name server and the proxy settings, and run the command again. A restore needs no identity provider with --break-glass.',
  },
  IDENTITY_PROVIDER_UNTRUSTED: {
    status: 1,
    meaning: "The identity provider's certificate is not trusted, or its port does not speak TLS.",
    remedy:
      'Give the certificate authority with --ca-file, and compare the issuer in the root with the name for which the certificate was issued.',
  },
  IDENTITY_PROVIDER_REFUSED: {
    status: 1,
    meaning:
      'The identity provider answered that it will not do this. ZITADEL answers HTTP 500 to every assertion of a service account that it does not take: for an unknown or expired key, an inactive user, another spelling of the issuer, and clocks that differ.',
    remedy:
      "Read the provider's own word in the message. For a service account: compare the clocks, look in ZITADEL whether the user and its key are there and active, and compare the issuer in the root with the one that the provider calls itself.",
  },
  IDENTITY_PROVIDER_PROTOCOL: {
    status: 1,
    meaning:
      'The identity provider gave an answer that no OpenID provider gives, or calls itself by another name than the root does.',
    remedy:
      'Check the issuer in the root: it must be spelled as in its .well-known/openid-configuration, without a slash at the end. Where times in a token do not fit, compare the clock of this machine with that of the provider.',
  },
  IDENTITY_ROLES_HIDDEN: {
    status: 1,
    meaning:
      'The service account may not see the users and their roles at the identity provider, so nobody can be said to have lost a role.',
    remedy: 'Make the service user a manager of the organization with the role "Org Owner Viewer" in ZITADEL.',
  },
  SERVICE_KEY_INVALID: {
    status: 2,
    meaning:
      'The file is not the key of a service account as ZITADEL hands it out, or not a file with one line, the secret.',
    remedy:
      'Make a new key of the kind JSON for the service user in ZITADEL, or a new client secret, and give the file as it is.',
  },
  ACCESS_TOKEN_OPAQUE: {
    status: 1,
    meaning: 'The identity provider gave the service account an opaque access token, which no storage can check.',
    remedy: 'Set the access token type of the service user to JWT in ZITADEL.',
  },
  ACCESS_TOKEN_AUDIENCE_WRONG: {
    status: 1,
    meaning: 'The access token of the service account is not meant for the project whose audience the storage trusts.',
    remedy: 'Check the storage project in the root against the id of the project in ZITADEL.',
  },
  LOGIN_REFUSED: {
    status: 1,
    meaning: 'The person gave the login up, or the identity provider does not let them in.',
    remedy: 'Run the command again and log in. If it is refused again, ask who looks after the identity provider.',
  },
  LOGIN_TIMEOUT: {
    status: 1,
    meaning: 'Nobody finished the login within five minutes, or before its code ran out.',
    remedy: 'Run the command again, and log in at once.',
  },
  LOGIN_ADDRESS_INVALID: {
    status: 2,
    meaning: 'What was pasted is not the address to which the browser was led after this login.',
    remedy:
      'Run the command again, log in, and copy the whole address out of the address line of the browser, although the page cannot be shown.',
  },
  IDENTITY_AMBIGUOUS: {
    status: 2,
    meaning: 'The file that is enrolled holds several identities, and one is enrolled at a time.',
    remedy: 'Give a file with one identity, or make a new one with --identity-out.',
  },
  LOGIN_NEEDED: {
    status: 1,
    meaning: 'Nobody is logged in on this machine at the issuer that the root pins, or the login has ended.',
    remedy: 'Run `portolan login`. Where the identity provider is lost, a restore goes on with --break-glass.',
  },
} as const satisfies Explanations;
