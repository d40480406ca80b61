#!/bin/bash
# Makes the databases at the first start, as the public image does it, and goes on as the server.
set -euo pipefail

prepare() {
  local user=${POSTGRES_USER:-postgres} password=${POSTGRES_PASSWORD:-}
  local database=${POSTGRES_DB:-$user} file
  [ -z "${POSTGRES_PASSWORD_FILE:-}" ] || password=$(cat "$POSTGRES_PASSWORD_FILE")
  [ -n "$password" ] || { echo 'POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE must be set' >&2; exit 1; }

  install --directory --mode=0700 "$PGDATA"
  initdb --pgdata="$PGDATA" --username="$user" --pwfile=<(printf %s "$password") --auth-local=trust --auth-host=scram-sha-256 >/dev/null
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"

  # Nobody but this script reaches the server until all is there.
  pg_ctl --pgdata="$PGDATA" --options='-c listen_addresses=' --wait start >/dev/null
  [ "$database" = postgres ] || createdb --username="$user" --maintenance-db=postgres "$database"
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) PGUSER=$user PGDATABASE=$database bash "$file" ;;
      *.sql) psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$user" --dbname="$database" --file="$file" ;;
    esac
  done
  pg_ctl --pgdata="$PGDATA" --wait stop >/dev/null
}

case ${1:-postgres} in
  postgres) shift || true ;;
  -*) ;;
  *) exec "$@" ;;
esac
[ -s "$PGDATA/PG_VERSION" ] || prepare
exec postgres -c listen_addresses='*' "$@"
