/** What every benchmark of one run is told. */
export interface Settings {
  /** A folder of this run alone; removed afterwards. */
  readonly work: string;
  /** key.txt, recipient.txt, cosign.key and cosign.pub. */
  readonly keys: string;
  /** Environment of commands that open the signing key. */
  readonly secrets: Readonly<Record<string, string>>;
  /** The command line of this checkout. */
  readonly portolan: string;
  readonly cache: string;
  /** As it was named by the caller. */
  readonly folder: string;
  readonly runs: number;
  readonly scale: number;
  readonly fourFold: boolean;
  /** For backups: a database of mostly short rows. */
  readonly shortRows: boolean;
}
