//! Weir's judgement: SQL analysis, rules, budgets, ledgers, verdicts, explanations. Pure: no I/O, no clock, no lock, no async.
pub mod analysis;
pub mod catalog;
pub mod relation;
pub mod statement;
