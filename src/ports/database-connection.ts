/** How a worker reaches a database: plain data, which goes to another thread. The password is in it: never to be printed. */
export interface DatabaseConnection {
  readonly url: string;
  readonly password?: string;
  /** Absolute path of certificates in PEM. */
  readonly caFile?: string;
}
