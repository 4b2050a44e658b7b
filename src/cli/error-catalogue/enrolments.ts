import type { Explanations } from './explanation.ts';

/** Of readers who enrol by the identity provider, and of approvers who let them in. */
export const ENROLMENTS = {
  ID_TOKEN_INVALID: {
    status: 3,
    meaning:
      'The ID token of an enrolment or of a login is cut, damaged, or not a token that an identity provider issues.',
    remedy:
      'Enrol or log in again. If it happens again, compare the token settings of the application in ZITADEL with the guide.',
  },
  ID_TOKEN_ALGORITHM_REFUSED: {
    status: 3,
    meaning:
      'An ID token is signed by an algorithm that is not that of the pinned key, such as none or an HMAC: the usual way to forge one.',
    remedy:
      'Do not use the token, and ask who sent it. If the issuer changed the algorithm of a key, edit the root and give it to everybody again.',
  },
  ID_TOKEN_KEY_UNKNOWN: {
    status: 3,
    meaning:
      'An ID token is signed by a key that the root does not pin: the issuer has a new key, or somebody else signed.',
    remedy:
      'Compare the thumbprint of the new key by another way, and take it into the root: `portolan keys init --update-keys` on the file.',
  },
  ID_TOKEN_KEY_OUT_OF_TIME: {
    status: 3,
    meaning: 'An ID token was issued before its key was in use, or after it was taken out of use.',
    remedy:
      'Enrol again. If the issuer still signs with that key, the root is wrong; if it does not, somebody has the old key: tell who runs the provider.',
  },
  ID_TOKEN_FORGED: {
    status: 3,
    meaning: 'The signature of an ID token does not fit the pinned key of the issuer.',
    remedy: 'Do not use the token: somebody altered it or made it up. Ask who sent it.',
  },
  ID_TOKEN_ISSUER_WRONG: {
    status: 3,
    meaning: 'An ID token names another issuer than the root does.',
    remedy: 'Enrol with the provider of the root. An issuer is compared letter by letter: https, port and slash count.',
  },
  ID_TOKEN_AUDIENCE_WRONG: {
    status: 3,
    meaning:
      'An ID token was issued for another client, or for others as well. One whose audience the storage trusts would be a credential for the storage.',
    remedy:
      'Give enrolment a project of its own in ZITADEL with one application, name its client id in the root, and enrol again.',
  },
  ID_TOKEN_NONCE_WRONG: {
    status: 3,
    meaning:
      'The ID token was issued for something else: another recipient, another repository, or another login. Its nonce commits to all three.',
    remedy:
      'Do not approve the enrolment. Let the person enrol again; if they say that they did it right, somebody replayed a token.',
  },
  ID_TOKEN_NOT_YET_VALID: {
    status: 3,
    meaning: 'An ID token is from the future, by the clock of this machine.',
    remedy: 'Compare the clock of this machine with that of the identity provider, and set the one that is wrong.',
  },
  ID_TOKEN_SECOND_FACTOR_MISSING: {
    status: 3,
    meaning: 'Whoever enrolled logged in with one factor alone.',
    remedy:
      'Set up a second factor or a passkey in ZITADEL, and enrol again. `secondFactors` of the root says what counts.',
  },
  ID_TOKEN_LOGIN_TOO_OLD: {
    status: 3,
    meaning:
      'The login behind an enrolment was long before the token: a session that somebody left open is no proof of a person.',
    remedy: 'Enrol again and log in anew. `maxLoginAgeSeconds` of the root says how old a login may be.',
  },
  ID_TOKEN_ROLE_MISSING: {
    status: 3,
    meaning: 'The ID token does not give the role that the root asks of readers, or another organization granted it.',
    remedy:
      'Grant the role in the project of the enrolment, and switch on "User roles inside ID Token" of its application in ZITADEL.',
  },
  ID_TOKEN_PROFILE_CLAIMS: {
    status: 3,
    meaning: 'The ID token of an enrolment says name, address or the like. Evidence is published, so it must not.',
    remedy: 'Switch off "User Info inside ID Token" of the enrolment application in ZITADEL, and enrol again.',
  },
  ENROLMENT_INVALID: {
    status: 3,
    meaning: 'A file is not an enrolment as `portolan keys enroll` writes it, or was altered.',
    remedy: 'Have it sent again, as a file and unchanged.',
  },
  ENROLMENT_TOO_OLD: {
    status: 3,
    meaning: 'An enrolment is older than a week by the clock of this machine: the person may have lost the role since.',
    remedy: 'Check the clock of this machine, and let the person enrol again.',
  },
  ENROLMENT_REVOKED: {
    status: 3,
    meaning:
      'The person or the recipient of this enrolment was on the roster and was taken off after the enrolment was made. It lets nobody in twice, and neither does another one of that time.',
    remedy: 'If the person is to read again, let them enrol again.',
  },
  ENROLMENT_KEY_ENDED: {
    status: 3,
    meaning:
      'An enrolment is signed by a key that the identity provider did not have any more when somebody was let in by it. Whoever has such a key can date what it signs back.',
    remedy:
      'Let the person enrol again. Where `keys verify` says it of a reader who is there, find out which approvers signed that epoch, take the reader off, and let them enrol again.',
  },
  ISSUER_NOT_PINNED: {
    status: 1,
    meaning: 'The trust file names no identity provider, so an enrolment cannot be checked.',
    remedy: 'Make a root with `portolan keys init`, and give it with --trust.',
  },
  CHALLENGE_INVALID: {
    status: 3,
    meaning: 'A file was opened and is not a challenge of an approver. Nothing of it was shown or answered.',
    remedy: 'Ask the approver for the file that --challenge-out wrote.',
  },
  CHALLENGE_FOREIGN: {
    status: 3,
    meaning:
      'A challenge is for another enrolment than the one that was given, or that one is of another identity. Nothing was answered.',
    remedy:
      'Give the enrolment that you made yourself. If it is that one, ask the approver by another way who enrolled: somebody may have enrolled with your recipient.',
  },
  CHALLENGE_ANSWER_INVALID: {
    status: 3,
    meaning: 'A file is not an answer to a challenge as `portolan keys enroll --challenge` writes it.',
    remedy: 'Have the answer sent again, as a file and unchanged.',
  },
  CHALLENGE_ANSWER_WRONG: {
    status: 3,
    meaning:
      'The answer does not fit the challenge: it is an older one’s, another approver’s, or of somebody who does not hold the identity.',
    remedy: 'Do not approve. Make a new challenge with --challenge-out, and have it answered again.',
  },
  CHALLENGE_MISSING: {
    status: 1,
    meaning:
      'This machine made no challenge for this enrolment and this change, so there is nothing to hold an answer against. An answer serves one signature.',
    remedy: 'Run `portolan keys approve` with --challenge-out first, on the same machine and with the same --state.',
  },
  EVIDENCE_TOO_EARLY: {
    status: 1,
    meaning:
      'The ID token of an enrolment has not expired, or not for every clock. It is published ten minutes afterwards, when nobody can use it any more.',
    remedy: 'Run the same command again after the time that the message names.',
  },
  EVIDENCE_MISMATCH: {
    status: 3,
    meaning: 'The roster says something else of a reader than the evidence does: another recipient, person or issuer.',
    remedy:
      'Find out which approvers signed that epoch. Take the reader off with `portolan keys revoke`, and let them enrol again.',
  },
  ROSTER_NAME_TAKEN: {
    status: 2,
    meaning: 'Somebody else on the roster has the name that the new reader was to have.',
    remedy: 'Give another --name.',
  },
  ROSTER_NEEDS_APPROVERS: {
    status: 1,
    meaning: 'A change of the roster needs the signatures of several approvers. Nothing was changed.',
    remedy:
      'Write it to a file with --proposal-out FILE. The others run `portolan keys approve --proposal FILE`; the last of them publishes it.',
  },
  PROPOSAL_INVALID: {
    status: 3,
    meaning: 'A file is not a proposal as --proposal-out writes it, or was altered.',
    remedy: 'Have it sent again, as a file and unchanged.',
  },
  PROPOSAL_OUTDATED: {
    status: 1,
    meaning:
      'A proposal follows another epoch than the newest: the roster was changed since it was made. Nothing was signed.',
    remedy: 'Look at the roster with `portolan keys list`, and make the proposal again if it is still wanted.',
  },
  PROPOSAL_REFUSED: {
    status: 3,
    meaning: 'A proposal asks for something that Portolan would not have made so. Nothing was signed.',
    remedy:
      'Ask who made it. If it is wanted all the same, make it again with `portolan keys approve` or `portolan keys revoke`.',
  },
  ISSUER_KEYS_DIFFER: {
    status: 3,
    meaning:
      'The identity provider, or the file that was given as --jwks, has other keys than the root. The root keeps its own: what came over a network may be somebody else’s.',
    remedy:
      'Fetch the keys over another network and compare the thumbprints. If they are right, run `portolan keys init --update-keys` on the file, and hand it to everybody who pinned it.',
  },
  KEYS_NOT_RIGHT: {
    status: 3,
    meaning: 'The roster is signed by those who must have signed it, and something about its readers is not right.',
    remedy: 'Look at each finding: `portolan help CODE` explains it.',
  },
} as const satisfies Explanations;
