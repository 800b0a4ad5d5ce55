#!/usr/bin/env bash
# A MySQL 9 to test with, out of Debian sid: `make test-mysql9` needs it, and nothing else does.
#
#   tests/mysql9.sh install     unpacks it under target/mysql9 (needs root: debootstrap does)
#   tests/mysql9.sh start       one server that lasts, on a free loopback port; says where
#   tests/mysql9.sh stop        ends that one
#
# Idempotent. The suite starts servers of its own out of what `install` unpacked; `start` is for a person who wants to
# try something. Nothing is installed into the system but debootstrap, nothing runs as a service, nothing is mounted.
set -euo pipefail
cd "$(dirname "$0")/.."

home="$PWD/target/mysql9"
root="$home/root"
data="$home/server"
password="${MYSQL9_PASSWORD:-weir_root}"

say() { echo "mysql9: $*" >&2; }

# The mirror that apt on this machine already uses.
mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/*$' | head -n 1
}

install() {
    if [ -e "$root/.complete" ]; then
        return
    fi
    if [ "$(id -u)" != 0 ]; then
        say "debootstrap needs root; run \`sudo tests/mysql9.sh install\` once"
        exit 3
    fi
    mkdir -p "$home"
    export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
    local log="$home/install.log"
    if ! command -v debootstrap >/dev/null; then
        say "installing debootstrap"
        { apt-get update -q && apt-get install -y -q --no-install-recommends debootstrap; } >"$log" 2>&1 ||
            { say "apt-get failed; the end of $log:"; tail -5 "$log" >&2; exit 3; }
    fi
    if [ ! -e "$root/.bootstrapped" ]; then
        say "unpacking Debian sid into $root (some 300 MB)"
        rm -rf "$root"
        debootstrap --variant=minbase sid "$root" "${MIRROR:-$(mirror)}" >>"$log" 2>&1 ||
            { say "debootstrap failed; the end of $log:"; tail -5 "$log" >&2; exit 3; }
        touch "$root/.bootstrapped"
    fi
    # No maintainer script may start a service.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    # How this machine reaches its mirror is how the new root does.
    cp /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
    find /etc/apt/apt.conf.d -name '*proxy*' -exec cp {} "$root/etc/apt/apt.conf.d/" \; 2>/dev/null || true
    say "installing mysql-server-core and mysql-client into it"
    {
        # A mirror may be a snapshot: signatures are checked, their age is not.
        chroot "$root" apt-get -o Acquire::Check-Valid-Until=false -q update &&
            chroot "$root" apt-get install -y -q --no-install-recommends mysql-server-core mysql-client
    } >>"$log" 2>&1 || { say "no mysql-server in sid; the end of $log:"; tail -5 "$log" >&2; exit 3; }
    chroot "$root" apt-get clean
    runner
    say "ready: $("$home/run" mysqld --no-defaults --version)"
    touch "$root/.complete"
}

# sid's programs need sid's libraries and nothing else of it: with its loader they run outside of the chroot, as any
# user, as often as a test wants.
runner() {
    cat >"$home/run" <<EOF
#!/bin/sh
# Runs a program of the MySQL 9 beside this file: run mysqld …
program=\$1
shift
for directory in sbin bin; do
    if [ -x "$root/usr/\$directory/\$program" ]; then
        exec "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" \\
            "$root/usr/\$directory/\$program" "\$@"
    fi
done
echo "no \$program under $root" >&2
exit 127
EOF
    chmod 755 "$home/run"
}

# mysqld refuses to be root.
as_server() {
    if [ "$(id -u)" != 0 ]; then "$@"; else setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; fi
}

running() { [ -e "$data/mysqld.pid" ] && kill -0 "$(cat "$data/mysqld.pid")" 2>/dev/null; }

start() {
    install
    if ! running; then
        rm -rf "$data"
        mkdir -p "$data/files"
        if [ "$(id -u)" = 0 ]; then chown -R nobody:nogroup "$data"; fi
        local port="${MYSQL9_PORT:-0}"
        for candidate in $(seq 23307 23407); do
            [ "$port" = 0 ] || break
            (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null || port=$candidate
        done
        cat >"$data/my.cnf" <<EOF
[mysqld]
basedir=$root/usr
datadir=$data/data
lc-messages-dir=$root/usr/share/mysql
character-sets-dir=$root/usr/share/mysql/charsets
plugin-dir=$root/usr/lib/mysql/plugin
socket=$data/mysqld.sock
pid-file=$data/mysqld.pid
log-error=$data/mysqld.err
bind-address=127.0.0.1
port=$port
mysqlx=OFF
local-infile=1
max_allowed_packet=128M
innodb_flush_log_at_trx_commit=0
skip-log-bin
secure-file-priv=$data/files
EOF
        as_server "$home/run" mysqld --defaults-file="$data/my.cnf" --initialize-insecure
        # In a session of its own: it outlives this script.
        as_server setsid "$home/run" mysqld --defaults-file="$data/my.cnf" </dev/null >/dev/null 2>&1 &
        local server=$!
        for _ in $(seq 600); do
            "$home/run" mysqladmin --no-defaults -S "$data/mysqld.sock" -uroot ping >/dev/null 2>&1 && break
            kill -0 "$server" 2>/dev/null || break
            sleep 0.1
        done
        "$home/run" mysql --no-defaults -S "$data/mysqld.sock" -uroot \
            -e "alter user root@localhost identified by '$password'" ||
            { say "it did not start; the end of $data/mysqld.err:"; tail -5 "$data/mysqld.err" >&2; exit 1; }
    fi
    say "running, pid $(cat "$data/mysqld.pid"): \`$home/run mysql -h127.0.0.1 -P$(sed -n 's/^port=//p' "$data/my.cnf") -uroot -p$password\`"
    echo "WEIR_TEST_MYSQL9=127.0.0.1:$(sed -n 's/^port=//p' "$data/my.cnf"):root:$password"
}

stop() {
    running || return 0
    kill "$(cat "$data/mysqld.pid")"
    for _ in $(seq 300); do running || return 0; sleep 0.1; done
    say "pid $(cat "$data/mysqld.pid") does not end"
    exit 1
}

case "${1:-}" in
    install) install ;;
    start) start ;;
    stop) stop ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
