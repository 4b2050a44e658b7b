import type { Kubernetes } from '../../ports/kubernetes.ts';
import type { Progress } from '../../ports/progress.ts';
import type { Releases } from '../../ports/releases.ts';
import type { TargetState } from '../../ports/target-state.ts';

/** What works on bundles that are installed already. */
export interface InstalledDependencies {
  readonly state: TargetState;
  /** Absent where the state lies in a folder and no cluster is asked. */
  readonly cluster?: { readonly kubernetes: Kubernetes; readonly releases: Releases };
  readonly progress: Progress;
  readonly now: () => Date;
}

export interface LockedRequest {
  /** Who works, for whoever waits: no secret. */
  readonly holder: string;
  readonly lockWaitMs: number;
}
