#!/bin/sh
# `make bench`: installs what is missing, builds, measures. Runs as root or with sudo; the only thing that it changes on
# the machine is the packages that it installs, which it names first. Arguments go to the side-by-side bench.
#
#   benches/run.sh [--quick] [--workloads NAMES] [--rounds N] …
set -eu
cd "$(dirname "$0")/.."

say() { echo "bench: $*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
        say "cannot install: neither root nor sudo is here. Install the packages named above by hand"
        return 1
    fi
}

missing=
command -v cc >/dev/null && command -v make >/dev/null || missing="$missing build-essential"
command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
[ -x /usr/sbin/pgbouncer ] || missing="$missing pgbouncer"
[ -x /usr/sbin/haproxy ] || missing="$missing haproxy"
{ command -v mariadb-install-db && { command -v mariadbd || ls /usr/sbin/mariadbd; }; } >/dev/null 2>&1 ||
    missing="$missing mariadb-server mariadb-client"
command -v sysbench >/dev/null || missing="$missing sysbench"
command -v python3 >/dev/null || missing="$missing python3"

if [ -n "$missing" ]; then
    say "installing$missing"
    mkdir -p target/bench
    log=target/bench/apt.log
    # Nobody asked for services that run: packages are told not to start any, unless somebody decides that already.
    guard=/usr/sbin/policy-rc.d
    no_cluster=/etc/postgresql-common/createcluster.d/weir-bench.conf
    if [ -e "$guard" ]; then guard=; fi
    clean() {
        if [ -n "$guard" ]; then as_root rm -f "$guard"; fi
        as_root rm -f "$no_cluster"
        as_root rmdir --ignore-fail-on-non-empty "${no_cluster%/*}"
    }
    as_root mkdir -p "${no_cluster%/*}"
    trap clean EXIT
    trap 'exit 130' INT TERM HUP
    echo "create_main_cluster = false" | as_root tee "$no_cluster" >/dev/null
    if [ -n "$guard" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$guard" >/dev/null
        as_root chmod 755 "$guard"
    fi
    # --no-remove: a server of another make that is here already stays, and the person decides.
    {
        as_root apt-get update -q && as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -q --no-remove --no-install-recommends $missing
    } >"$log" 2>&1 || { say "apt-get failed; the end of $log:"; tail -20 "$log"; exit 3; }
    trap - INT TERM HUP EXIT
    clean
fi

command -v cargo >/dev/null || { say "cargo is not on the PATH: install Rust from https://rustup.rs"; exit 3; }

say "building (some minutes when nothing is built yet)"
cargo build --release --locked -p weir-proxy -p weir-benches
target="$(cd "${CARGO_TARGET_DIR:-target}" && pwd)"

say "the parts"
"$target/release/weir-benches" --json target/bench/parts.json $(case " $* " in *" --quick "*) echo --quick ;; esac)
say "the whole, side by side"
exec python3 -B benches/side_by_side --weir "$target/release/weir" "$@"
