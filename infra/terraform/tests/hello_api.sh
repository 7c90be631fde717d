#!/usr/bin/env bash
# Runs data/hello_api.sql on a PostgreSQL of its own, as a master user like that of RDS, which is no superuser, and shows what the
# role hello_api can do then. A member of rds_iam signs in without a password here: the signature of a token is AWS's to check.
set -euo pipefail
cd "$(dirname "$0")/../../.."

binaries=$(dirname "$(command -v initdb || printf '%s\n' /usr/lib/postgresql/*/bin/initdb | tail -n 1)")
if [ ! -x "$binaries/initdb" ] || ! command -v psql >/dev/null; then
    echo 'skipped: the role of PostgreSQL; there is no initdb, or no psql'
    exit 0
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/hello-api-role.XXXXXX")
as=()
# A server of PostgreSQL does not run as root.
if [ "$(id -u)" = 0 ]; then
    as=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
    chown nobody:nogroup "$work"
fi
stop() {
    "${as[@]}" "$binaries/pg_ctl" --pgdata="$work/data" --mode=immediate --silent stop || true
    rm -rf "$work"
}
trap stop EXIT

"${as[@]}" "$binaries/initdb" --pgdata="$work/data" --username=rdsadmin --auth=trust --no-sync >/dev/null
# As RDS has it: who is in rds_iam has no password, and everybody else has one.
printf 'local all rdsadmin,postgres trust\nlocal all +rds_iam trust\nlocal all all reject\n' >"$work/data/pg_hba.conf"
"${as[@]}" "$binaries/pg_ctl" --pgdata="$work/data" --silent --wait --timeout=60 --log="$work/log" \
    --options="-c listen_addresses= -c unix_socket_directories=$work" start

# sql USER OPTION...
sql() {
    local user=$1
    shift
    "${as[@]}" psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --host="$work" --username="$user" "$@"
}

sql rdsadmin --dbname=postgres --command='CREATE ROLE rds_iam' --command='CREATE ROLE postgres LOGIN CREATEROLE CREATEDB' \
    --command='GRANT rds_iam TO postgres WITH ADMIN OPTION'
sql postgres --dbname=postgres --command='CREATE DATABASE people'
# Twice: it can be repeated.
for _ in 1 2; do sql postgres --dbname=people --single-transaction <infra/terraform/data/hello_api.sql; done

sql hello_api --dbname=people <charts/postgres-db/files/test.sql
seen=$(sql rdsadmin --dbname=people --command="
    SELECT rolpassword IS NULL AND NOT rolsuper AND NOT rolcreaterole AND NOT rolcreatedb AND pg_has_role('hello_api', 'rds_iam', 'member')
    FROM pg_authid WHERE rolname = 'hello_api'")
[ "$seen" = t ] || {
    echo 'hello_api has a password or more rights than it needs, or is not in rds_iam'
    exit 1
}
echo 'the role hello_api signs in by rds_iam, and has no password'
