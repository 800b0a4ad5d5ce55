#!/usr/bin/env bash
# The whole test suite: what it needs, formatting, lints, unit and property tests, a short run of the fuzz targets over
# their corpus, then real clients through Weir, and attackers.
#
#   tests/run.sh              with a PostgreSQL and a MariaDB
#   tests/run.sh --mysql9     what speaks MySQL only, with the MySQL 9 that tests/mysql9.sh unpacks
set -euo pipefail
cd "$(dirname "$0")/.."

tests/setup.sh
export WEIR_TEST_PYTHON="$PWD/target/test-tools/venv/bin/python"
target="${CARGO_TARGET_DIR:-$PWD/target}"

case "${1:-}" in
    "") ;;
    --mysql9)
        cargo build --release -p weir-proxy
        # Every test of that protocol has it in its name.
        WEIR_TEST_MYSQL=mysql9 WEIR_BIN="$target/release/weir" cargo test -p weir-tests --test e2e mysql
        WEIR_BIN="$target/release/weir" tests/evasion/run.sh --quick --engine mysql
        exit
        ;;
    *) echo "unknown argument $1; the only one is --mysql9" >&2; exit 2 ;;
esac

cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
cargo test --workspace --lib --bins
cargo test -p weir-audit-store --tests
cargo test --workspace --doc

cargo build --release -p weir-proxy
for example in examples/*/policy.yaml; do
    "$target/release/weir" policy check "$example"
    "$target/release/weir" policy test "$example"
done
cargo run --release -p weir-fuzz -- --seconds 6
WEIR_BIN="$target/release/weir" cargo test -p weir-tests --test e2e
WEIR_BIN="$target/release/weir" tests/evasion/run.sh --quick --engine pg --engine mariadb
# The same people spelled in another way: nobody may look for the spelling.
WEIR_BIN="$target/release/weir" tests/evasion/run.sh --quick --engine pg --markers 1
