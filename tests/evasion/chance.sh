#!/usr/bin/env bash
# Random statements through Weir, judged by what the servers answer themselves; README.md says how.
#
#   tests/evasion/chance.sh                                2000 on every server that is set up
#   tests/evasion/chance.sh --engine pg --seed 7           the same again; --help has the rest
#
# Installs what is missing, builds a weir unless WEIR_BIN names one, ends with 1 where something was let out.
set -euo pipefail
cd "$(dirname "$0")/../.."

tests/setup.sh
if [ -z "${WEIR_BIN:-}" ]; then
    cargo build --release -p weir-proxy
    WEIR_BIN="${CARGO_TARGET_DIR:-$PWD/target}/release/weir"
fi
python="${WEIR_TEST_PYTHON:-$PWD/target/test-tools/venv/bin/python}"
export PYTHONPATH="$PWD/tests/evasion" PYTHONDONTWRITEBYTECODE=1
exec "$python" -m chance --weir "$WEIR_BIN" "$@"
