//! Weir's judgement: SQL analysis, rules, budgets, ledgers, verdicts, explanations. Pure: no I/O, no clock, no lock, no async.
pub mod admit;
pub mod analysis;
pub mod binding;
pub mod budget;
pub mod cases;
pub mod catalog;
pub mod exposure;
pub mod identity;
pub mod ledger;
pub mod load;
pub mod meter;
pub mod play;
pub mod relation;
pub mod rule;
pub mod set;
pub mod statement;
pub mod verdict;
