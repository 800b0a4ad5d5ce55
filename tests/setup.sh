#!/usr/bin/env bash
# Brings a Debian 12 machine to where `cargo test` finds everything that the end-to-end tests drive Weir with:
# a PostgreSQL, a MariaDB, and clients in Python, JavaScript and Java. Idempotent; what exists already is left alone.
#
# Runs as root or with sudo. Installs by package name only; versions of client libraries are pinned here, so
# that a new release of a driver is met when somebody raises the number, not on a random morning.
set -euo pipefail

cd "$(dirname "$0")/.."
tools="$PWD/target/test-tools"
mkdir -p "$tools"

python_packages=(
    "psycopg[binary]==3.3.9"
    "asyncpg==0.32.0"
    "ocsf-json-schema==1.2.0"
    "SQLAlchemy==2.1.9"
    "Django==5.2.19"
    "PyMySQL==1.2.4"
    "cryptography==46.0.3"
    "mysql-connector-python==9.5.0"
)
node_packages=("pg@8.23.1" "pg-cursor@2.22.0" "mysql2@3.24.6" "mysql@2.18.1")

say() { echo "setup: $*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
        say "cannot run \`$1\`: neither root nor sudo is here; install the packages named above by hand"
        return 1
    fi
}

have_postgres() { ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && command -v psql >/dev/null && command -v pgbench >/dev/null; }
# The server and its plugins, and MariaDB's own clients.
have_mariadb() {
    command -v mariadbd >/dev/null || [ -x /usr/sbin/mariadbd ] || return 1
    command -v mariadb-install-db >/dev/null && command -v mariadb-dump >/dev/null && [ -e /usr/lib/mysql/plugin/auth_ed25519.so ]
}
# Debian splits `venv` from python3; asking for it imports what the package brings.
have_python() { [ -x /usr/bin/python3 ] && /usr/bin/python3 -c 'import ensurepip' 2>/dev/null; }
# `java File.java` needs the compiler module, which only a JDK has.
have_java() { command -v java >/dev/null && java --list-modules 2>/dev/null | grep -q '^jdk.compiler'; }

missing=()
have_postgres || missing+=(postgresql postgresql-contrib postgresql-client)
have_mariadb || missing+=(mariadb-server mariadb-client)
/usr/bin/python3 -c 'import MySQLdb' 2>/dev/null || missing+=(python3-mysqldb)
command -v sysbench >/dev/null || missing+=(sysbench)
[ -e /usr/share/java/mariadb-java-client.jar ] || missing+=(libmariadb-java)
have_python || missing+=(python3 python3-venv)
have_java || missing+=(default-jdk-headless)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
[ -e /usr/share/java/postgresql.jar ] || missing+=(libpostgresql-jdbc-java)
# For the crates that compile C (aws-lc) on the way.
command -v cc >/dev/null && command -v make >/dev/null || missing+=(build-essential)

if [ "${#missing[@]}" -gt 0 ]; then
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    log="$tools/apt.log"
    # Servers that Debian starts by itself are of no use to the tests, which run their own.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
        as_root chmod 755 /usr/sbin/policy-rc.d
    fi
    { as_root apt-get update -q && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"; } \
        >"$log" 2>&1 || { say "apt-get failed; the end of $log:"; tail -20 "$log" >&2; exit 1; }
fi

# A stamp of the wanted list: a changed pin is installed, an unchanged one costs nothing.
up_to_date() { [ -e "$1" ] && [ "$(cat "$1")" = "$2" ]; }

venv="$tools/venv"
wanted="${python_packages[*]}"
if ! up_to_date "$venv/.installed" "$wanted"; then
    say "installing into $venv: $wanted"
    [ -x "$venv/bin/python" ] || /usr/bin/python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${python_packages[@]}"
    echo "$wanted" >"$venv/.installed"
fi

node="$tools/node"
wanted="${node_packages[*]}"
if ! up_to_date "$node/.installed" "$wanted"; then
    say "installing into $node: $wanted"
    mkdir -p "$node"
    npm install --silent --no-save --no-package-lock --no-audit --no-fund --ignore-scripts --prefix "$node" "${node_packages[@]}" >&2
    echo "$wanted" >"$node/.installed"
fi
say "ready"
