/**
 * What Portolan keeps at a target: small documents by name, and one lock. In a cluster: Secrets and a Lease in the
 * namespace `portolan-system`; before there is an API: files in a folder.
 */
export interface TargetState {
  /** For messages: `cluster NAME (SERVER)`, or the folder. */
  readonly place: string;
  /** Names with a prefix, sorted. */
  list(prefix: string, options?: StateOptions): Promise<readonly string[]>;
  read(name: string, options?: StateOptions): Promise<Uint8Array | undefined>;
  /** Atomic and durable. `name`: lower-case letters, digits, hyphens and dots; at most 200 characters. At most 900 KiB. */
  write(name: string, bytes: Uint8Array, options?: StateOptions): Promise<void>;
  /** False when there was none. */
  remove(name: string, options?: StateOptions): Promise<boolean>;
  /**
   * Takes the lock; a dead holder's is taken over. Waits up to `waitMs` for a living one, whom `onWait` names once.
   *
   * @throws AdapterError TARGET_LOCKED after that, naming the holder and since when.
   */
  lock(holder: string, request: LockRequest): Promise<TargetLock>;
}

export interface StateOptions {
  readonly signal?: AbortSignal;
}

export interface LockRequest extends StateOptions {
  readonly waitMs: number;
  readonly onWait?: (holder: string) => void;
}

export interface TargetLock extends AsyncDisposable {
  /** Aborts with an error when the lock could not be kept: stop at once, somebody else may hold it. */
  readonly signal: AbortSignal;
}
