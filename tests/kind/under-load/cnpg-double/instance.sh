#!/bin/bash
# One instance of a cluster: what the instance manager of CloudNativePG does in a pod, as far as others can see it.
# It makes the data (PRIMARY_HOST is empty), or copies that of the primary, and runs the server until the pod ends.
set -euo pipefail

rules() {
  cat >"$PGDATA/pg_hba.conf" <<'HBA'
local   all         all                trust
hostssl replication streaming_replica all scram-sha-256
hostssl all         all               all scram-sha-256
host    all         all               all reject
HBA
}

install --mode=0600 /certificates/tls.key /tmp/tls.key
if [ -z "$PRIMARY_HOST" ]; then
  initdb --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 --data-checksums >/dev/null
  rules
  # Nobody reaches the server before its users are there.
  pg_ctl --options='-c listen_addresses=' --wait start >/dev/null
  psql --quiet --set=ON_ERROR_STOP=1 --username=postgres --dbname=postgres \
    --set=owner="$OWNER" --set=password="$OWNER_PASSWORD" --set=database="$DATABASE" --set=replica="$REPLICA_PASSWORD" <<'SQL'
create role streaming_replica login replication password :'replica';
create role :"owner" login password :'password';
create database :"database" owner :"owner";
SQL
  pg_ctl --wait stop >/dev/null
else
  # What was here may have gone another way than the primary.
  until PGPASSWORD=$REPLICA_PASSWORD pg_basebackup --host="$PRIMARY_HOST" --username=streaming_replica \
    --pgdata="$PGDATA" --checkpoint=fast --wal-method=stream; do
    rm -rf "${PGDATA:?}"/*
    sleep 1
  done
  rules
  touch "$PGDATA/standby.signal"
  sed -i '/^synchronous_standby_names/d' "$PGDATA/postgresql.auto.conf"
fi
chmod 0700 "$PGDATA"

# shellcheck disable=SC2086 # several settings
postgres -c listen_addresses='*' -c ssl=on -c ssl_cert_file=/certificates/tls.crt -c ssl_key_file=/tmp/tls.key \
  -c primary_conninfo="host=$FOLLOWED user=streaming_replica password=$REPLICA_PASSWORD application_name=$HOSTNAME sslmode=require" \
  -c recovery_target_timeline=latest -c hot_standby=on -c wal_keep_size=512MB -c wal_retrieve_retry_interval=500ms \
  -c cluster_name="$HOSTNAME" -c password_encryption=scram-sha-256 $PARAMETERS &
server=$!
stop() {
  # First without new sessions, for as long as the cluster says; then whoever is left is ended.
  pg_ctl stop --mode=smart --timeout="$SMART_SECONDS" >/dev/null || pg_ctl stop --mode=fast --timeout=30 >/dev/null || true
}
trap stop TERM
wait "$server" || true
wait "$server" || true
