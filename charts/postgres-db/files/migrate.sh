#!/bin/sh
# Waits for the server, and runs migration.sql on it. The caller limits its time.
set -eu

for file in "$POSTGRES_PASSWORD_FILE" "$API_PASSWORD_FILE"; do
    [ -s "$file" ] || { echo "no password in $file" >&2; exit 1; }
done
PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
export PGPASSWORD

echo "waiting for $PGHOST:$PGPORT"
until pg_isready --quiet --timeout=2; do
    sleep 1
done

echo "making the role $API_ROLE and the table people in the database $PGDATABASE"
psql --no-psqlrc --quiet --tuples-only --single-transaction --set=ON_ERROR_STOP=1 \
    --set=role="$API_ROLE" \
    --set=statement_timeout="$API_STATEMENT_TIMEOUT" \
    --set=connection_limit="$API_CONNECTION_LIMIT" \
    --file="$(dirname "$0")/migration.sql"
echo "done"
