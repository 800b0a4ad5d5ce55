#!/usr/bin/env bash
# mysql_tool.sh mysql|mariadb dump|cli ARGUMENTS...: a server's own client, each for its own server.
# MySQL 9's are those that tests/mysql9.sh unpacked.
set -euo pipefail
engine=$1 what=$2
shift 2
mysql9="$(dirname "$0")/../../../target/mysql9/run"
case "$engine/$what" in
    mysql/dump)
        exec "$mysql9" mysqldump --no-defaults --get-server-public-key --set-gtid-purged=OFF --column-statistics=0 \
            --no-tablespaces --ssl-mode=PREFERRED "$@"
        ;;
    mysql/cli) exec "$mysql9" mysql --no-defaults --get-server-public-key "$@" ;;
    mariadb/dump) exec mariadb-dump --no-defaults "$@" ;;
    mariadb/cli) exec mariadb --no-defaults "$@" ;;
    *) echo "mysql_tool.sh: $engine $what is not known" >&2; exit 2 ;;
esac
