/**
 * What a security token service answers to AssumeRoleWithWebIdentity (AWS STS API Reference, version 2011-06-15; MinIO's "STS API"):
 *
 *     <AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
 *       <AccessKeyId/> <SecretAccessKey/> <SessionToken/> <Expiration>TIME</Expiration> … </Credentials> …
 *     <ErrorResponse><Error> <Code/> <Message/> … </Error> …
 */
import { elementAt, invalid, parseSmallXml } from './small-xml.ts';

/** For how long keys are asked for: the least that there is. */
export const WEB_IDENTITY_SECONDS = 900;

export interface SessionKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  /** From when on they are refused, by the service's clock. */
  readonly expiration: Date;
}

const KEY = /^[\x21-\x7e]{1,16384}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;

/** Never with a part of the answer in its errors. @throws FormatError STS_ANSWER_INVALID */
export function decodeSessionKeys(bytes: Uint8Array): SessionKeys {
  const root = parseSmallXml(bytes);
  if (root.name !== 'AssumeRoleWithWebIdentityResponse') throw invalid('it is the answer to something else');
  const credentials = elementAt(root, 'AssumeRoleWithWebIdentityResult', 'Credentials');
  const key = (name: string) => {
    const { text } = elementAt(credentials, name);
    if (!KEY.test(text)) throw invalid(`its ${name} is not well formed`);
    return text;
  };
  const time = elementAt(credentials, 'Expiration').text;
  if (!TIME.test(time) || Number.isNaN(Date.parse(time))) throw invalid('its Expiration is no time');
  return {
    accessKeyId: key('AccessKeyId'),
    secretAccessKey: key('SecretAccessKey'),
    sessionToken: key('SessionToken'),
    expiration: new Date(time),
  };
}

/** `undefined` for what is no error of such a service. */
export function decodeStsError(bytes: Uint8Array): { readonly code: string; readonly message: string } | undefined {
  try {
    const root = parseSmallXml(bytes);
    const error = root.name === 'ErrorResponse' ? elementAt(root, 'Error') : undefined;
    if (error === undefined) return undefined;
    const code = elementAt(error, 'Code').text;
    const message = error.children.find(({ name }) => name === 'Message')?.text ?? '';
    return /^[A-Za-z][A-Za-z0-9.]{1,60}$/.test(code) ? { code, message } : undefined;
  } catch {
    return undefined;
  }
}
