/**
 * The longest that a run may take, by the storage's clock. A run that took longer commits nothing, for a pruner relies on it:
 * what no snapshot names is marked once it is older than this, and deleted when it was marked for twice as long
 * (docs/format-repository.md, "Prune").
 */
export const LONGEST_RUN_MS = 24 * 3600 * 1000;

/** Requests that are under way at once, where many small objects are asked for. */
export const PARALLEL_REQUESTS = 8;
