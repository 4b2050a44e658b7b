/** Settings of every session that reads: what pg_dump sets, so that the same rows are the same bytes everywhere. */
export function readSettings(server: { readonly versionNumber: number; readonly encoding: string }): readonly string[] {
  return [
    `set client_encoding = '${clientEncoding(server.encoding)}'`,
    'set standard_conforming_strings = on',
    "set search_path = ''",
    // Rows that a policy would hide are an error, never left out.
    'set row_security = off',
    'set quote_all_identifiers = off',
    'set synchronize_seqscans = off',
    'set extra_float_digits = 3',
    "set datestyle = 'ISO'",
    "set intervalstyle = 'postgres'",
    "set timezone = 'UTC'",
    "set bytea_output = 'hex'",
    "set xmloption = 'content'",
    'set statement_timeout = 0',
    'set idle_in_transaction_session_timeout = 0',
    'set idle_session_timeout = 0',
    ...(server.versionNumber >= 170_000 ? ['set transaction_timeout = 0'] : []),
    // A range of blocks is read as one, and not compiled first.
    'set enable_tidscan = on',
    'set jit = off',
    'set client_min_messages = warning',
  ];
}

/** Everything is text in UTF-8; only SQL_ASCII, which knows no characters, cannot be told so. */
export function clientEncoding(encoding: string): 'UTF8' | 'SQL_ASCII' {
  return encoding === 'SQL_ASCII' ? 'SQL_ASCII' : 'UTF8';
}
