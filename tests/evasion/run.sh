#!/usr/bin/env bash
# Attacks and look-alikes through Weir, on throw-away servers; what it plays and how it scores is in README.md.
#
#   tests/evasion/run.sh                     everything, on every server that is set up
#   tests/evasion/run.sh --quick             two cases of every category
#   tests/evasion/run.sh --case 'pg-a0[12]'  some; --help has the rest
#
# Installs what is missing, builds a weir unless WEIR_BIN names one, ends with 1 below the marks.
set -euo pipefail
cd "$(dirname "$0")/../.."

case " $* " in
    *" --help "* | *" -h "*) ;;
    *)
        tests/setup.sh
        if [ -z "${WEIR_BIN:-}" ]; then
            cargo build --release -p weir-proxy
            WEIR_BIN="${CARGO_TARGET_DIR:-$PWD/target}/release/weir"
        fi
        ;;
esac
python="${WEIR_TEST_PYTHON:-$PWD/target/test-tools/venv/bin/python}"
[ -x "$python" ] || python=python3
export PYTHONPATH="$PWD/tests/evasion" PYTHONDONTWRITEBYTECODE=1
exec "$python" -m runner ${WEIR_BIN:+--weir "$WEIR_BIN"} "$@"
