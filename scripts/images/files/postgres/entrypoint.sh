#!/bin/sh
# Starts PostgreSQL as the user that the container runs as. On the first start it makes the cluster beside PGDATA,
# runs what lies in /docker-entrypoint-initdb.d, and moves it into place last: killed before that, it starts afresh.
#
#   POSTGRES_PASSWORD_FILE or POSTGRES_PASSWORD   password of the superuser `postgres`; needed on the first start
#   POSTGRES_DB                                   a database to make, beside `postgres`
#   PGDATA                                        the cluster's folder; its parent must be writable
set -eu

fail() {
  printf 'postgres-entrypoint: %s\n' "$1" >&2
  exit 1
}

case ${1-} in
'' | -*) set -- postgres "$@" ;;
postgres) ;;
*) exec "$@" ;;
esac

[ "$(id -u)" != 0 ] || fail 'PostgreSQL does not run as root. Run the container as uid 999.'

sockets=/var/run/postgresql
if [ ! -w "$sockets" ]; then sockets=/tmp; fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -d "$PGDATA" ] && [ -n "$(ls -A "$PGDATA")" ]; then
    fail "$PGDATA is neither empty nor a PostgreSQL cluster."
  fi
  new=$PGDATA.new
  rm -rf "$new"
  secret=$(mktemp -d)
  trap 'rm -rf "$secret"' EXIT
  trap 'exit 143' TERM INT
  if [ -n "${POSTGRES_PASSWORD_FILE-}" ]; then
    [ -r "$POSTGRES_PASSWORD_FILE" ] || fail "POSTGRES_PASSWORD_FILE names $POSTGRES_PASSWORD_FILE, which cannot be read."
    cat "$POSTGRES_PASSWORD_FILE" >"$secret/password"
  else
    printf '%s' "${POSTGRES_PASSWORD-}" >"$secret/password"
  fi
  [ -s "$secret/password" ] || fail 'Set POSTGRES_PASSWORD_FILE (or POSTGRES_PASSWORD): the password of the superuser.'

  initdb --pgdata="$new" --username=postgres --pwfile="$secret/password" --encoding=UTF8 --locale=C.UTF-8 \
    --auth-local=peer --auth-host=scram-sha-256 --data-checksums
  printf "\nlisten_addresses = '*'\nunix_socket_directories = '%s'\n" "$sockets" >>"$new/postgresql.conf"
  printf '\nhost all all all scram-sha-256\n' >>"$new/pg_hba.conf"

  # Reachable by nobody else until it is complete.
  pg_ctl --pgdata="$new" --wait --timeout=300 --options="-c listen_addresses='' -c unix_socket_directories='$secret'" start
  export PGHOST="$secret" PGUSER=postgres PGDATABASE=postgres
  if [ -n "${POSTGRES_DB-}" ] && [ "$POSTGRES_DB" != postgres ]; then
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set=name="$POSTGRES_DB" <<'SQL'
create database :"name";
SQL
    export PGDATABASE="$POSTGRES_DB"
  fi
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
    *.sh) sh "$file" ;;
    *.sql) psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --file="$file" ;;
    esac
  done
  pg_ctl --pgdata="$new" --wait --timeout=300 --mode=fast stop
  unset PGHOST PGUSER PGDATABASE
  # An empty folder may stand there; a volume itself cannot be replaced, so PGDATA is a folder inside it.
  if [ -d "$PGDATA" ]; then rmdir "$PGDATA" || fail "PGDATA ($PGDATA) is a mount point: name a folder inside it."; fi
  mv "$new" "$PGDATA"
  sync --file-system "$PGDATA"
  rm -rf "$secret"
  trap - EXIT TERM INT
fi

unset POSTGRES_PASSWORD
exec "$@"
