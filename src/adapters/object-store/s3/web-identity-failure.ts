import { printable } from '../../../core/printable.ts';
import { AdapterError } from '../../errors.ts';
import { retryAdvised } from '../store-errors.ts';
import { serviceFailure } from './failure.ts';

/** Beyond that a clock is said to be wrong. */
const CLOCK_TOLERANCE_MS = 30_000;

/** What is looked at of a service's own word: it may be as long as it likes. */
const MAX_MESSAGE_LENGTH = 1000;

interface Circumstances {
  readonly token: string;
  /** Our clock less the service's. */
  readonly aheadMs: number;
}

/** What an answer outside 2xx means. The token, which a service may repeat, is no part of it. */
export function refusedByTokenService(
  place: string,
  status: number,
  error: { readonly code: string; readonly message: string } | undefined,
  { token, aheadMs }: Circumstances,
): AdapterError {
  const message = (error?.message ?? '').replaceAll(token, '…').slice(0, MAX_MESSAGE_LENGTH);
  if (status === 408 || status === 429 || status >= 500) {
    const name = error === undefined ? {} : { name: error.code };
    return serviceFailure(place, 'give keys', { status, message, ...name });
  }
  const found = `HTTP ${status}${error === undefined ? '' : ` ${error.code}`}`;
  const said = message === '' ? '' : `: ${printable(message, 200)}`;
  const clock =
    Math.abs(aheadMs) < CLOCK_TOLERANCE_MS
      ? ''
      : ` The clock of this machine is ${Math.round(Math.abs(aheadMs) / 1000)} s ${aheadMs > 0 ? 'ahead of' : 'behind'} the service's: set it.`;
  const refused = new AdapterError('STS_REFUSED', `${place} gives no keys: ${found}${said}`, {
    found,
    hint: `${hintOf(error?.code, message)}${clock}`,
  });
  return error?.code === 'IDPCommunicationError' ? retryAdvised(refused) : refused;
}

/** Amazon has a name for each; MinIO says InvalidParameterValue to most, and what it is about in words. */
function hintOf(code: string | undefined, message: string): string {
  if (code === undefined) return 'Check that --sts is the address of a token service of the storage (STS).';
  if (/expired/i.test(`${code} ${message}`)) {
    return 'The token has expired: look after what gives it out, and compare the clocks of this machine, of the identity provider and of the storage.';
  }
  if (/not valid yet|used before issued/i.test(message)) {
    return 'The token is of the future: compare the clocks of the identity provider and of the storage.';
  }
  if (/rolearn|role .* does not exist/i.test(message)) {
    return 'Give --role-arn as the storage names the role: MinIO prints it when it starts, Amazon shows it with the role.';
  }
  if (/azp|audience|client id/i.test(message)) {
    return 'The token is for another audience than the storage takes: compare the project of the storage in the trust file (storageProject) with the client id that the storage was set up with.';
  }
  if (code === 'AccessDenied') {
    return 'Check that the role trusts this identity (issuer, audience and subject), and allows keys for 15 minutes.';
  }
  if (code === 'IDPCommunicationError') return 'The storage cannot reach the identity provider: run the command again.';
  return 'Check that the storage trusts the issuer of the token, and has its present keys.';
}
