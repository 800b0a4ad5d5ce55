#!/usr/bin/env bash
# The whole test suite: what it needs, formatting, lints, unit and property tests, then real clients through Weir, then
# a short run of the fuzz targets over their corpus.
set -euo pipefail
cd "$(dirname "$0")/.."

tests/setup.sh
export WEIR_TEST_PYTHON="$PWD/target/test-tools/venv/bin/python"

cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
cargo test --workspace --lib --bins
cargo test -p weir-audit-store --tests
cargo test --workspace --doc

cargo build --release -p weir-proxy
target="${CARGO_TARGET_DIR:-$PWD/target}"
for example in examples/*/policy.yaml; do
    "$target/release/weir" policy check "$example"
    "$target/release/weir" policy test "$example"
done
cargo run --release -p weir-fuzz -- --seconds 6
WEIR_BIN="$target/release/weir" cargo test -p weir-tests --test e2e
