# What a person types. Each target is one line of work that lives elsewhere.
.PHONY: help demo demo-without check test test-mysql9 chance evasion oracle bench

help: ## Show the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

demo: ## Honest days and thefts through Weir, on a throw-away PostgreSQL and MariaDB; installs what is missing
	examples/demo/run.sh

demo-without: ## The same with Weir left out: what happens today (ends with 1)
	examples/demo/run.sh --without-weir

check: ## Formatting, lints and unit tests: what a change must pass first
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace --lib --bins

test: ## Everything: installs what is missing, then check, then real clients against a real PostgreSQL and MariaDB
	tests/run.sh

test-mysql9: ## What `test` does with MariaDB, with a MySQL 9 out of Debian sid (root the first time, for debootstrap)
	tests/mysql9.sh install
	tests/run.sh --mysql9

evasion: ## Attacks and look-alikes on every server that is set up, with the score (QUICK=1: two of every category; ARGS=--help)
	tests/evasion/run.sh $(if $(QUICK),--quick) $(ARGS)

chance: ## Random statements through Weir, judged by what the servers answer themselves (ARGS=--help)
	tests/evasion/chance.sh $(ARGS)

oracle: ## Hold the analyser against what PostgreSQL and MariaDB know of the statements in their own tests (JSON=1: as JSON)
	tests/oracle/run.sh $(if $(JSON),--json)

bench: ## Weir beside direct, pgbouncer and haproxy; installs what is missing (QUICK=1: four minutes, rough)
	benches/run.sh $(if $(QUICK),--quick)
