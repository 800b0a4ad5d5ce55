#!/usr/bin/env bash
# The whole test suite: what it needs, formatting, lints, unit and property tests, then real clients through Weir.
set -euo pipefail
cd "$(dirname "$0")/.."

tests/setup.sh
export WEIR_TEST_PYTHON="$PWD/target/test-tools/venv/bin/python"

cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
cargo test --workspace --lib --bins
cargo test --workspace --doc

# The suites `cut`, `evade` and parts of `bad_input` state what enforcement must do; they join this line with it.
cargo build --release -p weir-proxy
WEIR_BIN="$PWD/target/release/weir" cargo test -p weir-tests --test e2e -- drivers harness transparency
