import { AdapterError } from '../errors.ts';

/** An answer that must be JSON. The text itself, which may hold secrets, is never part of the error. */
export function decodeJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new AdapterError('KUBERNETES_FAILED', `Cannot ${what}: the answer is not JSON`, {
      hint: 'Check that the server of this context is a Kubernetes API server, and that no proxy in between alters its answers.',
    });
  }
}
