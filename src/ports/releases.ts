/** Helm releases in the cluster of one kubeconfig context, through the real helm 4. Paths are absolute. */
export interface Releases {
  /** The newest revision, whatever its state; `undefined` when helm knows no such release. */
  status(release: ReleaseName, options?: ReleaseOptions): Promise<ReleaseRevision | undefined>;
  /** Oldest first. */
  history(release: ReleaseName, options?: ReleaseOptions): Promise<readonly ReleaseRevision[]>;
  /**
   * Installs or upgrades, makes the namespace where it is missing, and waits until everything is ready. A revision that an
   * earlier, killed run left pending is cleared first (the caller holds the target's lock, so nobody else is at it).
   *
   * @throws AdapterError RELEASE_FAILED after the events and logs of the Pods were saved and the release was rolled back; the
   *   error shows the Pods' own words and names the folder of the rest.
   */
  upgrade(request: UpgradeRequest, options?: ReleaseOptions): Promise<ReleaseRevision>;
  /** Back to a revision; waits until it is ready. */
  rollback(
    release: ReleaseName,
    revision: number,
    timeoutMs: number,
    options?: ReleaseOptions,
  ): Promise<ReleaseRevision>;
  /** False when there was none. Waits until the objects are gone. With `keepHistory` a rollback can bring it back. */
  uninstall(
    release: ReleaseName,
    timeoutMs: number,
    options?: ReleaseOptions & { readonly keepHistory?: boolean },
  ): Promise<boolean>;
  /** The rendered objects of a revision, the newest by default. */
  manifest(release: ReleaseName, revision?: number, options?: ReleaseOptions): Promise<string>;
  /** The values that the user gave with a revision, the newest by default. */
  values(release: ReleaseName, revision?: number, options?: ReleaseOptions): Promise<Readonly<Record<string, unknown>>>;
}

export interface ReleaseOptions {
  readonly signal?: AbortSignal;
}

export interface ReleaseName {
  readonly release: string;
  readonly namespace: string;
}

export interface ReleaseRevision {
  readonly revision: number;
  /** Helm's word: `deployed`, `failed`, `superseded`, `pending-upgrade` … */
  readonly status: string;
  /** `NAME-VERSION` of the chart. */
  readonly chart: string;
  /** What `upgrade` was told, or helm's own. */
  readonly description: string;
}

export interface UpgradeRequest extends ReleaseName {
  /** A packaged chart. */
  readonly chartPath: string;
  readonly values: Readonly<Record<string, unknown>>;
  readonly timeoutMs: number;
  /** Stands in the release's history, so that a later run knows what it finds. One line. */
  readonly description: string;
  /** Where events and logs go if the release fails: a folder that is made then. */
  readonly failureFolder: string;
}
