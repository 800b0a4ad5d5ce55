# What a person types. Each target is one line of work that lives elsewhere.
.PHONY: help demo demo-without check test bench

help: ## Show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

demo: ## An honest day and two thefts through Weir, against a throw-away PostgreSQL; installs what is missing
	examples/demo/run.sh

demo-without: ## The same with Weir left out: what happens today (ends with 1)
	examples/demo/run.sh --without-weir

check: ## Formatting, lints and unit tests: what a change must pass first
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace --lib --bins

test: ## Everything: installs what is missing, then check, then real clients against a real PostgreSQL
	tests/run.sh

bench: ## Weir beside direct, pgbouncer and haproxy; installs what is missing (QUICK=1: three minutes, rough)
	benches/run.sh $(if $(QUICK),--quick)
