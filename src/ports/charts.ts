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
    },
    options?: { readonly signal?: AbortSignal },
  ): Promise<string>;
}
