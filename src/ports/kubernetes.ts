import type { Duplex } from 'node:stream';

/** A Kubernetes API server, as one context of a kubeconfig reaches it. Every call has a time limit and a bounded retry. */
export interface Kubernetes {
  /** Name of the kubeconfig context. */
  readonly context: string;
  readonly server: string;
  version(options?: CallOptions): Promise<{ readonly gitVersion: string }>;
  /** `v1`, `apps/v1`, `apps/v1/Deployment` …: what helm takes for `--api-versions`. */
  apiVersions(options?: CallOptions): Promise<readonly string[]>;
  /** `undefined` when the server does not know the kind. */
  resource(apiVersion: string, kind: string, options?: CallOptions): Promise<ApiResource | undefined>;
  /** `undefined` when there is none. */
  get(key: ObjectKey, options?: CallOptions): Promise<KubernetesObject | undefined>;
  /** All of them: read page by page. */
  list(query: ObjectQuery, options?: CallOptions): Promise<readonly KubernetesObject[]>;
  /** KUBERNETES_EXISTS when there is one of that name. */
  create(object: KubernetesObject, options?: CallOptions): Promise<KubernetesObject>;
  /** With `metadata.resourceVersion`: KUBERNETES_CONFLICT when somebody else wrote meanwhile. */
  replace(object: KubernetesObject, options?: CallOptions): Promise<KubernetesObject>;
  /** Server-side apply under the field manager `portolan`, which takes fields over from others. */
  apply(object: KubernetesObject, options?: CallOptions & { readonly dryRun?: boolean }): Promise<KubernetesObject>;
  /** False when there was none. */
  delete(
    key: ObjectKey,
    options?: CallOptions & { readonly uid?: string; readonly propagation?: 'Foreground' | 'Background' | 'Orphan' },
  ): Promise<boolean>;
  logs(
    of: { readonly namespace: string; readonly pod: string; readonly container?: string; readonly previous?: boolean },
    limits: { readonly tailLines: number; readonly limitBytes: number },
    options?: CallOptions,
  ): Promise<string>;
  /**
   * A connection to a port of a Pod, as its own processes reach it on the loopback. Its end is that of both directions.
   *
   * @throws AdapterError KUBERNETES_FORWARD_FAILED
   */
  forward(
    to: { readonly namespace: string; readonly pod: string; readonly port: number },
    options?: CallOptions,
  ): Promise<Duplex>;
  /** SelfSubjectAccessReview, one for each question, answers in the same order. */
  allowed(questions: readonly AccessQuestion[], options?: CallOptions): Promise<readonly boolean[]>;
  close(): Promise<void>;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
}

export interface ObjectKey {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
}

export interface ObjectQuery {
  readonly apiVersion: string;
  readonly kind: string;
  /** All namespaces without it. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly resourceVersion?: string;
    readonly uid?: string;
    readonly creationTimestamp?: string;
    readonly deletionTimestamp?: string;
    readonly [key: string]: unknown;
  };
  readonly [key: string]: unknown;
}

export interface ApiResource {
  /** The plural in the address: `deployments`. */
  readonly name: string;
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
}

export interface AccessQuestion {
  readonly verb: string;
  readonly group: string;
  /** The plural. */
  readonly resource: string;
  /** Such as `portforward`. */
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name?: string;
}
