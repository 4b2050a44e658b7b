/** The real helm, behind a port. Paths are absolute. */
export interface ChartRenderer {
  /** Renders a packaged or unpacked chart and returns helm's multi-document YAML with its `# Source:` comments. */
  render(
    request: {
      readonly chartPath: string;
      readonly release: string;
      readonly namespace: string;
      /** Merged values; handed to helm as a file. */
      readonly values: Readonly<Record<string, unknown>>;
      readonly kubeVersion?: string;
      /** API versions that the cluster has beyond Kubernetes' own. */
      readonly apiVersions?: readonly string[];
      /** Renders what an upgrade would apply (`.Release.IsUpgrade`) instead of an installation. */
      readonly upgrade?: boolean;
      /** With the definitions in the chart's `crds/`, which helm applies with an installation alone. */
      readonly includeCrds?: boolean;
    },
    options?: { readonly signal?: AbortSignal },
  ): Promise<string>;
}
