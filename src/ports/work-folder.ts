/** A private folder for as long as a command works: charts and programs that another program must find as files. */
export interface WorkFolder extends AsyncDisposable {
  /** Absolute. Only this user may enter it. */
  readonly path: string;
  /** Writes a file (0600 unless `mode` says otherwise) and returns its absolute path. `name` has no slash. */
  write(name: string, bytes: AsyncIterable<Uint8Array>, options?: { readonly mode?: number }): Promise<string>;
}
