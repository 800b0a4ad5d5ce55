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

# What carrying sessions promises. The other suites (`cut`, most of `evade`, `must_allow`, and in `bad_input` what asks
# for a record) state what enforcement must do; they join this list with it.
carried=(
    bad_input::frames_of_all_kinds
    bad_input::operator::a_bad_configuration
    bad_input::peers::a_client_that_stops_reading
    bad_input::peers::an_upstream_that_is_down
    bad_input::peers::slow_starters
    drivers
    evade::protocol::a_second_startup
    evade::protocol::a_startup_packet_that_names_two_users
    evade::protocol::cancel_keys
    evade::protocol::gss_encryption
    evade::protocol::other_protocol_versions
    evade::protocol::replication_is_refused
    harness
    tidy
    transparency
)
cargo build --release -p weir-proxy
WEIR_BIN="${CARGO_TARGET_DIR:-$PWD/target}/release/weir" cargo test -p weir-tests --test e2e -- "${carried[@]}" --skip a_watched_session_differs
