#!/usr/bin/env bash
# An oracle that is not us: what PostgreSQL's grammar and planner and MariaDB's server know of the statements in their own
# tests, held against what Weir says of them.
#
#   tests/oracle/run.sh                       both engines, about ten minutes on two idle cores
#   tests/oracle/run.sh --engine postgres join subselect      these files only
#   tests/oracle/run.sh --json                everything, for a machine
#
# Installs and fetches by package name what is missing, into target/oracle and nowhere else but for the servers that
# `make test` needs too. The tests' texts are PostgreSQL's and MariaDB's own and stay out of the repository. Exit code 1: a
# relation or a column was missed. 3: it could not run.
set -euo pipefail
cd "$(dirname "$0")/../.."

home="$PWD/target/oracle"
log="$home/install.log"
mkdir -p "$home"

say() { echo "oracle: $*" >&2; }
fail() {
    say "$1; the end of $log:"
    tail -5 "$log" >&2
    exit 3
}

# PostgreSQL's grammar as a library (libpg_query), and nothing else: a wheel, nothing is compiled.
grammar="pglast==8.8"
if [ "$(cat "$home/venv/.installed" 2>/dev/null)" != "$grammar" ]; then
    tests/setup.sh
    say "installing $grammar"
    { /usr/bin/python3 -m venv "$home/venv" && "$home/venv/bin/pip" install --disable-pip-version-check "$grammar"; } \
        >"$log" 2>&1 || fail "pip failed"
    echo "$grammar" >"$home/venv/.installed"
fi

# The sources that belong to the installed server, or the newest that the mirror has: apt's own lists stay as they are.
regress="$home/regress"
if [ ! -e "$regress/.complete" ]; then
    package="$(basename "$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1 | xargs dirname)")"
    package="postgresql-$package"
    say "fetching the sources of $package"
    apt="$home/apt"
    rm -rf "$apt" "$regress"
    mkdir -p "$apt/parts" "$apt/lists/partial" "$regress"
    : >"$apt/none.list"
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -e "$file" ] && sed 's/^Types:.*/Types: deb-src/' "$file" >"$apt/parts/$(basename "$file")"
    done
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -e "$file" ] && sed -n 's/^deb /deb-src /p' "$file" >"$apt/parts/$(basename "$file" .list).list"
    done
    options=(-o "Dir::Etc::sourcelist=$apt/none.list" -o "Dir::Etc::sourceparts=$apt/parts"
        -o "Dir::State::lists=$apt/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root)
    apt-get "${options[@]}" -q update >"$log" 2>&1 || fail "apt-get cannot read the lists of sources"
    installed="$(dpkg-query -W -f '${source:Version}' "$package")"
    fetched=
    # A mirror may have dropped a version that it still lists.
    for version in "$installed" $(apt-cache "${options[@]}" showsrc "$package" | sed -n 's/^Version: //p' | sort -rV); do
        (cd "$apt" && apt-get "${options[@]}" source --download-only "$package=$version") >>"$log" 2>&1 && fetched=1 && break
    done
    [ -n "$fetched" ] || fail "no sources of $package"
    tar -xf "$apt"/*.orig.tar.* -C "$regress" --strip-components=4 --wildcards '*/src/test/regress' >>"$log" 2>&1 ||
        fail "the sources hold no regression tests"
    rm -rf "$apt"
    touch "$regress/.complete"
fi

# MariaDB's own test client and its files, unpacked beside the system.
kit="$home/mariadb"
if [ ! -e "$kit/.complete" ]; then
    say "fetching mariadb-test"
    rm -rf "$kit"
    mkdir -p "$kit/packages"
    packages=(mariadb-test mariadb-test-data libpcre2-posix3)
    (cd "$kit/packages" && { apt-get -o APT::Sandbox::User=root download "${packages[@]}" ||
        { apt-get -q update && apt-get -o APT::Sandbox::User=root download "${packages[@]}"; }; }) >"$log" 2>&1 ||
        fail "no mariadb-test"
    for package in "$kit"/packages/*.deb; do dpkg -x "$package" "$kit" >>"$log" 2>&1 || fail "$package does not unpack"; done
    rm -rf "$kit/packages"
    touch "$kit/.complete"
fi

# The servers run as accounts of their own, and read these files.
chmod -R a+rX "$home"

cargo build -q -p weir-oracle
"$home/venv/bin/python" tests/oracle/oracle.py --weir "${CARGO_TARGET_DIR:-target}/debug/weir-oracle" \
    --regress "$regress" --kit "$kit" "$@"
