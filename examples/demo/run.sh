#!/bin/sh
# `make demo` and `make demo-without`: installs what is missing, builds, and plays. Runs as root or with sudo; the
# only thing that it changes on the machine is the packages it installs, which it names first.
#
#   examples/demo/run.sh [--without-weir]      KEEP=1 leaves the servers running
set -eu
cd "$(dirname "$0")/../.."

say() { echo "demo: $*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
        say "cannot install: neither root nor sudo is here. Install the packages named above by hand"
        return 1
    fi
}

# Packages are looked for by what they bring, so that a server or a compiler from elsewhere is as good.
missing=
command -v cc >/dev/null && command -v make >/dev/null || missing="$missing build-essential"
command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
{ command -v mariadb-install-db && { command -v mariadbd || ls /usr/sbin/mariadbd; }; } >/dev/null 2>&1 ||
    missing="$missing mariadb-server mariadb-client"

if [ -n "$missing" ]; then
    say "installing$missing"
    mkdir -p target/demo
    log=target/demo/apt.log
    # Nobody asked for services that run: packages are told to start none, unless somebody decides that already, and
    # PostgreSQL's to make no cluster of its own.
    guard=/usr/sbin/policy-rc.d
    no_cluster=/etc/postgresql-common/createcluster.d/weir-demo.conf
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

# Cargo shows its own progress where there is a terminal to show it on.
target="${CARGO_TARGET_DIR:-target}"
case "${1:-}" in
    --without-weir)
        say "building the clients"
        cargo build --release --locked --quiet -p weir-examples
        exec "$target/release/weir-demo" --without-weir
        ;;
    "")
        say "building weir and the clients (some minutes when nothing is built yet)"
        cargo build --release --locked -p weir-proxy -p weir-examples
        exec "$target/release/weir-demo" --weir "$(cd "$target" && pwd)/release/weir"
        ;;
    *)
        say "unknown argument $1; the only one is --without-weir"
        exit 2
        ;;
esac
