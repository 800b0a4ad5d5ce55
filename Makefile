# What a person types. Each target is one line of work that lives elsewhere.
.PHONY: help check test

help: ## Show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

check: ## Formatting, lints and unit tests: what a change must pass first
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace --lib --bins

test: ## Everything: installs what is missing, then check, then real clients against a real PostgreSQL
	tests/run.sh
